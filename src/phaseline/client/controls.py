"""What can be done to an execution that was started."""

from datetime import timedelta
from decimal import Decimal

from phaseline.client import rpcs
from phaseline.client.calls import Calls, new_request_id
from phaseline.client.requests import amount, duration
from phaseline.v1 import execution_pb2, execution_service_pb2


class Controls:
    """The part of a client that controls executions. Each returns the execution, BASIC."""

    _calls: Calls

    async def cancel(
        self,
        execution_id: str,
        *,
        reason: str = "",
        grace_period: timedelta | None = None,
        request_id: str = "",
    ) -> execution_pb2.Execution:
        """Stop an execution and its descendants; a terminal one is returned unchanged."""
        request = execution_service_pb2.CancelRequest(
            execution_id=execution_id,
            reason=reason,
            grace_period=duration(grace_period),
            request_id=request_id or new_request_id(),
        )
        return (await self._calls.call(rpcs.CANCEL, request)).execution

    async def pause(self, execution_id: str, *, request_id: str = "") -> execution_pb2.Execution:
        """Begin no further phase until `resume`."""
        request = execution_service_pb2.PauseRequest(
            execution_id=execution_id, request_id=request_id or new_request_id()
        )
        return (await self._calls.call(rpcs.PAUSE, request)).execution

    async def resume(self, execution_id: str, *, request_id: str = "") -> execution_pb2.Execution:
        """End a pause."""
        request = execution_service_pb2.ResumeRequest(
            execution_id=execution_id, request_id=request_id or new_request_id()
        )
        return (await self._calls.call(rpcs.RESUME, request)).execution

    async def retry(
        self,
        execution_id: str,
        *,
        max_budget_usd: str | Decimal = "",
        run_timeout: timedelta | None = None,
        request_id: str = "",
    ) -> execution_pb2.Execution:
        """Run a failed or cancelled execution again, from its first unfinished phase."""
        request = execution_service_pb2.RetryRequest(
            execution_id=execution_id,
            max_budget_usd=amount(max_budget_usd),
            run_timeout=duration(run_timeout),
            request_id=request_id or new_request_id(),
        )
        return (await self._calls.call(rpcs.RETRY, request)).execution

    async def purge(self, execution_id: str, *, request_id: str = "") -> execution_pb2.Execution:
        """Erase, for good, what a terminal execution was given and produced."""
        request = execution_service_pb2.PurgeRequest(
            execution_id=execution_id, request_id=request_id or new_request_id()
        )
        return (await self._calls.call(rpcs.PURGE, request)).execution
