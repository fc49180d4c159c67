"""One batch of commands: what they see, and what they have changed so far."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice

from msgspec.structs import replace

from phaseline.app.ports import (
    Answered,
    Child,
    Decision,
    Group,
    Needs,
    Remembered,
    Slot,
    WorkflowRef,
)
from phaseline.domain.closing import Closing, closed
from phaseline.domain.execution import Artifact, Content, Execution, Operation
from phaseline.domain.ids import Key
from phaseline.domain.payload import Payload
from phaseline.domain.recording import Recorded
from phaseline.domain.report import LeaseRequest
from phaseline.domain.workflow import Workflow
from phaseline.store.working import Working


class Loaded:
    """What a batch needed from the tables, because memory did not have it."""

    def __init__(self) -> None:
        self.executions: dict[Key, Execution] = {}
        #: Those in memory, too: one may end in this very batch, and leave the indexes.
        self.children: dict[Child, Key] = {}
        self.requests: dict[tuple[str, str], Answered] = {}
        self.recorded: dict[tuple[Slot, int], dict[str, Recorded]] = {}
        self.workflows: dict[WorkflowRef, Workflow] = {}
        #: Operations that went on when the batch began, of attempts that it ends.
        self.open: dict[tuple[Slot, int], list[Operation]] = {}


class Batch:
    """
    The view of the commands of one transaction, each of which sees those before it.

    Decisions are taken in whole: a command that is refused has changed nothing here.
    """

    def __init__(self, now: datetime, working: Working, loaded: Loaded) -> None:
        self._now = now
        self._working = working
        self._loaded = loaded
        #: By key: the version before this batch, None for a new one.
        self.before: dict[Key, Execution | None] = {}
        self.visible: dict[Key, Execution] = {}
        self.renewed: dict[Key, Execution] = {}
        self.contents: list[tuple[Key, Content]] = []
        self.operations: dict[tuple[Slot, int], dict[str, Operation]] = {}
        self.closings: dict[tuple[Slot, int], Closing] = {}
        self.outputs: dict[Slot, Payload] = {}
        self.checkpoints: dict[Slot, Payload] = {}
        self.artifacts: list[tuple[Artifact, bytes | None]] = []
        self.workflows: dict[tuple[str, str], Workflow] = {}
        self.remembered: dict[tuple[str, str], Remembered] = {}
        self.purged: list[Key] = []
        #: As they were before this batch.
        self.deleted: dict[Key, Execution] = {}
        self.trimmed_to = 0
        self.forgotten: list[tuple[str, str]] = []

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to commit."""
        return not any(
            (
                self.before,
                self.contents,
                self.operations,
                self.outputs,
                self.checkpoints,
                self.artifacts,
                self.workflows,
                self.remembered,
                self.purged,
                self.deleted,
                self.trimmed_to,
                self.forgotten,
            )
        )

    def accept(self, decision: Decision[object]) -> None:
        """Take in what a command decided."""
        self._let_go(decision)
        for execution in decision.executions:
            self._stage(execution, self.visible)
        for execution in decision.renewals:
            # A version that is visible anyway carries what was renewed with it.
            visible = execution.key in self.visible
            self._stage(execution, self.visible if visible else self.renewed)
        self.contents.extend(decision.contents)
        for operation in decision.operations:
            attempt = (Slot(operation.key, operation.position), operation.epoch)
            staged = self.operations.setdefault(attempt, {})
            earlier = staged.get(operation.reported.operation_id)
            if earlier is not None and earlier.is_new:
                # To those who watch it is this commit that made it, however often it was told.
                operation = replace(operation, is_new=True)
            staged[operation.reported.operation_id] = operation
        for slot, closing in decision.closings:
            self._close(slot, closing)
        self.outputs.update(decision.outputs)
        self.checkpoints.update(decision.checkpoints)
        self.artifacts.extend(decision.artifacts)
        for workflow in decision.workflows:
            self.workflows[workflow.workspace_id, workflow.workflow_id] = workflow
        for remembered in decision.remembered:
            self.remembered[remembered.workspace_id, remembered.request_id] = remembered

    @property
    def needs(self) -> Needs | None:
        """What is still to be loaded before it can be committed."""
        if not self.closings:
            return None
        return Needs(closings=tuple((slot, one) for (slot, _), one in self.closings.items()))

    def closed(self) -> Iterator[Operation]:
        """Yield the operations that this batch ends and otherwise leaves alone."""
        for attempt, closing in self.closings.items():
            staged = self.operations.get(attempt, {})
            for operation in self._loaded.open.get(attempt, ()):
                if operation.reported.operation_id not in staged:
                    yield closed(operation, closing)

    def undo(self) -> None:
        """Leave the indexes as they were before the batch, which was not committed."""
        for key, before in reversed(self.before.items()):
            staged = self.visible.get(key) or self.renewed[key]
            if before is None:
                self._working.indexes.remove(staged)
            else:
                self._working.indexes.replace(staged, before)

    def redo(self) -> None:
        """Undo `undo`: the batch was committed after all."""
        for key, before in self.before.items():
            self._working.indexes.replace(before, self.visible.get(key) or self.renewed[key])

    # What follows is the View of app/ports.py.

    @property
    def now(self) -> datetime:
        return self._now

    def execution(self, key: Key) -> Execution | None:
        staged = self.visible.get(key) or self.renewed.get(key)
        if staged is not None or key in self.deleted:
            return staged
        return self._working.get(key) or self._loaded.executions.get(key)

    def child(self, child: Child) -> Execution | None:
        key = self._working.indexes.steps.get(child) or self._loaded.children.get(child)
        return None if key is None else self.execution(key)

    def active_below(self, key: Key) -> Sequence[Execution]:
        top = self.execution(key)
        if top is None:
            return ()
        root = Key(key.workspace_id, top.spec.root_execution_id)
        members = map(self.execution, self._working.indexes.trees.get(root, ()))
        below = [
            member
            for member in members
            if member is not None and key.execution_id in member.spec.ancestor_execution_ids
        ]
        return sorted(below, key=_depth_and_age)

    def active_count(self, workspace_id: str) -> int:
        return self._working.indexes.active[workspace_id]

    def admitted_count(self, group: Group) -> int:
        return self._working.indexes.admitted[group]

    def waiting(self, group: Group, limit: int) -> Sequence[Execution]:
        keys = islice(self._working.indexes.waiting.get(group, ()), limit)
        found = (self.execution(key) for key in keys)
        return [execution for execution in found if execution is not None]

    def leased_count(self, workspace_id: str, queue_name: str) -> int:
        return self._working.indexes.leases[workspace_id, queue_name]

    def workflow(self, ref: WorkflowRef) -> Workflow | None:
        staged = self.workflows.get((ref.workspace_id, ref.workflow_id))
        if staged is not None and ref.version in (0, staged.version):
            return staged
        return self._working.workflow(ref) or self._loaded.workflows.get(ref)

    def answered(self, workspace_id: str, request_id: str) -> Answered | None:
        staged = self.remembered.get((workspace_id, request_id))
        if staged is not None:
            # Its revision and the encoded answer are not known before the commit, which both
            # calls share; a reader takes the execution itself then.
            return Answered(staged.method, staged.digest, staged.answer, 0)
        return self._loaded.requests.get((workspace_id, request_id))

    def recorded(self, slot: Slot, epoch: int) -> Mapping[str, Recorded]:
        known = self._working.attempts.get((slot, epoch))
        if known is None:
            known = self._loaded.recorded.get((slot, epoch), {})
        if (slot, epoch) not in self.operations:
            return known
        return known | self.newly_recorded(slot, epoch)

    def newly_recorded(self, slot: Slot, epoch: int) -> dict[str, Recorded]:
        """Return those operations of an attempt that this batch puts on record."""
        return {
            name: Recorded.of(operation.ordinal, operation.reported)
            for name, operation in self.operations[slot, epoch].items()
        }

    def ready(self, workspace_id: str, request: LeaseRequest) -> Iterable[Slot]:
        return self._working.indexes.ready.take(workspace_id, request)

    def leased(self, workspace_id: str, request: LeaseRequest) -> Sequence[Slot]:
        name = (workspace_id, request.worker_id, request.request_id)
        return sorted(self._working.indexes.leased.get(name, ()), key=_slot_order)

    def due(self, limit: int) -> Sequence[Key]:
        return self._working.indexes.due(self._now, limit)

    def _stage(self, execution: Execution, target: dict[Key, Execution]) -> None:
        key = execution.key
        before = self.execution(key)
        if key not in self.before:
            self.before[key] = before
        self.renewed.pop(key, None)
        target[key] = execution
        # At once, so that the commands behind it in the batch find what it has made ready.
        self._working.indexes.replace(before, execution)

    def _close(self, slot: Slot, closing: Closing) -> None:
        attempt = (slot, closing.epoch)
        staged = self.operations.get(attempt, {})
        for name, operation in staged.items():
            staged[name] = closed(operation, closing)
        self.closings[attempt] = closing

    def _let_go(self, decision: Decision[object]) -> None:
        self.purged.extend(decision.purged)
        for key in decision.deleted:
            if key in self.before:
                # Its rows are changed already. Alone, after this commit, it can be deleted.
                raise RuntimeError(f"{key} is changed and deleted in the same commit")
            execution = self.execution(key)
            if execution is not None:
                self.deleted[key] = execution
        self.trimmed_to = max(self.trimmed_to, decision.trimmed_to)
        self.forgotten.extend(decision.forgotten)


def _depth_and_age(execution: Execution) -> tuple[int, datetime, str]:
    spec = execution.spec
    return len(spec.ancestor_execution_ids), spec.created_at, spec.execution_id


def _slot_order(slot: Slot) -> tuple[Key, int]:
    return slot.key, slot.position
