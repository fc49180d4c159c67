"""Budgets: what an execution and all below it may cost."""

from __future__ import annotations

from phaseline.domain.execution import Execution
from phaseline.domain.failure import Failure, FailureKind
from phaseline.domain.money import format_amount

USED_UP = "BUDGET_EXCEEDED"
PRICE_UNKNOWN = "MODEL_PRICE_UNKNOWN"


def over_budget(execution: Execution) -> Failure | None:
    """Return why the budget of *execution*, over its whole tree, stops it; None if it does not."""
    budget = execution.max_budget_nanos
    if budget is None:
        return None
    spent = execution.tree_usage
    # What costs nothing may go on, even on a budget of nothing.
    if spent.cost_nanos >= budget and spent.cost_nanos > 0:
        return Failure(
            FailureKind.BUDGET_EXCEEDED,
            USED_UP,
            f"{format_amount(spent.cost_nanos)} of {format_amount(budget)} US dollars are spent",
            retryable=False,
            details={
                "max_budget_usd": format_amount(budget),
                "spent_usd": format_amount(spent.cost_nanos),
                "overshoot_usd": format_amount(spent.cost_nanos - budget),
            },
        )
    if not spent.cost_complete:
        return Failure(
            FailureKind.BUDGET_EXCEEDED,
            PRICE_UNKNOWN,
            "the price of a model is unknown, so the budget cannot be kept",
            retryable=False,
        )
    return None


def budget_left(execution: Execution) -> int | None:
    """Return what *execution* and all below it may still cost, in nano-dollars; None: no limit."""
    if execution.max_budget_nanos is None:
        return None
    return max(execution.max_budget_nanos - execution.tree_usage.cost_nanos, 0)
