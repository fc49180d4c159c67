"""How each status looks: its word, its mark and its colour."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

from rich.text import Text

from phaseline.domain import lifecycle
from phaseline.v1.execution_pb2 import Execution, ExecutionStatus, Operation, Phase, PhaseStatus
from phaseline.v1.execution_service_pb2 import ExecuteResponse, GetStatusResponse

Number = TypeVar("Number", bound=int)

_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_TURNS_A_SECOND = 10


class Look(NamedTuple):
    """How a status looks."""

    mark: str
    colour: str


_LOOKS = {
    "pending": Look("○", "dim"),
    "ready": Look("◌", "cyan"),
    "running": Look("●", "blue"),
    "paused": Look("‖", "yellow"),
    "cancelling": Look("◐", "yellow"),
    "completed": Look("✔", "green"),
    "failed": Look("✘", "red"),
    "cancelled": Look("⊘", "yellow"),
    "skipped": Look("–", "dim"),
}
_UNKNOWN = Look("?", "default")
_EXECUTION_STATUSES = {one.value: one for one in lifecycle.ExecutionStatus}
_PHASE_STATUSES = {one.value: one for one in lifecycle.PhaseStatus}


def execution_status(resource: Execution | ExecuteResponse | GetStatusResponse) -> str:
    """Return the word of its status, such as "running"."""
    return _word(ExecutionStatus.Name, resource.status)


def phase_status(phase: Phase) -> str:
    """Return the word of its status, such as "ready"."""
    return _word(PhaseStatus.Name, phase.status)


def execution_is(asked: Callable[[lifecycle.ExecutionStatus], bool], execution: Execution) -> bool:
    """Whether its status is one that *asked* is true of; False for one of a newer server."""
    status = _EXECUTION_STATUSES.get(execution_status(execution))
    return status is not None and asked(status)


def phase_is(asked: Callable[[lifecycle.PhaseStatus], bool], phase: Phase) -> bool:
    """Whether its status is one that *asked* is true of; False for one of a newer server."""
    status = _PHASE_STATUSES.get(phase_status(phase))
    return status is not None and asked(status)


def waits_for_worker(execution: Execution, phase: Phase) -> bool:
    """Whether nothing but a worker is missing."""
    return execution_is(
        lambda status: phase_is(lambda of_phase: lifecycle.may_lease(status, of_phase), phase),
        execution,
    )


def operation_status(operation: Operation) -> str:
    """Return "running", "completed" or "failed"."""
    if operation.HasField("success"):
        return "completed" if operation.success else "failed"
    return "completed" if operation.HasField("completed_at") else "running"


def is_terminal(execution: Execution) -> bool:
    return execution_status(execution) in lifecycle.TERMINAL


def is_phase_terminal(phase: Phase) -> bool:
    return phase_status(phase) in lifecycle.PHASE_TERMINAL


def look(status: str) -> Look:
    return _LOOKS.get(status, _UNKNOWN)


def mark(status: str, now: float | None = None) -> str:
    """Return the mark of *status*; a running one turns with *now*, in seconds, if it is given."""
    if status == "running" and now is not None:
        return _SPINNER[int(now * _TURNS_A_SECOND) % len(_SPINNER)]
    return look(status).mark


def painted_mark(status: str, now: float | None = None) -> Text:
    """Return the mark of *status* in its colour."""
    return Text(mark(status, now), style=look(status).colour)


def _word(name_of: Callable[[Number], str], number: Number) -> str:
    try:
        return name_of(number).rpartition("_")[2].lower()
    except ValueError:
        return f"status {number}"  # of a newer server
