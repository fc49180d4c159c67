"""What callers do to an execution that exists: cancel, pause, resume and retry it."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec.structs import replace

from phaseline.domain.advance import DEFAULT_GRACE, settle
from phaseline.domain.budget import PRICE_UNKNOWN, over_budget
from phaseline.domain.errors import FailedPrecondition, Reason
from phaseline.domain.execution import Execution, Phase
from phaseline.domain.failure import Cancellation
from phaseline.domain.lifecycle import (
    ExecutionTrigger,
    PhaseTrigger,
    is_completed,
    is_going,
    is_paused,
    phase_step,
    step,
)


def cancel(
    execution: Execution, cancellation: Cancellation, grace: timedelta = DEFAULT_GRACE
) -> Execution:
    """Return *execution* told to stop; unchanged if it is stopping or has ended."""
    if execution.done or execution.stopping:
        return execution
    stopped = replace(execution, cancellation=cancellation)
    return settle(stopped, cancellation.cancelled_at, grace)


def pause(execution: Execution, now: datetime) -> Execution:
    """Return *execution* beginning no further phase; unchanged if it is paused."""
    if is_paused(execution.status):
        return execution
    status = step(execution.status, ExecutionTrigger.PAUSE, execution.spec.execution_id)
    return settle(replace(execution, status=status, paused_at=now), now)


def resume(execution: Execution, now: datetime) -> Execution:
    """Return *execution* going on after a pause; unchanged if there is none."""
    if is_going(execution.status):
        return execution
    begun = is_paused(execution.status) and execution.run_started_at is not None
    # What is not paused is refused in the word of whoever asked.
    trigger = ExecutionTrigger.PROCEED if begun else ExecutionTrigger.RESUME
    status = step(execution.status, trigger, execution.spec.execution_id)
    assert execution.paused_at is not None, "a paused execution knows since when"
    # A pause before the run began takes nothing from a time limit that does not run yet.
    paused_for = execution.paused_for + (now - execution.paused_at if begun else timedelta())
    return settle(replace(execution, status=status, paused_at=None, paused_for=paused_for), now)


def retry(
    execution: Execution,
    now: datetime,
    *,
    max_budget_nanos: int | None = None,
    run_timeout: timedelta | None = None,
) -> Execution:
    """Return *execution* ready to run again from its first unfinished phase."""
    execution_id = execution.spec.execution_id
    status = step(execution.status, ExecutionTrigger.RETRY, execution_id)
    if execution.is_purged:
        raise FailedPrecondition(
            f"execution {execution_id!r} is purged, so there is nothing left to run it with",
            reason=Reason.EXECUTION_PURGED,
            subject=execution_id,
        )
    again = replace(
        execution,
        status=status,
        phases=tuple(_anew(phase) for phase in execution.phases),
        completed_at=None,
        run_started_at=None,
        paused_at=None,
        paused_for=timedelta(),
        cancellation=None,
        failure=None,
        admitted=execution.workflow.spec.concurrency is None,
        max_budget_nanos=(
            execution.max_budget_nanos if max_budget_nanos is None else max_budget_nanos
        ),
        run_timeout=run_timeout or execution.run_timeout,
    )
    over = over_budget(again)
    if over is not None:
        raise FailedPrecondition(
            over.message if over.code == PRICE_UNKNOWN else f"{over.message}: raise max_budget_usd",
            reason=Reason.BUDGET_EXCEEDED,
            subject=execution_id,
        )
    return settle(again, now)


def _anew(phase: Phase) -> Phase:
    if is_completed(phase.status):
        return phase
    return replace(
        phase,
        status=phase_step(phase.status, PhaseTrigger.RETRY),
        attempts_forgiven=phase.attempt,
        next_attempt_at=None,
        completed_at=None,
        failure=None,
        progress=None,
    )
