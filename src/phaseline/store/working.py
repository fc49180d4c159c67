"""
What one process that owns its database keeps in memory: the active executions, and what is hot.

All of it can be made again from the tables. Versions in here are immutable, so that reading one
needs no lock and costs no copy; any thread may read, the event loop's alone writes.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from itertools import islice

from phaseline.app.ports import Slot, WorkflowRef
from phaseline.domain.advance import hold_leases
from phaseline.domain.execution import Content, Execution
from phaseline.domain.ids import Key
from phaseline.domain.payload import Payload
from phaseline.domain.recording import Recorded
from phaseline.domain.workflow import Workflow
from phaseline.store.indexes import Indexes
from phaseline.store.place import NOWHERE, Place
from phaseline.store.recent import Recent

_KEPT_ENDED = 2_000
_KEPT_WORKFLOWS = 4_096
_ROOM = 32 * 1024 * 1024
# About what remembering an operation takes.
_OPERATION_SIZE = 300


class Working:
    """The active executions, those that ended last, and the workflows they run."""

    def __init__(self) -> None:
        #: What all of this is as of.
        self.place = NOWHERE
        self.executions: dict[Key, Execution] = {}
        self.indexes = Indexes()
        self.contents: Recent[Key, Content] = Recent(_ROOM)
        self.outputs: Recent[Slot, Payload] = Recent(_ROOM)
        #: All operations of attempts that began in this process, by slot and epoch.
        self.attempts: Recent[tuple[Slot, int], dict[str, Recorded]] = Recent(_ROOM)
        self._ended: OrderedDict[Key, Execution] = OrderedDict()
        #: Ids of the active executions, by workspace and in order.
        self._active: dict[str, list[str]] = {}
        self._workflows: Recent[WorkflowRef, Workflow] = Recent(_KEPT_WORKFLOWS)
        self._latest: dict[tuple[str, str], int] = {}
        #: Told after every commit.
        self.listeners: list[Callable[[], None]] = []

    @property
    def head(self) -> int:
        """Revision that all of this is as of."""
        return self.place.head

    def has_reached(self, place: Place) -> bool:
        """Whether all of this is as of *place* or later."""
        return place.epoch == self.place.epoch and place.commits <= self.place.commits

    def get(self, key: Key) -> Execution | None:
        """Return the execution if it is in memory; an active one always is."""
        return self.executions.get(key) or self._ended.get(key)

    def put(self, execution: Execution) -> None:
        """Keep a committed version. The indexes are told apart, before the commit."""
        key = execution.key
        if not execution.done:
            if key not in self.executions:
                insort(self._active.setdefault(key.workspace_id, []), key.execution_id)
            self.executions[key] = execution
            self._ended.pop(key, None)
            return
        # In this order, so that another thread never finds it in neither.
        self._ended[key] = execution
        self._ended.move_to_end(key)
        if self.executions.pop(key, None) is not None:
            ids = self._active[key.workspace_id]
            del ids[bisect_left(ids, key.execution_id)]
        # Two at most, so that it comes down again once those above active ones may go, too.
        for _ in range(min(len(self._ended) - _KEPT_ENDED, 2)):
            oldest = next(iter(self._ended))
            if self._is_above_active(self._ended[oldest]):
                self._ended.move_to_end(oldest)
            else:
                del self._ended[oldest]

    def _is_above_active(self, execution: Execution) -> bool:
        """Whether its budget may count for an active execution."""
        root = Key(execution.key.workspace_id, execution.spec.root_execution_id)
        return root in self.indexes.trees

    def active_past(self, workspace_id: str, after_id: str) -> Iterator[Execution]:
        """Yield active executions by execution_id. Use it up before any await."""
        ids = self._active.get(workspace_id, [])
        for execution_id in islice(ids, bisect_right(ids, after_id), None):
            yield self.executions[Key(workspace_id, execution_id)]

    def replace(self, before: Execution | None, after: Execution) -> None:
        """Keep *after*, which a commit has put in the place of *before*."""
        self.put(after)
        for position, phase in enumerate(after.phases):
            known = None if before is None else before.phases[position]
            if known is phase:
                continue
            if known is not None and known.lease is not None and phase.lease is None:
                self.attempts.drop((Slot(after.key, position), known.lease.epoch))
            if phase.lease is not None and (known is None or known.epoch != phase.lease.epoch):
                self.attempts.put(
                    (Slot(after.key, position), phase.lease.epoch), {}, _OPERATION_SIZE
                )

    def record(self, slot: Slot, epoch: int, recorded: Mapping[str, Recorded]) -> None:
        """Add to the operations of an attempt, if all those before are known."""
        known = self.attempts.get((slot, epoch))
        if known is not None:
            known.update(recorded)
            self.attempts.put((slot, epoch), known, _OPERATION_SIZE * (1 + len(known)))

    def adopt(self, execution: Execution, before: Execution | None = None) -> None:
        """Take in what the tables hold: at the start, or put in the place of *before* by others."""
        self.indexes.replace(before, execution)
        self.put(execution)
        if before is not None:
            for position, _, lease in before.leases():
                held = execution.phases[position].lease
                if held is None or held.epoch != lease.epoch:
                    self.attempts.drop((Slot(execution.key, position), lease.epoch))

    def hold_leases(self, now: datetime, *, is_alone: bool) -> None:
        """
        Let no lease end before its worker had time to report; *is_alone* as in the domain.

        In memory only: were this process to end before a report renews them, the next would hold
        them again.
        """
        for execution in list(self.executions.values()):
            held = hold_leases(execution, now, is_alone=is_alone)
            if held is not execution:
                self.put(held)
                self.indexes.replace(execution, held)

    def clear(self) -> None:
        """Forget everything but the workflows, of which no version ever changes."""
        self.executions.clear()
        self._ended.clear()
        self._active.clear()
        self._latest.clear()
        self.indexes = Indexes()
        self.contents, self.outputs, self.attempts = Recent(_ROOM), Recent(_ROOM), Recent(_ROOM)

    def forget_content(self, execution: Execution) -> None:
        """Drop what *execution* was given and produced: it was purged or deleted."""
        self.contents.drop(execution.key)
        for position in range(execution.total_phases):
            self.outputs.drop(Slot(execution.key, position))

    def forget(self, execution: Execution) -> None:
        """Drop an execution that was deleted."""
        self.forget_content(execution)
        self._ended.pop(execution.key, None)

    def workflow(self, ref: WorkflowRef) -> Workflow | None:
        """Return the version of a workflow if it is in memory."""
        version = ref.version or self._latest.get((ref.workspace_id, ref.workflow_id), 0)
        return self._workflows.get(WorkflowRef(ref.workspace_id, ref.workflow_id, version))

    def put_workflow(self, workflow: Workflow, *, is_latest: bool = False) -> None:
        """Keep a committed version; only the writer knows for sure which is the latest."""
        name = (workflow.workspace_id, workflow.workflow_id)
        self._workflows.put(WorkflowRef(*name, workflow.version), workflow, 1)
        if is_latest:
            self._latest[name] = workflow.version

    def forget_latest(self, workspace_id: str, workflow_id: str) -> None:
        """Know no more which version of a workflow is the latest: there may be a newer one."""
        self._latest.pop((workspace_id, workflow_id), None)

    def changed(self) -> None:
        """Tell the listeners that something was committed."""
        for listener in self.listeners:
            listener()
