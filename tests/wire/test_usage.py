"""Tokens, cost and credits are exact on the wire."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phaseline.domain.money import MAX_NANOS
from phaseline.domain.usage import NO_USAGE, ModelUsage, Usage
from phaseline.v1 import usage_pb2
from phaseline.wire.reading import Checks
from phaseline.wire.usage import (
    cost_by_model,
    model_usage_message,
    put_usage,
    read_model_usage,
    read_usage_by_model,
)
from tests.wire.samples import COSTLY, UNPRICED, USAGE

counts = st.integers(0, 10**12)
model_usages = st.builds(
    ModelUsage,
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1).map(
        lambda text: text[:128]
    ),
    counts,
    counts,
    counts,
    counts,
    st.none() | st.integers(0, MAX_NANOS),
)


def shown(usage: Usage) -> usage_pb2.Usage:
    message = usage_pb2.Usage()
    put_usage(message, usage)
    return message


def test_every_figure_is_told() -> None:
    assert shown(USAGE) == usage_pb2.Usage(
        input_tokens=101,
        output_tokens=202,
        cache_creation_tokens=303,
        cache_read_tokens=404,
        total_tokens=1010,
        cost_usd="1.5",
        cost_complete=False,
        credits_used="2.5",
        tool_call_count=7,
    )


def test_no_usage_costs_nothing_and_says_so() -> None:
    nothing = usage_pb2.Usage(cost_usd="0", cost_complete=True, credits_used="0")
    assert shown(NO_USAGE) == nothing


@given(model_usages)
def test_the_usage_of_a_model_survives(usage: ModelUsage) -> None:
    checks = Checks()
    message = usage_pb2.ModelUsage.FromString(model_usage_message(usage).SerializeToString())
    assert read_model_usage(message, checks) == usage
    assert checks.found == []
    assert message.total_tokens == usage.total_tokens


def test_an_unknown_cost_is_empty() -> None:
    assert model_usage_message(UNPRICED).cost_usd == ""
    assert cost_by_model([COSTLY, UNPRICED]) == {"claude-large": "1.5"}


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (usage_pb2.ModelUsage(), "model"),
        (usage_pb2.ModelUsage(model="m" * 129), "model"),
        (usage_pb2.ModelUsage(model="m", input_tokens=-1), "input_tokens"),
        (usage_pb2.ModelUsage(model="m", output_tokens=10**12 + 1), "output_tokens"),
        (usage_pb2.ModelUsage(model="m", cache_creation_tokens=-1), "cache_creation_tokens"),
        (usage_pb2.ModelUsage(model="m", cache_read_tokens=-1), "cache_read_tokens"),
        (usage_pb2.ModelUsage(model="m", cost_usd="-1"), "cost_usd"),
    ],
)
def test_what_is_wrong_with_the_usage_of_a_model_has_its_path(
    message: usage_pb2.ModelUsage, field: str
) -> None:
    checks = Checks()
    read_usage_by_model([model_usage_message(COSTLY), message], checks)
    assert [each.field for each in checks.found] == [f"usage_by_model[1].{field}"]


@pytest.mark.parametrize(("count", "found"), [(100, []), (101, ["usage_by_model"])])
def test_the_usage_of_an_attempt_has_a_limit_of_models(count: int, found: list[str]) -> None:
    checks = Checks()
    read_usage_by_model([model_usage_message(UNPRICED)] * count, checks)
    assert [each.field for each in checks.found] == found


def test_an_attempt_cannot_cost_more_than_an_amount_can_say() -> None:
    most = usage_pb2.ModelUsage(model="m", cost_usd="999999999.999999999")
    more = usage_pb2.ModelUsage(model="n", cost_usd="0.000000001")
    checks = Checks()
    read_usage_by_model([most, model_usage_message(UNPRICED)], checks)
    assert checks.found == []
    read_usage_by_model([most, more], checks)
    assert [each.field for each in checks.found] == ["usage_by_model"]
