"""
What one process that owns its database keeps in memory: every active execution, and indexes.

All of it can be made again from the tables. Versions in here are immutable, so that reading one
needs no lock and costs no copy.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Iterable
from datetime import datetime

from phaseline.app.ports import Child, Group, Slot, WorkflowRef
from phaseline.domain.advance import due_at
from phaseline.domain.execution import Content, Execution
from phaseline.domain.ids import Key
from phaseline.domain.payload import Payload
from phaseline.domain.workflow import Workflow
from phaseline.store.ready import ReadyPhases
from phaseline.store.recent import Recent

_KEPT_ENDED = 2_000
_ROOM = 32 * 1024 * 1024

_Request = tuple[str, str, str]  # workspace_id, worker_id, request_id


class Indexes:
    """Everything that finds executions by something else than their key."""

    def __init__(self) -> None:
        self.ready = ReadyPhases()
        self.leased: dict[_Request, set[Slot]] = {}
        self.trees: dict[Key, set[Key]] = {}
        self.steps: dict[Child, Key] = {}
        self.active: dict[str, int] = {}
        self.admitted: dict[Group, int] = {}
        self.waiting: dict[Group, set[Key]] = {}
        self._due: dict[Key, datetime] = {}
        self._due_heap: list[tuple[datetime, Key]] = []

    def replace(self, before: Execution | None, after: Execution) -> None:
        """Take note that *after* has taken the place of *before*."""
        self.ready.replace(before, after)
        self._replace_leases(before, after)
        self._replace_due(after)
        self._replace_membership(before, after)
        if after.workflow.spec.concurrency is not None:
            self._replace_slot(before, after)

    def due(self, now: datetime, limit: int) -> list[Key]:
        """Return executions that time changes by *now*, the longest overdue first."""
        found: list[Key] = []
        while self._due_heap and self._due_heap[0][0] <= now and len(found) < limit:
            at, key = heapq.heappop(self._due_heap)
            # An entry of an earlier version is stale.
            if self._due.get(key) == at:
                found.append(key)
        for key in found:
            # Back in: only `replace` takes it out for good.
            heapq.heappush(self._due_heap, (self._due[key], key))
        return found

    def next_due(self) -> datetime | None:
        """Return when time will next change an execution."""
        while self._due_heap and self._due.get(self._due_heap[0][1]) != self._due_heap[0][0]:
            heapq.heappop(self._due_heap)
        return self._due_heap[0][0] if self._due_heap else None

    def _replace_leases(self, before: Execution | None, after: Execution) -> None:
        if before is not None:
            for position, phase, lease in before.leases():
                if position < len(after.phases) and after.phases[position] is phase:
                    continue
                request = (before.spec.workspace_id, lease.worker_id, lease.request_id)
                held = self.leased.get(request)
                if held is not None:
                    held.discard(Slot(before.key, position))
                    if not held:
                        del self.leased[request]
        for position, _, lease in after.leases():
            request = (after.spec.workspace_id, lease.worker_id, lease.request_id)
            self.leased.setdefault(request, set()).add(Slot(after.key, position))

    def _replace_due(self, after: Execution) -> None:
        due, key = due_at(after), after.key
        if due == self._due.get(key):
            return
        if due is None:
            del self._due[key]
            return
        self._due[key] = due
        heapq.heappush(self._due_heap, (due, key))

    def _replace_membership(self, before: Execution | None, after: Execution) -> None:
        was, is_now = before is not None and not before.done, not after.done
        if was == is_now:
            return
        spec, key = after.spec, after.key
        count = self.active.get(spec.workspace_id, 0) + (1 if is_now else -1)
        self.active[spec.workspace_id] = count
        if not spec.parent_execution_id:
            return
        root = Key(spec.workspace_id, spec.root_execution_id)
        members = self.trees.setdefault(root, set())
        step = Child(Key(spec.workspace_id, spec.parent_execution_id), spec.step_key)
        if is_now:
            members.add(key)
            if spec.step_key:
                self.steps[step] = key
            return
        members.discard(key)
        self.steps.pop(step, None)
        if not members:
            del self.trees[root]

    def _replace_slot(self, before: Execution | None, after: Execution) -> None:
        group = Group.of(after)
        change = after.holds_slot - (before is not None and before.holds_slot)
        if change:
            self.admitted[group] = self.admitted.get(group, 0) + change
        waiting = self.waiting.setdefault(group, set())
        if after.done or after.admitted:
            waiting.discard(after.key)
        else:
            waiting.add(after.key)
        if not waiting and not self.admitted.get(group):
            self.waiting.pop(group, None)
            self.admitted.pop(group, None)


class Working:
    """The active executions, those that ended last, and the workflows they run."""

    def __init__(self) -> None:
        self.executions: dict[Key, Execution] = {}
        self.indexes = Indexes()
        self.contents: Recent[Key, Content] = Recent(_ROOM)
        self.outputs: Recent[Slot, Payload] = Recent(_ROOM)
        self._ended: OrderedDict[Key, Execution] = OrderedDict()
        self._workflows: dict[WorkflowRef, Workflow] = {}
        self._latest: dict[tuple[str, str], int] = {}

    def get(self, key: Key) -> Execution | None:
        """Return the execution if it is in memory; an active one always is."""
        return self.executions.get(key) or self._ended.get(key)

    def put(self, execution: Execution) -> None:
        """Keep a committed version. The indexes are told apart, before the commit."""
        key = execution.key
        if not execution.done:
            self.executions[key] = execution
            self._ended.pop(key, None)
            return
        self.executions.pop(key, None)
        self._ended[key] = execution
        self._ended.move_to_end(key)
        if len(self._ended) > _KEPT_ENDED:
            self._ended.popitem(last=False)

    def forget(self, keys: Iterable[Key]) -> None:
        """Drop what was deleted or purged."""
        for key in keys:
            ended = self._ended.pop(key, None)
            self.contents.drop(key)
            for position in range(len(ended.phases) if ended else 0):
                self.outputs.drop(Slot(key, position))

    def restart(self) -> None:
        """Make the indexes anew, after a batch that had changed them was not committed."""
        self.indexes = Indexes()
        for execution in self.executions.values():
            self.indexes.replace(None, execution)

    def workflow(self, ref: WorkflowRef) -> Workflow | None:
        """Return the version of a workflow if it is in memory."""
        version = ref.version or self._latest.get((ref.workspace_id, ref.workflow_id), 0)
        return self._workflows.get(WorkflowRef(ref.workspace_id, ref.workflow_id, version))

    def put_workflow(self, workflow: Workflow, *, is_latest: bool) -> None:
        """Keep a committed version."""
        name = (workflow.workspace_id, workflow.workflow_id)
        self._workflows[WorkflowRef(*name, workflow.version)] = workflow
        if is_latest:
            self._latest[name] = workflow.version
