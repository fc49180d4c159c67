"""ExecutionService: what starts executions and reads them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from phaseline.app.batches import Batches, BatchStarted
from phaseline.app.caller import Caller
from phaseline.app.executions import Executions, Listed
from phaseline.app.ports import Clock, Detail
from phaseline.app.refusals import Refusal
from phaseline.app.starting import Started
from phaseline.app.trees import Trees
from phaseline.domain.errors import PhaselineError
from phaseline.domain.ids import Key
from phaseline.rpc.call import Call
from phaseline.rpc.draining import Draining
from phaseline.rpc.nestings import nesting_message
from phaseline.v1 import execution_service_pb2 as pb
from phaseline.watch.cursor import ActiveCursor
from phaseline.watch.scope import Scope
from phaseline.watch.token import Tokens
from phaseline.wire.batches import AskedBatch, read_batch
from phaseline.wire.digests import request_digest
from phaseline.wire.enums import EXECUTION_STATUS
from phaseline.wire.executions import fill_basic, status_message
from phaseline.wire.full_view import fill_full
from phaseline.wire.lists import (
    AskedExecutions,
    read_list,
    read_list_active,
    read_list_operations,
)
from phaseline.wire.operations import operation_message
from phaseline.wire.requests import read_get, read_get_nesting, read_get_status, read_wait
from phaseline.wire.starts import read_start
from phaseline.wire.status import status_of

L = TypeVar("L", pb.ListResponse, pb.ListActiveResponse)
A = TypeVar("A", pb.GetResponse, pb.WaitResponse)

_STARTED = "Workflow execution started"
_REPEATED = "nothing was started: the same request_id or step_key had started this execution"
_VALID = "nothing was started: the request is valid, and asked for no more"


class ExecutionService:
    """Starts, reads and awaits executions."""

    def __init__(
        self,
        executions: Executions,
        batches: Batches,
        trees: Trees,
        *,
        clock: Clock,
        tokens: Tokens,
        draining: Draining,
    ) -> None:
        self._executions, self._batches, self._trees = executions, batches, trees
        self._clock, self._tokens, self._draining = clock, tokens, draining

    async def Execute(self, request: pb.ExecuteRequest, call: Call) -> pb.ExecuteResponse:
        start = read_start(request, call.traceparent)
        if request.validate_only:
            await self._executions.validate(call.caller, start)
            return pb.ExecuteResponse(workflow_id=start.workflow_id, message=_VALID)
        started = await self._executions.execute(call.caller, start, request_digest(request))
        return self._started(call.caller, started)

    async def ExecuteBatch(
        self, request: pb.ExecuteBatchRequest, call: Call
    ) -> pb.ExecuteBatchResponse:
        asked = read_batch(request, call.traceparent)
        started = await self._batches.execute(
            call.caller,
            asked.readable,
            batch_id=asked.batch_id,
            allow_partial=asked.allow_partial,
            request_id=asked.request_id,
            digest=request_digest(request),
        )
        return pb.ExecuteBatchResponse(
            batch_id=started.batch_id, results=self._results(call.caller, asked, started)
        )

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
        return self._with_detail(
            pb.GetResponse(), detail, full=asked.full, phase_ids=asked.phase_ids
        )

    async def List(self, request: pb.ListRequest, call: Call) -> pb.ListResponse:
        asked = read_list(request)
        listed = await self._list(call.caller, asked)
        answer = pb.ListResponse(
            total_size=listed.page.total_size,
            page=0 if asked.page.token else asked.number,
            page_size=asked.page.size,
            next_page_token=listed.next_page_token,
            resume_token=self._resume_token(call.caller, asked, listed),
            total_size_capped=listed.page.total_size_capped,
        )
        return self._with(answer, listed)

    async def ListActive(self, request: pb.ListActiveRequest, call: Call) -> pb.ListActiveResponse:
        asked = read_list_active(request)
        listed = await self._list(call.caller, asked)
        answer = pb.ListActiveResponse(
            total_size=listed.page.total_size,
            next_page_token=listed.next_page_token,
            resume_token=self._resume_token(call.caller, asked, listed),
        )
        return self._with(answer, listed)

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

    async def GetNesting(self, request: pb.GetNestingRequest, call: Call) -> pb.GetNestingResponse:
        asked = read_get_nesting(request)
        tree = await self._trees.get(
            call.caller, execution_id=asked.execution_id, chat_message_id=asked.chat_message_id
        )
        return nesting_message(tree, self._clock.now())

    async def Wait(self, request: pb.WaitRequest, call: Call) -> pb.WaitResponse:
        asked = read_wait(request)
        with self._draining.limit(call.patience(asked.timeout)) as limit:
            waited = await self._executions.wait(
                call.caller,
                asked.execution_id,
                after_revision=asked.after_revision,
                limit=limit,
                full=asked.full,
            )
        answer = pb.WaitResponse(satisfied=waited.satisfied)
        return self._with_detail(answer, waited.detail, full=asked.full)

    async def _list(self, caller: Caller, asked: AskedExecutions) -> Listed:
        return await self._executions.list(
            caller,
            matching=asked.matching,
            order=asked.order,
            page_size=asked.page.size,
            page=asked.number,
            page_token=asked.page.token,
        )

    def _with(self, answer: L, listed: Listed) -> L:
        """Return *answer* with the executions that are listed."""
        now = self._clock.now()
        for execution in listed.page.executions:
            fill_basic(answer.executions.add(), execution, now)
        return answer

    def _resume_token(self, caller: Caller, asked: AskedExecutions, listed: Listed) -> str:
        scope = Scope(caller.workspace_id, asked.matching)
        return self._tokens.of_active(scope, ActiveCursor(listed.page.revision))

    def _with_detail(
        self, answer: A, detail: Detail, *, full: bool, phase_ids: Sequence[str] = ()
    ) -> A:
        """Return *answer* with the execution, and the token from which to watch it."""
        now = self._clock.now()
        answer.resume_token = self._tokens.of_execution(detail.execution.key, detail.revision)
        if full:
            fill_full(answer.execution, detail, now, phase_ids)
        else:
            fill_basic(answer.execution, detail.execution, now)
        return answer

    def _started(self, caller: Caller, started: Started) -> pb.ExecuteResponse:
        return pb.ExecuteResponse(
            execution_id=started.execution_id,
            workflow_id=started.workflow_id,
            status=EXECUTION_STATUS[started.status],
            message=_STARTED if started.created else _REPEATED,
            created=started.created,
            # Before the commit that made it, so that a watch from here sees all of it.
            resume_token=self._tokens.of_execution(
                Key(caller.workspace_id, started.execution_id), started.revision - 1
            ),
            revision=started.revision,
        )

    def _results(
        self, caller: Caller, asked: AskedBatch, started: BatchStarted
    ) -> list[pb.ExecuteBatchResult]:
        """Return one result for each start that was asked for, tried or not."""
        tried = iter(started.results)
        return [
            self._result(caller, start if isinstance(start, PhaselineError) else next(tried))
            for start in asked.starts
        ]

    def _result(
        self, caller: Caller, found: Started | Refusal | PhaselineError
    ) -> pb.ExecuteBatchResult:
        if isinstance(found, Started):
            return pb.ExecuteBatchResult(execution=self._started(caller, found))
        error = found.error() if isinstance(found, Refusal) else found
        return pb.ExecuteBatchResult(error=status_of(error))
