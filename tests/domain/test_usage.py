"""Sums of tokens and cost."""

from hypothesis import given
from hypothesis import strategies as st

from phaseline.domain.usage import NO_USAGE, ModelUsage, Usage, merge, total

COUNTS = st.integers(0, 10**12)
MODELS = st.builds(
    ModelUsage,
    st.sampled_from(["a", "b", "c"]),
    COUNTS,
    COUNTS,
    COUNTS,
    COUNTS,
    st.none() | COUNTS,
)
USAGES = st.builds(Usage, *[COUNTS] * 8)


def test_the_four_counts_are_disjoint_and_sum_up() -> None:
    assert ModelUsage("m", 1, 20, 300, 4000).total_tokens == 4321
    assert Usage(1, 20, 300, 4000).total_tokens == 4321


def test_every_amount_is_added_and_taken_off() -> None:
    one = Usage(1, 2, 3, 4, 5, 6, 7, 8)
    assert one + one == Usage(2, 4, 6, 8, 10, 12, 14, 16)
    assert one + one - one == one


def test_a_total_has_what_models_spent_and_what_belongs_to_none() -> None:
    models = [ModelUsage("a", 1, 2, 3, 4, 5), ModelUsage("b", 10, 20, 30, 40)]
    assert total(models, credits_nanos=7, tool_calls=8) == Usage(11, 22, 33, 44, 5, 1, 7, 8)
    assert total([]) == NO_USAGE


def test_a_cost_is_complete_unless_some_price_is_unknown() -> None:
    assert NO_USAGE.cost_complete
    assert total([ModelUsage("a", cost_nanos=0)]).cost_complete
    assert not total([ModelUsage("a", cost_nanos=5), ModelUsage("b")]).cost_complete


def test_merging_gives_one_entry_a_model_the_costliest_first() -> None:
    merged = merge(
        [ModelUsage("a", 1, 2, 3, 4, 5), ModelUsage("c", cost_nanos=100)],
        [ModelUsage("a", 10, 20, 30, 40, 50), ModelUsage("b", 7)],
    )
    assert merged == (
        ModelUsage("c", cost_nanos=100),
        ModelUsage("a", 11, 22, 33, 44, 55),
        ModelUsage("b", 7),
    )


def test_equally_costly_models_are_in_the_order_of_tokens_then_names() -> None:
    merged = merge([ModelUsage("b", 1), ModelUsage("a", 1), ModelUsage("z", 2)])
    assert [usage.model for usage in merged] == ["z", "a", "b"]


def test_a_sum_with_an_unknown_price_is_unknown() -> None:
    (merged,) = merge([ModelUsage("a", cost_nanos=5)], [ModelUsage("a", 1)])
    assert merged == ModelUsage("a", 1, cost_nanos=None)
    (merged,) = merge([ModelUsage("a", 1)], [ModelUsage("a", cost_nanos=5)])
    assert merged.cost_nanos is None


@given(USAGES, USAGES, USAGES)
def test_adding_usage_is_adding_numbers(a: Usage, b: Usage, c: Usage) -> None:
    assert (a + b) + c == c + (b + a)
    assert a + NO_USAGE == a
    assert (a + b) - b == a


@given(st.lists(st.lists(MODELS)))
def test_merging_changes_no_token_count(reports: list[list[ModelUsage]]) -> None:
    everything = total(usage for report in reports for usage in report)
    merged = total(merge(*reports))
    assert merged.total_tokens == everything.total_tokens
    assert merged.cost_complete == everything.cost_complete


@given(st.lists(MODELS.filter(lambda usage: usage.cost_nanos is not None)))
def test_merging_changes_no_cost(models: list[ModelUsage]) -> None:
    assert total(merge(models)) == total(models)
