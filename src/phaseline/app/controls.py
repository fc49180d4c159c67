"""Stopping, pausing, resuming, retrying and purging executions."""

from __future__ import annotations

from datetime import timedelta

from phaseline.app.caller import Caller
from phaseline.app.controlling import (
    Control,
    Controlled,
    Move,
    cancelling,
    pausing,
    purging,
    resuming,
    retrying,
)
from phaseline.app.idempotency import Idempotency
from phaseline.app.limits import Limits
from phaseline.app.ports import Committed, Writer
from phaseline.domain.ids import Key


class Controls:
    """
    The use-cases that act on an execution.

    Each is answered with the execution as the commit left it. Without a request_id a repeat acts
    again, which only matters for `retry`.
    """

    def __init__(self, writer: Writer, *, limits: Limits) -> None:
        self._writer, self._limits = writer, limits

    async def cancel(
        self,
        caller: Caller,
        execution_id: str,
        *,
        reason: str,
        grace: timedelta,
        request_id: str = "",
        digest: bytes = b"",
    ) -> Committed[Controlled]:
        """Stop an execution and its active descendants; one that has ended is left as it is."""
        move = cancelling(caller.subject, reason, grace)
        return await self._control(
            Control(
                Key(caller.workspace_id, execution_id),
                Idempotency(caller.workspace_id, "Cancel", request_id, digest),
                move,
                on_tree=True,
            )
        )

    async def pause(
        self, caller: Caller, execution_id: str, *, request_id: str = "", digest: bytes = b""
    ) -> Committed[Controlled]:
        """Begin no further phase. Raises `IllegalTransition` if it is stopping or has ended."""
        return await self._act(caller, execution_id, "Pause", pausing, request_id, digest)

    async def resume(
        self, caller: Caller, execution_id: str, *, request_id: str = "", digest: bytes = b""
    ) -> Committed[Controlled]:
        """End a pause. Raises `IllegalTransition` if it is stopping or has ended."""
        return await self._act(caller, execution_id, "Resume", resuming, request_id, digest)

    async def retry(
        self,
        caller: Caller,
        execution_id: str,
        *,
        max_budget_nanos: int | None = None,
        run_timeout: timedelta | None = None,
        request_id: str = "",
        digest: bytes = b"",
    ) -> Committed[Controlled]:
        """
        Run a failed or cancelled execution again from its first unfinished phase.

        A new budget or run_timeout takes the place of the old one. Raises `FailedPrecondition`.
        """
        move = retrying(self._limits, max_budget_nanos, run_timeout)
        return await self._act(caller, execution_id, "Retry", move, request_id, digest)

    async def purge(
        self, caller: Caller, execution_id: str, *, request_id: str = "", digest: bytes = b""
    ) -> Committed[Controlled]:
        """Erase the content of an execution that has ended, for good."""
        return await self._control(
            Control(
                Key(caller.workspace_id, execution_id),
                Idempotency(caller.workspace_id, "Purge", request_id, digest),
                purging,
                purges=True,
            )
        )

    async def _act(
        self,
        caller: Caller,
        execution_id: str,
        method: str,
        move: Move,
        request_id: str,
        digest: bytes,
    ) -> Committed[Controlled]:
        idempotency = Idempotency(caller.workspace_id, method, request_id, digest)
        key = Key(caller.workspace_id, execution_id)
        return await self._control(Control(key, idempotency, move))

    async def _control(self, control: Control) -> Committed[Controlled]:
        committed = await self._writer.post(control)
        return Committed(committed.answer.committed(committed.revision), committed.revision)
