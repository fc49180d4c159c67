"""Starting executions, and waiting for them."""

from collections.abc import Iterable
from datetime import timedelta
from typing import TypeAlias, Unpack

from phaseline.client import rpcs
from phaseline.client.calls import Calls, new_request_id
from phaseline.client.requests import ExecuteFields, duration, execute_request
from phaseline.domain.errors import DeadlineExceeded
from phaseline.v1 import execution_pb2, execution_service_pb2

# Below the 60 s of silence after which proxies like to hang up, and above it no gain.
_LONGEST_POLL = timedelta(seconds=30)
# What an answer may take besides the wait, repeats included; less if the caller has set a limit.
_POLL_MARGIN = timedelta(seconds=10)
_LAST_POLL_MARGIN = timedelta(seconds=2)

_View: TypeAlias = execution_pb2.ExecutionView.ValueType


class Executions:
    """The part of a client that starts executions and reads one."""

    _calls: Calls

    async def execute(
        self,
        workflow_id: str,
        *,
        request_id: str = "",
        validate_only: bool = False,
        **fields: Unpack[ExecuteFields],
    ) -> execution_service_pb2.ExecuteResponse:
        """
        Start an execution of a workflow; it is committed when this returns.

        Give a *request_id* of your own if you may call again for the same purpose, after a crash
        for example: you then get the first answer.
        """
        request = execute_request(workflow_id, **fields)
        request.request_id = request_id or new_request_id()
        request.validate_only = validate_only
        return await self._calls.call(rpcs.EXECUTE, request)

    async def execute_batch(
        self,
        executions: Iterable[execution_service_pb2.ExecuteRequest],
        *,
        batch_id: str = "",
        allow_partial: bool = False,
        request_id: str = "",
    ) -> execution_service_pb2.ExecuteBatchResponse:
        """
        Start up to 1000 executions in one transaction, made by `execute_request`.

        All or none; with *allow_partial* each that can be, and `error_of_status` tells what the
        `error` of a result stands for.
        """
        request = execution_service_pb2.ExecuteBatchRequest(
            executions=executions,
            batch_id=batch_id,
            allow_partial=allow_partial,
            request_id=request_id or new_request_id(),
        )
        return await self._calls.call(rpcs.EXECUTE_BATCH, request)

    async def get_status(
        self, execution_id: str, *, workflow_id: str = ""
    ) -> execution_service_pb2.GetStatusResponse:
        """Read how far an execution is: the cheapest read."""
        request = execution_service_pb2.GetStatusRequest(
            execution_id=execution_id, workflow_id=workflow_id
        )
        return await self._calls.call(rpcs.GET_STATUS, request)

    async def get(
        self,
        execution_id: str,
        *,
        view: _View = execution_pb2.EXECUTION_VIEW_UNSPECIFIED,
        phase_ids: Iterable[str] = (),
    ) -> execution_service_pb2.GetResponse:
        """Read an execution with its phases, FULL if no *view* is given."""
        request = execution_service_pb2.GetRequest(
            execution_id=execution_id, view=view, phase_ids=phase_ids
        )
        return await self._calls.call(rpcs.GET, request)

    async def wait(
        self,
        execution_id: str,
        *,
        timeout: timedelta | None = None,
        after_revision: int = 0,
        view: _View = execution_pb2.EXECUTION_VIEW_UNSPECIFIED,
    ) -> execution_pb2.Execution:
        """
        Return the execution once it is terminal, or once its revision is above *after_revision*.

        Raises `DeadlineExceeded` after *timeout*, and changes nothing by it. Without one it waits
        as long as it takes, but raises `Unavailable` if the server stays away.
        """
        clock = self._calls.clock
        deadline = None if timeout is None else clock.now() + timeout.total_seconds()
        while True:
            poll, margin = _poll(None if deadline is None else deadline - clock.now())
            request = execution_service_pb2.WaitRequest(
                execution_id=execution_id,
                after_revision=after_revision,
                timeout=duration(poll),
                view=view,
            )
            response = await self._calls.call(rpcs.WAIT, request, poll + margin)
            if response.satisfied:
                return response.execution
            if deadline is not None and clock.now() >= deadline:
                status = execution_pb2.ExecutionStatus.Name(response.execution.status)
                raise DeadlineExceeded(f"execution {execution_id!r} is {status} after {timeout}")


def _poll(left: float | None) -> tuple[timedelta, timedelta]:
    """Return how long to wait in one call, and how much longer the call may take."""
    if left is None or left > _LONGEST_POLL.total_seconds():
        return _LONGEST_POLL, _POLL_MARGIN
    return timedelta(seconds=max(left, 0.0)), _LAST_POLL_MARGIN
