"""
What a change of one execution means for others: its ancestors, its tree and those that wait.

Whatever a command changes goes through `Changes`, so that totals of trees, budgets and concurrency
limits hold in the transaction that touches them.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from msgspec.structs import replace

from phaseline.app.ports import Child, Group, Slot, View
from phaseline.domain import control
from phaseline.domain.advance import DEFAULT_GRACE, settle
from phaseline.domain.budget import budget_left, over_budget
from phaseline.domain.closing import Closing, closings
from phaseline.domain.execution import Execution
from phaseline.domain.failure import Cancellation, Failure
from phaseline.domain.ids import Key
from phaseline.domain.usage import NO_USAGE

SYSTEM = "system"


class Changes:
    """
    The executions that one command changes, on top of the view that it decides on.

    What it is asked for shows what it was told already.
    """

    def __init__(self, view: View) -> None:
        self._view = view
        self._changed: dict[Key, Execution] = {}
        self._renewed: dict[Key, Execution] = {}
        #: Started in this command.
        self._children: dict[Child, Key] = {}
        #: What this command adds to the counts of the view.
        self._active: dict[str, int] = {}
        self._slots: dict[Group, int] = {}

    def execution(self, key: Key) -> Execution | None:
        """Return the execution as this command has left it so far."""
        return self._changed.get(key) or self._renewed.get(key) or self._view.execution(key)

    def child(self, child: Child) -> Execution | None:
        """Return the execution that was started in that step."""
        key = self._children.get(child)
        return self._view.child(child) if key is None else self.execution(key)

    def active_count(self, workspace_id: str) -> int:
        """Return how many executions of the workspace are not terminal."""
        return self._view.active_count(workspace_id) + self._active.get(workspace_id, 0)

    def ancestors(self, execution: Execution) -> Iterator[Execution]:
        """Yield the parent of *execution*, its parent, and so on to the root."""
        workspace_id, parent_id = execution.spec.workspace_id, execution.spec.parent_execution_id
        while parent_id:
            parent = self.execution(Key(workspace_id, parent_id))
            if parent is None:
                return
            yield parent
            parent_id = parent.spec.parent_execution_id

    def budget_left(self, execution: Execution) -> int | None:
        """Return what is left of its budget, or of one above it if less; None for no limit."""
        left = budget_left(execution)
        for ancestor in self.ancestors(execution):
            above = budget_left(ancestor)
            if above is not None:
                left = above if left is None else min(left, above)
        return left

    def versions(self) -> tuple[tuple[Execution, ...], tuple[Execution, ...]]:
        """Return the visible new versions, and the renewed ones."""
        return tuple(self._changed.values()), tuple(self._renewed.values())

    def closings(self) -> tuple[tuple[Slot, Closing], ...]:
        """Return how the operations end whose attempts this command has ended."""
        return tuple(
            (Slot(key, position), closing)
            for key, execution in self._changed.items()
            for position, closing in closings(self._view.execution(key), execution, self._view.now)
        )

    def renew(self, execution: Execution) -> None:
        """Take in a version that differs in nothing a caller can see."""
        target = self._changed if execution.key in self._changed else self._renewed
        target[execution.key] = execution

    def start(self, execution: Execution) -> None:
        """Take in a new execution, and begin it if its concurrency limit has room."""
        spec = execution.spec
        if spec.step_key:
            parent = Key(spec.workspace_id, spec.parent_execution_id)
            self._children[Child(parent, spec.step_key)] = execution.key
        self.change(execution)
        self.begin(execution)

    def change(self, execution: Execution) -> None:
        """Take in a new version, with all that follows from it elsewhere."""
        before = self.execution(execution.key)
        self._put(execution, before)
        self._pass_slot_on(execution)
        spent = execution.usage
        if before is not None:
            # The same object as long as nothing was spent in between.
            spent = NO_USAGE if spent is before.usage else spent - before.usage
        if spent != NO_USAGE:
            for ancestor in list(self.ancestors(execution)):
                updated_at = max(ancestor.updated_at, self._view.now)
                below = ancestor.below + spent
                self._put(replace(ancestor, below=below, updated_at=updated_at), ancestor)
            self._hold_budgets(execution)

    def change_if(self, before: Execution, after: Execution) -> None:
        """Take in *after* unless it is the very same as *before*."""
        if after is not before:
            self.change(after)

    def cancel(
        self, execution: Execution, cancellation: Cancellation, grace: timedelta = DEFAULT_GRACE
    ) -> None:
        """Cancel *execution* and all that is active below it."""
        for member in (execution, *self._view.active_below(execution.key)):
            current = self.execution(member.key) or member
            cancelled = control.cancel(current, cancellation, grace)
            if cancelled is not current:
                self._apply(cancelled)

    def begin(self, execution: Execution) -> None:
        """Let *execution* begin, or those that wait longer, if their concurrency limit has room."""
        limit = execution.workflow.spec.concurrency
        if limit is not None and execution.wants_slot:
            group = Group.of(execution)
            if self._taken(group) < limit.max_running:
                self._admit(group)

    def _admit(self, group: Group) -> None:
        """Give the free slots of a concurrency limit to those that wait for one."""
        while (first := self._first_waiting(group)) is not None:
            limit = first.workflow.spec.concurrency
            # An execution keeps the version of its workflow, and so the limit that it was under.
            if limit is not None and self._taken(group) >= limit.max_running:
                return
            self._put(settle(replace(first, admitted=True), self._view.now), first)

    def _first_waiting(self, group: Group) -> Execution | None:
        """Return who gets the next slot: the highest priority, then the oldest."""
        own = [one for one in self._changed.values() if one.wants_slot and Group.of(one) == group]
        # At most as many as were changed here may have stopped waiting since.
        for waiting in self._view.waiting(group, len(self._changed) + 1):
            current = self.execution(waiting.key) or waiting
            if current.wants_slot:
                own.append(current)
                break
        return min(own, key=_turn, default=None)

    def _taken(self, group: Group) -> int:
        return self._view.admitted_count(group) + self._slots.get(group, 0)

    def _apply(self, execution: Execution) -> None:
        self._put(execution, self.execution(execution.key))
        self._pass_slot_on(execution)

    def _pass_slot_on(self, execution: Execution) -> None:
        """Give the slot of an execution that has ended to who waits for it."""
        if execution.done and execution.workflow.spec.concurrency is not None:
            self._admit(Group.of(execution))

    def _put(self, execution: Execution, before: Execution | None) -> None:
        key = execution.key
        self._renewed.pop(key, None)
        self._changed[key] = execution
        was_active = before is not None and not before.done
        if execution.done is was_active:
            active = self._active.get(key.workspace_id, 0)
            self._active[key.workspace_id] = active + (-1 if was_active else 1)
        if execution.workflow.spec.concurrency is not None:
            group, held = Group.of(execution), before is not None and before.holds_slot
            self._slots[group] = self._slots.get(group, 0) + execution.holds_slot - held

    def _hold_budgets(self, execution: Execution) -> None:
        """Stop whatever has used up its budget, with all that is active below it."""
        for key in [execution.key, *(ancestor.key for ancestor in self.ancestors(execution))]:
            member = self.execution(key)
            failure = None if member is None else over_budget(member)
            if member is None or failure is None:
                continue
            if not member.done and not member.stopping:
                self._apply(settle(replace(member, failure=failure), self._view.now))
            self._stop_below(member, failure)

    def _stop_below(self, execution: Execution, failure: Failure) -> None:
        # Also if it has ended itself: what it started still spends its budget.
        reason = f"budget of execution {execution.spec.execution_id!r}: {failure.message}"
        cancellation = Cancellation(self._view.now, SYSTEM, reason)
        for below in self._view.active_below(execution.key):
            current = self.execution(below.key) or below
            stopped = control.cancel(current, cancellation)
            if stopped is not current:
                self._apply(stopped)


def _turn(execution: Execution) -> tuple[int, object, Key]:
    return -execution.spec.priority, execution.spec.created_at, execution.key
