"""
The life of an execution and of a phase: every status, every legal move, and nothing else.

Rule 1: whatever decides a move lives in this file; no other module compares statuses.
Rule 2: nothing here reads a clock, a database or a socket.

Execution: PENDING until a phase begins, RUNNING from then on, PAUSED on request, CANCELLING while
workers are told to stop. Phase: PENDING until it may begin, READY to be leased, RUNNING while
leased.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

from phaseline.domain.errors import IllegalTransition


class ExecutionStatus(StrEnum):
    """Where an execution is in its life. The value is what the database stores."""

    PENDING = "pending"  #: accepted; no phase has begun since it was started or retried
    RUNNING = "running"  #: a phase has begun
    PAUSED = "paused"  #: no further phase begins
    CANCELLING = "cancelling"  #: workers are told to stop
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class PhaseStatus(StrEnum):
    """Where a phase is in its life. The value is what the database stores."""

    PENDING = "pending"  #: waits for phases, a time, a concurrency slot or its next attempt
    READY = "ready"  #: can be leased, unless the execution is paused
    RUNNING = "running"  #: leased by a worker
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"


class ExecutionTrigger(StrEnum):
    """What can happen to an execution."""

    BEGIN = "begin"  #: a first phase is leased
    PAUSE = "pause"
    RESUME = "resume"  #: the pause ends and no phase has begun
    PROCEED = "proceed"  #: the pause ends and a phase has begun
    STOP = "stop"  #: its workers are told to stop
    COMPLETE = "complete"
    FAIL = "fail"
    CANCEL = "cancel"
    RETRY = "retry"


class PhaseTrigger(StrEnum):
    """What can happen to a phase."""

    PREPARE = "prepare"  #: nothing is left to wait for
    LEASE = "lease"
    RELEASE = "release"  #: given back unfinished, or wanted later
    REPEAT = "repeat"  #: the attempt failed and another will be made
    COMPLETE = "complete"
    FAIL = "fail"
    CANCEL = "cancel"
    SKIP = "skip"
    RETRY = "retry"


_E, _EX = ExecutionStatus, ExecutionTrigger
EXECUTION_TRANSITIONS: Mapping[tuple[ExecutionStatus, ExecutionTrigger], ExecutionStatus] = {
    (_E.PENDING, _EX.BEGIN): _E.RUNNING,
    (_E.PENDING, _EX.PAUSE): _E.PAUSED,
    # Retried with nothing left to do: all its phases completed while it was being stopped.
    (_E.PENDING, _EX.COMPLETE): _E.COMPLETED,
    (_E.PENDING, _EX.FAIL): _E.FAILED,
    (_E.PENDING, _EX.CANCEL): _E.CANCELLED,
    (_E.RUNNING, _EX.PAUSE): _E.PAUSED,
    (_E.RUNNING, _EX.STOP): _E.CANCELLING,
    (_E.RUNNING, _EX.COMPLETE): _E.COMPLETED,
    (_E.RUNNING, _EX.FAIL): _E.FAILED,
    (_E.RUNNING, _EX.CANCEL): _E.CANCELLED,
    (_E.PAUSED, _EX.RESUME): _E.PENDING,
    (_E.PAUSED, _EX.PROCEED): _E.RUNNING,
    (_E.PAUSED, _EX.STOP): _E.CANCELLING,
    (_E.PAUSED, _EX.COMPLETE): _E.COMPLETED,
    (_E.PAUSED, _EX.FAIL): _E.FAILED,
    (_E.PAUSED, _EX.CANCEL): _E.CANCELLED,
    (_E.CANCELLING, _EX.FAIL): _E.FAILED,
    (_E.CANCELLING, _EX.CANCEL): _E.CANCELLED,
    (_E.FAILED, _EX.RETRY): _E.PENDING,
    (_E.CANCELLED, _EX.RETRY): _E.PENDING,
}

_P, _PX = PhaseStatus, PhaseTrigger
# Phases are not held back by a pause: they wait READY, and `may_lease` says no.
PHASE_TRANSITIONS: Mapping[tuple[PhaseStatus, PhaseTrigger], PhaseStatus] = {
    (_P.PENDING, _PX.PREPARE): _P.READY,
    (_P.PENDING, _PX.CANCEL): _P.CANCELLED,
    (_P.PENDING, _PX.SKIP): _P.SKIPPED,
    (_P.READY, _PX.LEASE): _P.RUNNING,
    (_P.READY, _PX.CANCEL): _P.CANCELLED,
    (_P.READY, _PX.SKIP): _P.SKIPPED,
    (_P.RUNNING, _PX.RELEASE): _P.PENDING,
    (_P.RUNNING, _PX.REPEAT): _P.PENDING,
    (_P.RUNNING, _PX.COMPLETE): _P.COMPLETED,
    (_P.RUNNING, _PX.FAIL): _P.FAILED,
    (_P.RUNNING, _PX.CANCEL): _P.CANCELLED,
    (_P.FAILED, _PX.RETRY): _P.PENDING,
    (_P.CANCELLED, _PX.RETRY): _P.PENDING,
    (_P.SKIPPED, _PX.RETRY): _P.PENDING,
}

# Derived, so that they cannot disagree with the tables: only Retry leaves a terminal status.
TERMINAL = frozenset(ExecutionStatus) - {
    source for source, trigger in EXECUTION_TRANSITIONS if trigger is not ExecutionTrigger.RETRY
}
ACTIVE = frozenset(ExecutionStatus) - TERMINAL
PHASE_TERMINAL = frozenset(PhaseStatus) - {
    source for source, trigger in PHASE_TRANSITIONS if trigger is not PhaseTrigger.RETRY
}


def has_not_begun(status: ExecutionStatus) -> bool:
    """Whether the first phase to be leased begins the run."""
    return status is ExecutionStatus.PENDING


def is_paused(status: ExecutionStatus) -> bool:
    """Whether no phase begins until Resume."""
    return status is ExecutionStatus.PAUSED


def is_cancelling(status: ExecutionStatus) -> bool:
    """Whether only workers that have yet to stop keep it from its end."""
    return status is ExecutionStatus.CANCELLING


def is_going(status: ExecutionStatus) -> bool:
    """Whether phases begin as they can: there is no pause to be ended, and no end in sight."""
    return status is ExecutionStatus.PENDING or status is ExecutionStatus.RUNNING


def may_lease(status: ExecutionStatus, phase_status: PhaseStatus) -> bool:
    """Whether a phase can be leased."""
    return phase_status is PhaseStatus.READY and status is not ExecutionStatus.PAUSED


def has_succeeded(status: ExecutionStatus) -> bool:
    """Whether every phase has produced its output."""
    return status is ExecutionStatus.COMPLETED


def is_leased(status: PhaseStatus) -> bool:
    """Whether a worker has the phase."""
    return status is PhaseStatus.RUNNING


def is_held(status: PhaseStatus) -> bool:
    """Whether something keeps the phase from being leased."""
    return status is PhaseStatus.PENDING


def is_waiting(status: PhaseStatus) -> bool:
    """Whether the phase, or its next attempt, has yet to begin."""
    return status is PhaseStatus.PENDING or status is PhaseStatus.READY


def is_completed(status: PhaseStatus) -> bool:
    """Whether the phase has produced its output."""
    return status is PhaseStatus.COMPLETED


def has_failed(status: PhaseStatus) -> bool:
    """Whether the phase is out of attempts."""
    return status is PhaseStatus.FAILED


_Status = TypeVar("_Status", ExecutionStatus, PhaseStatus)
_Trigger = TypeVar("_Trigger", ExecutionTrigger, PhaseTrigger)


def step(status: ExecutionStatus, trigger: ExecutionTrigger, subject: str = "") -> ExecutionStatus:
    """Return the status after *trigger*, or raise `IllegalTransition` naming *subject*."""
    return _step("execution", EXECUTION_TRANSITIONS, status, trigger, subject)


def phase_step(status: PhaseStatus, trigger: PhaseTrigger, subject: str = "") -> PhaseStatus:
    """Return the status after *trigger*, or raise `IllegalTransition` naming *subject*."""
    return _step("phase", PHASE_TRANSITIONS, status, trigger, subject)


def _step(
    resource: str,
    table: Mapping[tuple[_Status, _Trigger], _Status],
    status: _Status,
    trigger: _Trigger,
    subject: str,
) -> _Status:
    try:
        return table[status, trigger]
    except KeyError:
        raise IllegalTransition(resource, status, trigger, subject=subject) from None
