"""What callers do to an execution that exists: cancel, pause, resume and retry it."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec.structs import replace

from phaseline.domain.advance import DEFAULT_GRACE, settle, stopping
from phaseline.domain.errors import FailedPrecondition, Reason
from phaseline.domain.execution import Execution, Phase
from phaseline.domain.failure import Cancellation, Failure, FailureKind
from phaseline.domain.lifecycle import (
    ExecutionStatus,
    ExecutionTrigger,
    PhaseStatus,
    PhaseTrigger,
    phase_step,
    step,
)


def cancel(
    execution: Execution, cancellation: Cancellation, grace: timedelta = DEFAULT_GRACE
) -> Execution:
    """Return *execution* told to stop; unchanged if it is stopping or has ended."""
    if execution.done or stopping(execution):
        return execution
    stopped = replace(execution, cancellation=cancellation)
    return settle(stopped, cancellation.cancelled_at, grace)


def pause(execution: Execution, now: datetime) -> Execution:
    """Return *execution* beginning no further phase; unchanged if it is paused."""
    if execution.status is ExecutionStatus.PAUSED:
        return execution
    status = step(execution.status, ExecutionTrigger.PAUSE)
    return settle(replace(execution, status=status, paused_at=now), now)


def resume(execution: Execution, now: datetime) -> Execution:
    """Return *execution* going on after a pause; unchanged if there is none."""
    if execution.status in (ExecutionStatus.PENDING, ExecutionStatus.RUNNING):
        return execution
    begun = execution.run_started_at is not None
    status = step(execution.status, ExecutionTrigger.PROCEED if begun else ExecutionTrigger.RESUME)
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
    if execution.is_purged:
        raise FailedPrecondition(
            f"execution {execution.spec.execution_id!r} is purged, its content is gone",
            reason=Reason.EXECUTION_PURGED,
            subject=execution.spec.execution_id,
        )
    status = step(execution.status, ExecutionTrigger.RETRY)
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
            f"{over.message}: raise max_budget_usd",
            reason=Reason.BUDGET_EXCEEDED,
            subject=execution.spec.execution_id,
        )
    return settle(again, now)


def over_budget(execution: Execution) -> Failure | None:
    """Return why the budget of *execution*, over its whole tree, stops it; None if it does not."""
    budget, spent = execution.max_budget_nanos, execution.tree_usage
    if budget is None:
        return None
    if spent.cost_nanos >= budget:
        return Failure(
            FailureKind.BUDGET_EXCEEDED,
            "BUDGET_EXCEEDED",
            "the budget is used up",
            retryable=False,
        )
    if not spent.cost_complete:
        return Failure(
            FailureKind.BUDGET_EXCEEDED,
            "MODEL_PRICE_UNKNOWN",
            "the price of a model is unknown, so the budget cannot be kept",
            retryable=False,
        )
    return None


def _anew(phase: Phase) -> Phase:
    if phase.status is PhaseStatus.COMPLETED:
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
