"""When time alone changes an execution: a lease ends, a delay passes, a limit is reached."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from phaseline.domain.lifecycle import is_completed

if TYPE_CHECKING:
    # The other way round at run time: an execution knows when it is due.
    from phaseline.domain.execution import Execution, Lease, Phase

# A worker ends its attempt itself and reports what was spent; the server steps in only if it
# does not, so it must be the later of the two.
TIMEOUT_MARGIN = timedelta(seconds=5)
# A third of the lease: two heartbeats may be lost before the lease is.
_HEARTBEATS = 3
# A worker learns with its next report that it is to stop, so it must not be silent for long.
_LONGEST_SILENCE = timedelta(seconds=5)


def next_moment(execution: Execution) -> datetime | None:
    """Return the next moment at which time alone changes *execution*."""
    if execution.done:
        return None
    is_stopping = execution.stopping
    due = None if is_stopping else _earlier(run_deadline(execution), execution.waits_until)
    for position, phase in enumerate(execution.phases):
        if phase.lease is not None:
            due = _earlier(due, lease_end(phase.lease))
        elif (
            phase.next_attempt_at is not None
            and not is_stopping
            and not is_blocked(execution, position)
        ):
            due = _earlier(due, begins_at(execution, phase))
    return due


def heartbeat_interval(lease: Lease) -> timedelta:
    """Return how often at least the worker that holds *lease* is to report."""
    return min(lease.duration / _HEARTBEATS, _LONGEST_SILENCE)


def lease_end(lease: Lease) -> datetime:
    """Return when *lease* ends unless its worker reports before."""
    end = lease.expires_at
    if lease.stop_by is not None and lease.stop_by < end:
        end = lease.stop_by
    if lease.deadline is not None and lease.deadline + TIMEOUT_MARGIN < end:
        end = lease.deadline + TIMEOUT_MARGIN
    if lease.held_until is not None and lease.held_until > end:
        end = lease.held_until
    return end


def run_deadline(execution: Execution) -> datetime | None:
    """Return when run_timeout ends the run; None without one, before it, and while paused."""
    if execution.run_timeout is None or execution.run_started_at is None or execution.paused_at:
        return None
    return execution.run_started_at + execution.run_timeout + execution.paused_for


def is_blocked(execution: Execution, position: int) -> bool:
    """Whether an earlier phase, or its concurrency limit, keeps a phase from beginning."""
    if not execution.admitted:
        return True
    phases = execution.phases
    for other in execution.workflow.dependencies[position]:
        if not is_completed(phases[other].status):
            return True
    return False


def begins_at(execution: Execution, phase: Phase) -> datetime | None:
    """Return the time before which *phase* may not begin, if there is one."""
    if phase.next_attempt_at is None or execution.waits_until is None:
        return phase.next_attempt_at or execution.waits_until
    return max(phase.next_attempt_at, execution.waits_until)


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    if one is None or other is None:
        return one or other
    return min(one, other)
