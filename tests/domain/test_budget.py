"""Budgets: reached, exceeded, and impossible to keep."""

import pytest
from msgspec.structs import replace

from phaseline.domain.budget import budget_left, over_budget
from phaseline.domain.execution import Execution
from phaseline.domain.failure import FailureKind
from phaseline.domain.usage import Usage
from tests.support import make

DOLLAR = 10**9


def _spent(cost_nanos: int, budget: int | None, below: int = 0, unpriced: int = 0) -> Execution:
    return replace(
        make.execution(max_budget_nanos=budget),
        usage=Usage(cost_nanos=cost_nanos, unpriced_models=unpriced),
        below=Usage(cost_nanos=below),
    )


def test_without_a_budget_nothing_is_too_much() -> None:
    assert over_budget(_spent(10**15, None, unpriced=3)) is None


@pytest.mark.parametrize(
    ("spent", "below", "is_over"),
    [(0, 0, False), (9, 0, False), (10, 0, True), (11, 0, True), (4, 5, False), (5, 5, True)],
)
def test_a_budget_is_over_once_the_tree_has_reached_it(
    spent: int, below: int, is_over: bool
) -> None:
    assert (over_budget(_spent(spent, 10, below)) is not None) is is_over


def test_what_costs_nothing_goes_on_without_money() -> None:
    assert over_budget(_spent(0, 0)) is None
    assert over_budget(_spent(1, 0)) is not None


def test_the_failure_tells_what_was_spent_and_by_how_much_too_much() -> None:
    failure = over_budget(_spent(12 * DOLLAR + 5, 10 * DOLLAR))
    assert failure is not None
    assert (failure.kind, failure.code) == (FailureKind.BUDGET_EXCEEDED, "BUDGET_EXCEEDED")
    assert failure.message == "12.000000005 of 10 US dollars are spent"
    assert failure.details == {
        "max_budget_usd": "10",
        "spent_usd": "12.000000005",
        "overshoot_usd": "2.000000005",
    }
    assert failure.retryable is False


def test_a_budget_cannot_be_kept_without_a_price() -> None:
    failure = over_budget(_spent(1, 10, unpriced=1))
    assert failure is not None
    assert (failure.kind, failure.code) == (FailureKind.BUDGET_EXCEEDED, "MODEL_PRICE_UNKNOWN")
    # Certain before unknown.
    failure = over_budget(_spent(10, 10, unpriced=1))
    assert failure is not None
    assert failure.code == "BUDGET_EXCEEDED"


@pytest.mark.parametrize(
    ("execution", "left"),
    [(_spent(3, None), None), (_spent(3, 10, 2), 5), (_spent(30, 10), 0)],
)
def test_what_is_left_is_never_less_than_nothing(execution: Execution, left: int | None) -> None:
    assert budget_left(execution) == left
