"""
What a change of one execution means for others: its ancestors, its tree and those that wait.

Whatever a command changes goes through `Changes`, so that totals of trees, budgets and concurrency
limits hold in the transaction that touches them.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from msgspec.structs import replace

from phaseline.app.ports import Group, View
from phaseline.domain import control
from phaseline.domain.advance import DEFAULT_GRACE, settle, stopping
from phaseline.domain.execution import Execution
from phaseline.domain.failure import Cancellation
from phaseline.domain.ids import Key
from phaseline.domain.usage import NO_USAGE

SYSTEM = "system"


class Changes:
    """The executions that one command changes, on top of the view that it decides on."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._changed: dict[Key, Execution] = {}
        self._renewed: dict[Key, Execution] = {}

    def execution(self, key: Key) -> Execution | None:
        """Return the execution as this command has left it so far."""
        return self._changed.get(key) or self._renewed.get(key) or self._view.execution(key)

    def renew(self, execution: Execution) -> None:
        """Take in a version that differs in nothing a caller can see."""
        target = self._changed if execution.key in self._changed else self._renewed
        target[execution.key] = execution

    def change(self, execution: Execution) -> None:
        """Take in a new version, with all that follows from it elsewhere."""
        before = self.execution(execution.key)
        self._put(execution)
        if execution.spec.parent_execution_id:
            self._charge_ancestors(before, execution)
        self._hold_budgets(execution)
        if execution.done and execution.workflow.spec.concurrency is not None:
            self.admit(Group.of(execution))

    def cancel(
        self, execution: Execution, cancellation: Cancellation, grace: timedelta = DEFAULT_GRACE
    ) -> None:
        """Cancel *execution* and all that is active below it."""
        for member in (execution, *self._view.active_below(execution.key)):
            current = self.execution(member.key) or member
            self.change_if(current, control.cancel(current, cancellation, grace))

    def change_if(self, before: Execution, after: Execution) -> None:
        """Take in *after* unless it is the very same as *before*."""
        if after is not before:
            self.change(after)

    def admit(self, group: Group) -> None:
        """Give the free slots of a concurrency limit to those that wait for one."""
        for waiting in self._view.waiting(group, self._view.admitted_count(group) + 1):
            current = self.execution(waiting.key) or waiting
            limit = current.workflow.spec.concurrency
            if current.admitted or current.done or limit is None:
                continue
            if self._admitted(group) >= limit.max_running:
                return
            self._put(settle(replace(current, admitted=True), self._view.now))

    def versions(self) -> tuple[tuple[Execution, ...], tuple[Execution, ...]]:
        """Return the visible new versions, and the renewed ones."""
        return tuple(self._changed.values()), tuple(self._renewed.values())

    def _put(self, execution: Execution) -> None:
        self._renewed.pop(execution.key, None)
        self._changed[execution.key] = execution

    def _admitted(self, group: Group) -> int:
        """Return how many slots are taken, what this command has changed included."""
        count = self._view.admitted_count(group)
        for execution in self._changed.values():
            if execution.workflow.spec.concurrency is not None and Group.of(execution) == group:
                before = self._view.execution(execution.key)
                count += execution.holds_slot - (before is not None and before.holds_slot)
        return count

    def ancestors(self, execution: Execution) -> Iterator[Execution]:
        """Yield the parent of *execution*, its parent, and so on to the root."""
        workspace_id, parent_id = execution.spec.workspace_id, execution.spec.parent_execution_id
        while parent_id:
            parent = self.execution(Key(workspace_id, parent_id))
            if parent is None:
                return
            yield parent
            parent_id = parent.spec.parent_execution_id

    def _charge_ancestors(self, before: Execution | None, after: Execution) -> None:
        spent = after.usage if before is None else after.usage - before.usage
        if spent == NO_USAGE:
            return
        for ancestor in list(self.ancestors(after)):
            self._put(
                replace(
                    ancestor,
                    below=ancestor.below + spent,
                    updated_at=max(ancestor.updated_at, self._view.now),
                )
            )

    def _hold_budgets(self, execution: Execution) -> None:
        """Stop whatever has used up its budget, with all that is active below it."""
        for member in [execution, *self.ancestors(execution)]:
            if member.max_budget_nanos is None or member.done or stopping(member):
                continue
            failure = control.over_budget(member)
            if failure is None:
                continue
            self._put(settle(replace(member, failure=failure), self._view.now))
            reason = f"the budget of {member.spec.execution_id} is used up"
            cancellation = Cancellation(self._view.now, SYSTEM, reason)
            for below in self._view.active_below(member.key):
                current = self.execution(below.key) or below
                self.change_if(current, control.cancel(current, cancellation))
