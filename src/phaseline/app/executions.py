"""Starting, reading and awaiting executions."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from phaseline.app.caller import Caller
from phaseline.app.changes import Feed
from phaseline.app.idempotency import Idempotency
from phaseline.app.leasing import LeaseTokens
from phaseline.app.limits import Limits
from phaseline.app.ports import (
    Clock,
    Detail,
    Entropy,
    Reads,
    WorkflowRef,
    Writer,
)
from phaseline.app.queries import (
    ExecutionFilter,
    ExecutionPage,
    ExecutionQuery,
    OperationPage,
    OperationQuery,
    Order,
    Position,
)
from phaseline.app.starting import Candidate, Start, Started, lease_of, missing_workflow
from phaseline.app.tokens import Signer, digest_of
from phaseline.domain.errors import InvalidArgument, NotFound, Reason
from phaseline.domain.execution import Execution
from phaseline.domain.ids import Key, uuid7
from phaseline.domain.start import StartRequest, check_inputs, check_start

OPERATIONS_OF_GET = 1000


class Listed(msgspec.Struct, frozen=True):
    """One page, with the token of the next; empty on the last."""

    page: ExecutionPage
    next_page_token: str


class ListedOperations(msgspec.Struct, frozen=True):
    """One page, with the token of the next; empty on the last."""

    page: OperationPage
    next_page_token: str


class Waited(msgspec.Struct, frozen=True):
    """An execution after a wait, and whether what was waited for has happened."""

    detail: Detail
    satisfied: bool


class Executions:
    """The use-cases of callers. Everything is seen from the caller's workspace."""

    def __init__(
        self,
        writer: Writer,
        reads: Reads,
        feed: Feed,
        *,
        clock: Clock,
        entropy: Entropy,
        signer: Signer,
        limits: Limits,
    ) -> None:
        self._writer, self._reads, self._feed = writer, reads, feed
        self._clock, self._entropy = clock, entropy
        self._signer, self._lease_tokens = signer, LeaseTokens(signer)
        self._limits = limits

    async def execute(self, caller: Caller, request: StartRequest, digest: bytes) -> Started:
        """Start an execution, durably. A repeated request_id or step_key starts nothing."""
        check_start(request, self._limits.start)
        candidate = Candidate(
            workspace_id=caller.workspace_id,
            execution_id=request.execution_id or uuid7(self._clock.now(), self._entropy.bits()),
            request=request,
            limits=self._limits,
            lease=lease_of(request, self._lease_tokens, caller.workspace_id),
        )
        idempotency = Idempotency(caller.workspace_id, "Execute", request.request_id, digest)
        committed = await self._writer.post(Start(candidate, idempotency))
        started = committed.answer
        if started.revision:
            return started
        return msgspec.structs.replace(started, revision=committed.revision)

    async def validate(self, caller: Caller, request: StartRequest) -> None:
        """Raise what `execute` would raise for what is wrong with *request* itself."""
        check_start(request, self._limits.start)
        ref = WorkflowRef(caller.workspace_id, request.workflow_id, request.workflow_version)
        workflow = await self._reads.workflow(ref)
        if workflow is None:
            raise missing_workflow(ref)
        check_inputs(request, workflow)

    async def status(self, caller: Caller, execution_id: str, workflow_id: str = "") -> Execution:
        """Return how far an execution is, perhaps without its phases."""
        execution = await self._reads.status(Key(caller.workspace_id, execution_id))
        if execution is None or workflow_id not in ("", execution.workflow.workflow_id):
            raise NotFound("execution", execution_id)
        return execution

    async def get(
        self,
        caller: Caller,
        execution_id: str,
        *,
        full: bool = True,
        phase_ids: Sequence[str] = (),
    ) -> Detail:
        """Return an execution as of one moment; in full with the first operations."""
        detail = await self._reads.detail(
            Key(caller.workspace_id, execution_id),
            full=full,
            operations=OPERATIONS_OF_GET if full else 0,
            phase_ids=phase_ids,
        )
        if detail is None:
            raise NotFound("execution", execution_id)
        for phase_id in phase_ids:
            if phase_id not in detail.execution.workflow.positions:
                raise NotFound("phase", phase_id)
        return detail

    async def list(
        self,
        caller: Caller,
        *,
        matching: ExecutionFilter,
        order: Order,
        page_size: int,
        page: int = 1,
        page_token: str = "",
    ) -> Listed:
        """Return one page, by number or by token."""
        scope = digest_of((caller.workspace_id, matching, order))
        after = self._read_page_token(page_token, scope) if page_token else None
        found = await self._reads.executions(
            ExecutionQuery(
                workspace_id=caller.workspace_id,
                filter=matching,
                order=order,
                limit=page_size,
                after=after,
                offset=0 if page_token else (page - 1) * page_size,
            )
        )
        token = self._signer.sign(("P", scope, *_fields(found.next))) if found.next else ""
        return Listed(found, token)

    async def operations(
        self,
        caller: Caller,
        execution_id: str,
        *,
        phase_id: str = "",
        page_size: int,
        page_token: str = "",
        full: bool = False,
    ) -> ListedOperations:
        """Return one page of the operations of an execution, or of one of its phases."""
        key = Key(caller.workspace_id, execution_id)
        execution = await self.status(caller, execution_id)
        position = phase_position(execution, phase_id) if phase_id else None
        scope = digest_of((key, phase_id))
        after = self._read_page_token(page_token, scope).value if page_token else -1
        page = await self._reads.operations(
            OperationQuery(
                key, position, page_size, after=after, full=full, room=self._limits.answer
            )
        )
        token = "" if page.next is None else self._signer.sign(("P", scope, page.next, ""))
        return ListedOperations(page, token)

    async def wait(
        self,
        caller: Caller,
        execution_id: str,
        *,
        after_revision: int,
        limit: asyncio.Timeout,
        full: bool = True,
    ) -> Waited:
        """
        Return the execution once it is past *after_revision*, or terminal if that is 0.

        Once *limit*, which is entered here, is over, return it as it is then.
        """
        key = Key(caller.workspace_id, execution_id)
        try:
            async with limit:
                satisfied = await self._reached(caller, key, after_revision)
        except TimeoutError:
            satisfied = False
        return Waited(await self.get(caller, execution_id, full=full), satisfied)

    async def _reached(self, caller: Caller, key: Key, after_revision: int) -> bool:
        while True:
            # The head comes first: a change after the read then ends the wait at once.
            head = self._feed.head
            execution = await self.status(caller, key.execution_id)
            if execution.revision > after_revision if after_revision else execution.done:
                return True
            await self._feed.changed(key, after=max(head, execution.revision))

    def _read_page_token(self, token: str, scope: bytes) -> Position:
        try:
            mark, of, value, execution_id = self._signer.read(token, tuple[str, bytes, int, str])
        except ValueError as error:
            raise _invalid_page_token(str(error)) from None
        if mark != "P" or of != scope:
            raise _invalid_page_token("is of another list, filter or order")
        return Position(value, execution_id)


def phase_position(execution: Execution, phase_id: str) -> int:
    """Return the place of a phase in its workflow, or raise `NotFound`."""
    position = execution.workflow.positions.get(phase_id)
    if position is None:
        raise NotFound("phase", phase_id)
    return position


def _fields(position: Position) -> tuple[int, str]:
    return position.value, position.execution_id


def _invalid_page_token(description: str) -> InvalidArgument:
    return InvalidArgument.of("page_token", description, Reason.PAGE_TOKEN_INVALID)
