"""What is known of executions while they are followed: changes folded into their newest state."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import timedelta

from phaseline.cli import style
from phaseline.v1.execution_pb2 import Execution, Operation, Phase
from phaseline.v1.watch_pb2 import CHANGE_KIND_REMOVED, Change

_OPERATIONS_KEPT = 200
_ENDED_KEPT = 5


class Durations:
    """
    How long things have run, shown further on while nothing is told of them.

    A duration goes on from what the server said, by how long ago it was said: comparing its times
    with this machine's clock would show the difference of two clocks.
    """

    def __init__(self) -> None:
        self._told: dict[str, float] = {}

    def told(self, key: str, now: float) -> None:
        """Take down that the duration of *key* was told at *now*, in seconds of any clock."""
        self._told[key] = now

    def of_execution(self, execution: Execution, now: float) -> timedelta | None:
        """Return how long *execution* has run at *now*; None before it has."""
        over = style.is_terminal(execution)
        return self._of(execution, execution.execution_id, now, over=over)

    def of_phase(self, phase: Phase, now: float) -> timedelta | None:
        """Return how long *phase* has run at *now*; None before it has."""
        over = style.is_phase_terminal(phase)
        return self._of(phase, f"{phase.execution_id}/{phase.phase_id}", now, over=over)

    def _of(
        self, resource: Execution | Phase, key: str, now: float, *, over: bool
    ) -> timedelta | None:
        if not resource.HasField("started_at"):
            return None
        since = 0.0 if over else max(0.0, now - self._told.get(key, now))
        return resource.duration.ToTimedelta() + timedelta(seconds=since)


@dataclass
class Followed:
    """One execution as a watch, or a single answer, showed it so far."""

    execution_id: str
    execution: Execution = field(default_factory=Execution)
    phases: dict[str, Phase] = field(default_factory=dict)
    operations: dict[tuple[str, int, str], Operation] = field(default_factory=dict)
    descendants: dict[str, Execution] = field(default_factory=dict)
    durations: Durations = field(default_factory=Durations)

    @classmethod
    def of(cls, execution: Execution, now: float) -> Followed:
        """Return what a Get answered at *now*."""
        followed = cls(execution.execution_id)
        followed._learn_execution(execution, now)
        for phase in execution.phases:
            followed._learn_phase(phase, now)
            for operation in phase.operations:
                followed._learn_operation(operation)
        return followed

    def apply(self, change: Change, now: float) -> None:
        """Fold in *change*, which arrived at *now*."""
        match change.WhichOneof("resource"):
            case "execution":
                self._learn_execution(change.execution, now)
            case "phase" if change.phase.execution_id == self.execution_id:
                self._learn_phase(change.phase, now)
            case "operation" if change.operation.execution_id == self.execution_id:
                self._learn_operation(change.operation)
            case _:
                pass  # of a descendant, of which the execution alone is shown

    def forget(self) -> None:
        """Begin anew: a snapshot follows, after changes that were missed."""
        self.phases.clear()
        self.operations.clear()
        self.descendants.clear()

    @property
    def is_known(self) -> bool:
        """Whether anything was told of the execution itself yet."""
        return bool(self.execution.execution_id)

    def _learn_execution(self, execution: Execution, now: float) -> None:
        self.durations.told(execution.execution_id, now)
        if execution.execution_id == self.execution_id:
            self.execution = execution
        else:
            self.descendants[execution.execution_id] = execution

    def _learn_phase(self, phase: Phase, now: float) -> None:
        self.durations.told(f"{phase.execution_id}/{phase.phase_id}", now)
        self.phases[phase.phase_id] = phase

    def _learn_operation(self, operation: Operation) -> None:
        key = (operation.phase_id, operation.attempt, operation.operation_id)
        self.operations[key] = operation
        if len(self.operations) > _OPERATIONS_KEPT:
            del self.operations[next(iter(self.operations))]


@dataclass
class Board:
    """The active executions, and those that ended last."""

    active: dict[str, Execution] = field(default_factory=dict)
    ended: deque[Execution] = field(default_factory=lambda: deque(maxlen=_ENDED_KEPT))
    durations: Durations = field(default_factory=Durations)

    def apply(self, change: Change, now: float) -> None:
        """Fold in *change*, which arrived at *now*."""
        execution = change.execution
        self.durations.told(execution.execution_id, now)
        if change.kind != CHANGE_KIND_REMOVED:
            self.active[execution.execution_id] = execution
            return
        self.active.pop(execution.execution_id, None)
        if style.is_terminal(execution):
            self.ended.appendleft(execution)

    def forget(self) -> None:
        """Begin anew: a snapshot follows, after changes that were missed."""
        self.active.clear()

    def newest_first(self) -> list[Execution]:
        return sorted(self.active.values(), key=_created, reverse=True)


def _created(execution: Execution) -> tuple[int, int, str]:
    created = execution.created_at
    return created.seconds, created.nanos, execution.execution_id
