"""Commands of callers on an execution that exists, and of time itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

import msgspec

from phaseline.app.consequences import Changes
from phaseline.app.idempotency import Idempotency
from phaseline.app.ports import Decision, Group, Needs, View
from phaseline.domain import control
from phaseline.domain.advance import tick
from phaseline.domain.errors import NotFound
from phaseline.domain.execution import Execution
from phaseline.domain.failure import Cancellation
from phaseline.domain.ids import Key

_TICKS_AT_ONCE = 500


class Controlled(msgspec.Struct, frozen=True):
    """The execution after a control acted; for a repeat, as it was encoded then."""

    execution: Execution | None
    encoded: bytes = b""


class Move(Protocol):
    """What a control does."""

    def __call__(self, changes: Changes, execution: Execution, now: datetime) -> None: ...


class Control(msgspec.Struct, frozen=True):
    """Act on one execution, or on its tree."""

    key: Key
    idempotency: Idempotency
    move: Move
    on_tree: bool = False

    def needs(self) -> Needs:
        return Needs(
            executions=(self.key,),
            trees=(self.key,) if self.on_tree else (),
            requests=self.idempotency.needs,
        )

    def decide(self, view: View) -> Decision[Controlled]:
        earlier = self.idempotency.earlier(view)
        if earlier is not None:
            return Decision(Controlled(view.execution(self.key), earlier.answer))
        execution = view.execution(self.key)
        if execution is None:
            raise NotFound("execution", self.key.execution_id)
        changes = Changes(view)
        self.move(changes, execution, view.now)
        changed, renewed = changes.versions()
        return Decision(
            Controlled(changes.execution(self.key)),
            executions=changed,
            renewals=renewed,
            remembered=self.idempotency.remember(key=self.key),
        )


def cancelling(subject: str, reason: str, grace: timedelta) -> Move:
    """Return the move that stops an execution and all below it."""

    def move(changes: Changes, execution: Execution, now: datetime) -> None:
        changes.cancel(execution, Cancellation(now, subject, reason), grace)

    return move


def pausing() -> Move:
    """Return the move that lets no further phase begin."""
    return _simple(control.pause)


def resuming() -> Move:
    """Return the move that ends a pause."""
    return _simple(control.resume)


def _simple(act: Callable[[Execution, datetime], Execution]) -> Move:
    def move(changes: Changes, execution: Execution, now: datetime) -> None:
        changes.change_if(execution, act(execution, now))

    return move


class Tick(msgspec.Struct, frozen=True):
    """Let time act on all that is due. The answer is how many executions that was."""

    jitter: Callable[[], float]

    def needs(self) -> Needs:
        return Needs()

    def decide(self, view: View) -> Decision[int]:
        changes = Changes(view)
        due = view.due(_TICKS_AT_ONCE)
        for key in due:
            execution = changes.execution(key)
            if execution is None:
                continue
            changes.change_if(execution, tick(execution, view.now, self.jitter()))
            if not execution.admitted:
                changes.admit(Group.of(execution))
        changed, renewed = changes.versions()
        return Decision(len(due), executions=changed, renewals=renewed)
