"""Commands of callers on an execution that exists, and of time itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import islice
from typing import Protocol

import msgspec

from phaseline.app.consequences import Changes
from phaseline.app.idempotency import Idempotency
from phaseline.app.limits import Limits
from phaseline.app.ports import Decision, Needs, View
from phaseline.app.starting import check_active, check_budgets, check_parent
from phaseline.domain import control
from phaseline.domain.advance import tick
from phaseline.domain.errors import NotFound
from phaseline.domain.execution import Execution
from phaseline.domain.failure import Cancellation
from phaseline.domain.ids import Key
from phaseline.domain.purge import purge

_TICKS_AT_ONCE = 500


class Controlled(msgspec.Struct, frozen=True):
    """The execution after a control acted; for a repeat, as it was encoded then."""

    execution: Execution | None
    encoded: bytes = b""
    #: The control did something.
    changed: bool = False
    #: What it found, if it did.
    before: Execution | None = None

    def committed(self, revision: int) -> Controlled:
        """Return the same as the commit of *revision* left it."""
        if not self.changed or self.execution is None:
            return self
        return Controlled(self.execution.committed(self.before, revision), changed=True)


class Move(Protocol):
    """What a control does."""

    def __call__(self, changes: Changes, execution: Execution, now: datetime) -> None: ...


class Control(msgspec.Struct, frozen=True):
    """Act on one execution, or on its tree."""

    key: Key
    idempotency: Idempotency
    move: Move
    on_tree: bool = False
    purges: bool = False

    def needs(self) -> Needs:
        return Needs(
            executions=(self.key,),
            trees=(self.key,) if self.on_tree else (),
            requests=self.idempotency.needs,
            purges=(self.key,) if self.purges else (),
        )

    def decide(self, view: View) -> Decision[Controlled]:
        earlier = self.idempotency.earlier(view)
        if earlier is not None:
            return Decision(Controlled(view.execution(self.key), earlier.answer))
        before = view.execution(self.key)
        if before is None:
            raise NotFound("execution", self.key.execution_id)
        changes = Changes(view)
        self.move(changes, before, view.now)
        changed, renewed = changes.versions()
        after = changes.execution(self.key)
        did_something = after is not before
        return Decision(
            Controlled(after, changed=did_something, before=before),
            executions=changed,
            renewals=renewed,
            remembered=self.idempotency.remember(key=self.key),
            purged=(self.key,) if self.purges and did_something else (),
        )


def cancelling(subject: str, reason: str, grace: timedelta) -> Move:
    """Return the move that stops an execution and all below it."""

    def move(changes: Changes, execution: Execution, now: datetime) -> None:
        changes.cancel(execution, Cancellation(now, subject, reason), grace)

    return move


def pausing(changes: Changes, execution: Execution, now: datetime) -> None:
    """Let no further phase begin."""
    changes.change_if(execution, control.pause(execution, now))


def resuming(changes: Changes, execution: Execution, now: datetime) -> None:
    """End a pause."""
    resumed = control.resume(execution, now)
    changes.change_if(execution, resumed)
    # While it was paused it was passed over.
    changes.begin(resumed)


def retrying(limits: Limits, max_budget_nanos: int | None, run_timeout: timedelta | None) -> Move:
    """Return the move that runs an execution again from its first unfinished phase."""

    def move(changes: Changes, execution: Execution, now: datetime) -> None:
        again = control.retry(
            execution, now, max_budget_nanos=max_budget_nanos, run_timeout=run_timeout
        )
        if execution.spec.parent_execution_id:
            check_parent(next(changes.ancestors(execution), execution))
            check_budgets(changes, execution)
        check_active(changes, execution.spec.workspace_id, limits)
        changes.change(again)
        changes.begin(again)

    return move


def purging(changes: Changes, execution: Execution, now: datetime) -> None:
    """Erase what an execution was given and produced."""
    changes.change_if(execution, purge(execution, now))


class FindDue(msgspec.Struct, frozen=True):
    """Answer what `Tick` would act on, and change nothing."""

    without: frozenset[Key] = frozenset()

    def needs(self) -> Needs:
        return Needs()

    def decide(self, view: View) -> Decision[tuple[Key, ...]]:
        return Decision(_due(view, self.without))


class Tick(msgspec.Struct, frozen=True):
    """Let time act on all that is due. The answer is how many executions that was."""

    jitter: Callable[[], float]
    #: Leave these as they are.
    without: frozenset[Key] = frozenset()
    #: Of what is due act on this one alone.
    only: Key | None = None

    def needs(self) -> Needs:
        return Needs()

    def decide(self, view: View) -> Decision[int]:
        changes = Changes(view)
        due = _due(view, self.without) if self.only is None else (self.only,)
        for key in due:
            execution = changes.execution(key)
            if execution is not None:
                ticked = tick(execution, view.now, self.jitter())
                changes.change_if(execution, ticked)
                changes.begin(ticked)
        changed, renewed = changes.versions()
        return Decision(len(due), executions=changed, renewals=renewed, closings=changes.closings())


def _due(view: View, without: frozenset[Key]) -> tuple[Key, ...]:
    """Return what is due, *without* some that would be first every time."""
    due = view.due(_TICKS_AT_ONCE + len(without))
    return tuple(islice((key for key in due if key not in without), _TICKS_AT_ONCE))
