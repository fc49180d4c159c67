"""What finds active executions by something else than their key."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from phaseline.app.ports import Child, Group, Slot
from phaseline.domain.execution import Execution, ExecutionSpec, Lease
from phaseline.domain.ids import Key
from phaseline.store.ordered import Ordered
from phaseline.store.ready import ReadyPhases

_Request = tuple[str, str, str]  # workspace_id, worker_id, request_id
_Queue = tuple[str, str]  # workspace_id, queue_name


class Indexes:
    """
    Indexes of the active executions, told of every version as soon as it is decided.

    `replace` the other way round, and `remove`, undo what was decided and is not to be.
    """

    def __init__(self) -> None:
        self.ready = ReadyPhases()
        self.leased: dict[_Request, set[Slot]] = {}
        #: Leased phases, by queue.
        self.leases: Counter[_Queue] = Counter()
        #: Active executions below a root.
        self.trees: dict[Key, set[Key]] = {}
        self.steps: dict[Child, Key] = {}
        #: Active executions, by workspace.
        self.active: Counter[str] = Counter()
        #: Executions that hold a slot of a concurrency limit.
        self.admitted: Counter[Group] = Counter()
        self.waiting: dict[Group, Ordered[Key]] = {}
        self._due: Ordered[Key] = Ordered()

    def replace(self, before: Execution | None, after: Execution) -> None:
        """Take note that *after* has taken the place of *before*."""
        self.ready.replace(before, after)
        self._replace_leases(before, after)
        self._replace_due(after)
        if (before is None or before.done) != after.done:
            self._replace_membership(after, ends=after.done)
        if after.workflow.spec.concurrency is not None:
            self._replace_slot(before, after)

    def remove(self, execution: Execution) -> None:
        """Forget *execution*, which was not there before."""
        self.ready.remove(execution)
        self._replace_leases(execution, None)
        self._due.discard(execution.key)
        if not execution.done:
            self._replace_membership(execution, ends=True)
        if execution.workflow.spec.concurrency is not None:
            self._replace_slot(execution, None)

    def due(self, now: datetime, limit: int) -> list[Key]:
        """Return executions that time changes by *now*, the longest overdue first."""
        found: list[Key] = []
        for at, key in self._due.ranked():
            if at > now or len(found) == limit:
                break
            found.append(key)
        return found

    def next_due(self) -> datetime | None:
        """Return when time will next change an execution."""
        first = self._due.first()
        due: datetime | None = None if first is None else self._due.rank(first)
        return due

    def _replace_leases(self, before: Execution | None, after: Execution | None) -> None:
        execution = after or before
        assert execution is not None
        for position, phase in enumerate(execution.phases):
            if before is not None and after is not None and before.phases[position] is phase:
                continue
            had = None if before is None else before.phases[position].lease
            has = None if after is None else after.phases[position].lease
            if had is has:
                continue
            slot = Slot(execution.key, position)
            if had is not None:
                self._remove_lease(execution.spec, slot, had)
            if has is not None:
                self._add_lease(execution.spec, slot, has)

    def _add_lease(self, spec: ExecutionSpec, slot: Slot, lease: Lease) -> None:
        request = (spec.workspace_id, lease.worker_id, lease.request_id)
        self.leased.setdefault(request, set()).add(slot)
        self.leases[spec.workspace_id, spec.queue_name] += 1

    def _remove_lease(self, spec: ExecutionSpec, slot: Slot, lease: Lease) -> None:
        request = (spec.workspace_id, lease.worker_id, lease.request_id)
        held = self.leased[request]
        held.discard(slot)
        if not held:
            del self.leased[request]
        queue = (spec.workspace_id, spec.queue_name)
        self.leases[queue] -= 1
        if not self.leases[queue]:
            del self.leases[queue]

    def _replace_due(self, after: Execution) -> None:
        due = after.due_at
        if due is None:
            self._due.discard(after.key)
        else:
            self._due.put(after.key, due)

    def _replace_membership(self, execution: Execution, *, ends: bool) -> None:
        spec, key = execution.spec, execution.key
        self.active[spec.workspace_id] += -1 if ends else 1
        if not spec.parent_execution_id:
            return
        root = Key(spec.workspace_id, spec.root_execution_id)
        step = Child(Key(spec.workspace_id, spec.parent_execution_id), spec.step_key)
        if not ends:
            self.trees.setdefault(root, set()).add(key)
            if spec.step_key:
                self.steps[step] = key
            return
        members = self.trees[root]
        members.discard(key)
        if not members:
            del self.trees[root]
        self.steps.pop(step, None)

    def _replace_slot(self, before: Execution | None, after: Execution | None) -> None:
        execution = after or before
        assert execution is not None
        group = Group.of(execution)
        self.admitted[group] += _holds(after) - _holds(before)
        if not self.admitted[group]:
            del self.admitted[group]
        waiting = self.waiting.setdefault(group, Ordered())
        if after is not None and after.wants_slot:
            spec = after.spec
            waiting.put(after.key, (-spec.priority, spec.created_at, spec.execution_id))
        else:
            waiting.discard(execution.key)
        if not waiting:
            del self.waiting[group]


def _holds(execution: Execution | None) -> int:
    return execution is not None and execution.holds_slot
