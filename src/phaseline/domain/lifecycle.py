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


def is_paused(status: ExecutionStatus) -> bool:
    """Whether no phase begins until Resume."""
    return status is ExecutionStatus.PAUSED


_Status = TypeVar("_Status", ExecutionStatus, PhaseStatus)
_Trigger = TypeVar("_Trigger", ExecutionTrigger, PhaseTrigger)


def step(status: ExecutionStatus, trigger: ExecutionTrigger) -> ExecutionStatus:
    """Return the status of an execution after *trigger*, or raise `IllegalTransition`."""
    return _step("execution", EXECUTION_TRANSITIONS, status, trigger)


def phase_step(status: PhaseStatus, trigger: PhaseTrigger) -> PhaseStatus:
    """Return the status of a phase after *trigger*, or raise `IllegalTransition`."""
    return _step("phase", PHASE_TRANSITIONS, status, trigger)


def _step(
    resource: str,
    table: Mapping[tuple[_Status, _Trigger], _Status],
    status: _Status,
    trigger: _Trigger,
) -> _Status:
    try:
        return table[status, trigger]
    except KeyError:
        raise IllegalTransition(resource, status, trigger) from None
