"""One batch of commands: what they see, and what they have changed so far."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from phaseline.app.ports import (
    Answered,
    Child,
    Decision,
    Group,
    Remembered,
    Slot,
    WorkflowRef,
)
from phaseline.domain.execution import Artifact, Content, Execution, Operation
from phaseline.domain.ids import Key
from phaseline.domain.payload import Payload
from phaseline.domain.report import LeaseRequest
from phaseline.domain.work import Recorded
from phaseline.domain.workflow import Workflow
from phaseline.store.working import Working


class Loaded:
    """What a batch needed from the tables, because memory did not have it."""

    def __init__(self) -> None:
        self.executions: dict[Key, Execution] = {}
        self.children: dict[Child, Key] = {}
        self.requests: dict[tuple[str, str], Answered] = {}
        self.recorded: dict[tuple[Slot, int], dict[str, Recorded]] = {}
        self.workflows: dict[WorkflowRef, Workflow] = {}


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
        self.outputs: dict[Slot, Payload] = {}
        self.checkpoints: dict[Slot, Payload] = {}
        self.artifacts: list[tuple[Artifact, bytes | None]] = []
        self.workflows: dict[WorkflowRef, Workflow] = {}
        self.remembered: list[Remembered] = []
        self._requests: dict[tuple[str, str], Remembered] = {}

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to commit."""
        return not (self.before or self.workflows or self.remembered)

    def accept(self, decision: Decision[object]) -> None:
        """Take in what a command decided."""
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
            staged[operation.reported.operation_id] = operation
        self.outputs.update(decision.outputs)
        self.checkpoints.update(decision.checkpoints)
        self.artifacts.extend(decision.artifacts)
        for workflow in decision.workflows:
            ref = WorkflowRef(workflow.workspace_id, workflow.workflow_id)
            self.workflows[ref] = workflow
        for remembered in decision.remembered:
            self.remembered.append(remembered)
            self._requests[remembered.workspace_id, remembered.request_id] = remembered

    # What follows is the View of app/ports.py.

    @property
    def now(self) -> datetime:
        return self._now

    def execution(self, key: Key) -> Execution | None:
        return (
            self.visible.get(key)
            or self.renewed.get(key)
            or self._working.get(key)
            or self._loaded.executions.get(key)
        )

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
        return sorted(below, key=lambda member: len(member.spec.ancestor_execution_ids))

    def active_count(self, workspace_id: str) -> int:
        return self._working.indexes.active.get(workspace_id, 0)

    def admitted_count(self, group: Group) -> int:
        return self._working.indexes.admitted.get(group, 0)

    def waiting(self, group: Group, limit: int) -> Sequence[Execution]:
        found = (self.execution(key) for key in self._working.indexes.waiting.get(group, ()))
        able = [
            execution
            for execution in found
            if execution is not None and execution.waits_until is None
        ]
        able.sort(key=lambda one: (-one.spec.priority, one.spec.created_at, one.key))
        return able[:limit]

    def workflow(self, ref: WorkflowRef) -> Workflow | None:
        staged = self.workflows.get(WorkflowRef(ref.workspace_id, ref.workflow_id))
        if staged is not None and ref.version in (0, staged.version):
            return staged
        return self._working.workflow(ref) or self._loaded.workflows.get(ref)

    def answered(self, workspace_id: str, request_id: str) -> Answered | None:
        staged = self._requests.get((workspace_id, request_id))
        if staged is not None:
            # Its revision and the encoded answer are not known before the commit, which both
            # calls share; a reader takes the execution itself then.
            return Answered(staged.method, staged.digest, staged.answer, 0)
        return self._loaded.requests.get((workspace_id, request_id))

    def recorded(self, slot: Slot, epoch: int) -> Mapping[str, Recorded]:
        loaded = self._loaded.recorded.get((slot, epoch), {})
        staged = self.operations.get((slot, epoch))
        if staged is None:
            return loaded
        return loaded | {name: recorded_as(operation) for name, operation in staged.items()}

    def ready(self, workspace_id: str, request: LeaseRequest) -> Iterable[Slot]:
        return self._ready(workspace_id, request)

    def leased(self, workspace_id: str, request: LeaseRequest) -> Sequence[Slot]:
        name = (workspace_id, request.worker_id, request.request_id)
        return sorted(self._working.indexes.leased.get(name, ()), key=_slot_order)

    def due(self, limit: int) -> Sequence[Key]:
        return self._working.indexes.due(self._now, limit)

    def _ready(self, workspace_id: str, request: LeaseRequest) -> Iterator[Slot]:
        return self._working.indexes.ready.take(workspace_id, request)

    def _stage(self, execution: Execution, target: dict[Key, Execution]) -> None:
        key = execution.key
        before = self.execution(key)
        if key not in self.before:
            self.before[key] = before
        self.renewed.pop(key, None)
        target[key] = execution
        # At once, so that the commands behind it in the batch find what it has made ready.
        self._working.indexes.replace(before, execution)


def recorded_as(operation: Operation) -> Recorded:
    """Return what an operation counts for once it is on record."""
    told = operation.reported
    return Recorded(operation.ordinal, bool(told.tool_name), told.operation_type == "model")


def _slot_order(slot: Slot) -> tuple[Key, int]:
    return slot.key, slot.position
