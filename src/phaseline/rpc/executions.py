"""ExecutionService."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from datetime import timedelta

import msgspec

from phaseline.app.executions import Executions, Listed, Waited
from phaseline.app.ports import Clock, Detail
from phaseline.app.starting import Started
from phaseline.domain.execution import Execution
from phaseline.domain.ids import Key
from phaseline.rpc.call import Call
from phaseline.rpc.draining import Draining
from phaseline.v1 import execution_pb2
from phaseline.v1 import execution_service_pb2 as pb
from phaseline.watch.cursor import ActiveCursor
from phaseline.watch.scope import Scope
from phaseline.watch.token import Tokens
from phaseline.watch.watching import Watching
from phaseline.wire.digests import request_digest
from phaseline.wire.enums import EXECUTION_STATUS
from phaseline.wire.executions import basic_message, status_message
from phaseline.wire.full_view import full_message
from phaseline.wire.lists import (
    AskedExecutions,
    read_list,
    read_list_active,
    read_list_operations,
)
from phaseline.wire.operations import operation_message
from phaseline.wire.requests import read_cancel, read_get, read_get_status, read_wait
from phaseline.wire.starts import read_start
from phaseline.wire.watches import read_watch, read_watch_active

_STARTED = "Workflow execution started"
_REPEATED = "nothing was started: the same request_id or step_key had started this execution"
_VALID = "nothing was started: the request is valid, and asked for no more"


class Defaults(msgspec.Struct, frozen=True):
    """What a caller gets that does not say."""

    grace: timedelta = timedelta(seconds=30)
    bookmark_interval: timedelta = timedelta(seconds=15)


class ExecutionService:
    """Starts, reads, awaits and stops executions."""

    def __init__(
        self,
        executions: Executions,
        *,
        clock: Clock,
        tokens: Tokens,
        watching: Watching,
        draining: Draining,
        defaults: Defaults,
    ) -> None:
        self._executions, self._clock, self._tokens = executions, clock, tokens
        self._watching, self._draining, self._defaults = watching, draining, defaults

    async def Execute(self, request: pb.ExecuteRequest, call: Call) -> pb.ExecuteResponse:
        start = read_start(request, call.traceparent)
        if request.validate_only:
            await self._executions.validate(call.caller, start)
            return pb.ExecuteResponse(workflow_id=start.workflow_id, message=_VALID)
        started = await self._executions.execute(call.caller, start, request_digest(request))
        return self._started(call, started)

    async def GetStatus(self, request: pb.GetStatusRequest, call: Call) -> pb.GetStatusResponse:
        asked = read_get_status(request)
        return status_message(
            await self._executions.status(call.caller, asked.execution_id, asked.workflow_id)
        )

    async def Get(self, request: pb.GetRequest, call: Call) -> pb.GetResponse:
        asked = read_get(request)
        detail = await self._executions.get(
            call.caller, asked.execution_id, full=asked.full, phase_ids=asked.phase_ids
        )
        return self._detail(call, detail, full=asked.full, phase_ids=asked.phase_ids)

    async def List(self, request: pb.ListRequest, call: Call) -> pb.ListResponse:
        asked = read_list(request)
        listed = await self._list(call, asked)
        return pb.ListResponse(
            executions=self._shown(listed.page.executions),
            total_size=listed.page.total_size,
            page=0 if asked.page.token else asked.number,
            page_size=asked.page.size,
            next_page_token=listed.next_page_token,
            resume_token=self._resume_token(call, asked, listed),
            total_size_capped=listed.page.total_size_capped,
        )

    async def ListActive(self, request: pb.ListActiveRequest, call: Call) -> pb.ListActiveResponse:
        asked = read_list_active(request)
        listed = await self._list(call, asked)
        return pb.ListActiveResponse(
            executions=self._shown(listed.page.executions),
            total_size=listed.page.total_size,
            next_page_token=listed.next_page_token,
            resume_token=self._resume_token(call, asked, listed),
        )

    async def ListOperations(
        self, request: pb.ListOperationsRequest, call: Call
    ) -> pb.ListOperationsResponse:
        asked = read_list_operations(request)
        listed = await self._executions.operations(
            call.caller,
            asked.execution_id,
            phase_id=asked.phase_id,
            page_size=asked.page.size,
            page_token=asked.page.token,
            full=asked.full,
        )
        page = listed.page
        return pb.ListOperationsResponse(
            operations=[operation_message(each, full=asked.full) for each in page.operations],
            total_size=page.total_size,
            next_page_token=listed.next_page_token,
        )

    async def Wait(self, request: pb.WaitRequest, call: Call) -> pb.WaitResponse:
        asked = read_wait(request)

        async def wait(timeout: timedelta) -> Waited:
            return await self._executions.wait(
                call.caller,
                asked.execution_id,
                after_revision=asked.after_revision,
                timeout=timeout,
                full=asked.full,
            )

        waited = await self._draining.bound(wait, call.patience(asked.timeout))
        answer = self._detail(call, waited.detail, full=asked.full)
        return pb.WaitResponse(
            execution=answer.execution,
            satisfied=waited.satisfied,
            resume_token=answer.resume_token,
        )

    async def Cancel(self, request: pb.CancelRequest, call: Call) -> pb.CancelResponse:
        asked = read_cancel(request, grace=self._defaults.grace)
        controlled = await self._executions.cancel(
            call.caller,
            asked.execution_id,
            reason=asked.reason,
            grace=asked.grace,
            request_id=asked.request_id,
            digest=request_digest(request),
        )
        if controlled.answer.encoded:
            execution = execution_pb2.Execution.FromString(controlled.answer.encoded)
            return pb.CancelResponse(execution=execution)
        # Read again, since what the command answers has no revision yet.
        current = await self._executions.status(call.caller, asked.execution_id)
        return pb.CancelResponse(execution=basic_message(current, self._clock.now()))

    def Watch(self, request: pb.WatchRequest, call: Call) -> AsyncGenerator[bytes, None]:
        asked = read_watch(request, bookmark_interval=self._defaults.bookmark_interval)
        return self._watching.watch(
            call.caller,
            asked.execution_id,
            resume_token=asked.resume_token,
            full=asked.full,
            descendants=asked.descendants,
            bookmark_interval=asked.bookmark_interval,
            credentials_end=call.identity.expires_at,
        )

    def WatchActive(
        self, request: pb.WatchActiveRequest, call: Call
    ) -> AsyncGenerator[bytes, None]:
        asked = read_watch_active(request, bookmark_interval=self._defaults.bookmark_interval)
        return self._watching.watch_active(
            call.caller,
            asked.matching,
            resume_token=asked.resume_token,
            min_interval=asked.min_interval,
            bookmark_interval=asked.bookmark_interval,
            credentials_end=call.identity.expires_at,
        )

    async def _list(self, call: Call, asked: AskedExecutions) -> Listed:
        return await self._executions.list(
            call.caller,
            matching=asked.matching,
            order=asked.order,
            page_size=asked.page.size,
            page=asked.number,
            page_token=asked.page.token,
        )

    def _shown(self, executions: Sequence[Execution]) -> list[execution_pb2.Execution]:
        now = self._clock.now()
        return [basic_message(execution, now) for execution in executions]

    def _resume_token(self, call: Call, asked: AskedExecutions, listed: Listed) -> str:
        scope = Scope(call.caller.workspace_id, asked.matching)
        return self._tokens.of_active(scope, ActiveCursor(listed.page.revision))

    def _detail(
        self, call: Call, detail: Detail, *, full: bool, phase_ids: Sequence[str] = ()
    ) -> pb.GetResponse:
        now, execution = self._clock.now(), detail.execution
        return pb.GetResponse(
            execution=(
                full_message(detail, now, phase_ids) if full else basic_message(execution, now)
            ),
            resume_token=self._tokens.of_execution(execution.key, detail.revision),
        )

    def _started(self, call: Call, started: Started) -> pb.ExecuteResponse:
        return pb.ExecuteResponse(
            execution_id=started.execution_id,
            workflow_id=started.workflow_id,
            status=EXECUTION_STATUS[started.status],
            message=_STARTED if started.created else _REPEATED,
            created=started.created,
            # Before the commit that made it, so that a watch from here sees all of it.
            resume_token=self._tokens.of_execution(
                Key(call.caller.workspace_id, started.execution_id), started.revision - 1
            ),
            revision=started.revision,
        )
