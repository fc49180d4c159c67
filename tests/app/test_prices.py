"""What tokens cost: the operator's prices first, then the public list, and never a guess."""

from decimal import Decimal

import pytest

from phaseline.app.prices import Price, PriceList
from phaseline.domain.usage import ModelUsage

MILLION = 1_000_000
DOLLAR = 10**9


def test_a_price_counts_each_kind_of_token() -> None:
    price = Price(Decimal(1), Decimal(20), Decimal(300), Decimal(4000))
    usage = ModelUsage("m", MILLION, 2 * MILLION, 3 * MILLION, 4 * MILLION)
    assert price.cost_nanos(usage) == (1 + 40 + 900 + 16_000) * DOLLAR


@pytest.mark.parametrize(
    ("tokens", "nanos"), [(1, 0), (2, 1), (3, 2), (5, 2), (7, 4), (10**15, 5 * 10**14)]
)
def test_a_price_is_rounded_half_to_even(tokens: int, nanos: int) -> None:
    # Half a nano-dollar a token.
    price = Price(input=Decimal("0.0005"), output=Decimal(0))
    assert price.cost_nanos(ModelUsage("m", tokens)) == nanos


async def test_public_prices_are_known_once_they_are_learnt() -> None:
    usage = ModelUsage("claude-sonnet-4-5", input_tokens=MILLION, output_tokens=MILLION)
    prices = PriceList()
    await prices.learn([usage.model])
    assert prices.cost_nanos(usage) == 18 * DOLLAR


def test_public_prices_are_looked_up_if_nobody_has_learnt_them() -> None:
    assert PriceList().cost_nanos(ModelUsage("claude-sonnet-4-5", MILLION)) == 3 * DOLLAR
    assert PriceList().cost_nanos(ModelUsage("nobody-knows-it", MILLION)) is None


async def test_cached_tokens_have_their_own_prices() -> None:
    prices = PriceList()
    await prices.learn(["claude-sonnet-4-5"])
    written = ModelUsage("claude-sonnet-4-5", cache_creation_tokens=MILLION)
    read = ModelUsage("claude-sonnet-4-5", cache_read_tokens=MILLION)
    assert prices.cost_nanos(written) == 3_750_000_000
    assert prices.cost_nanos(read) == 300_000_000


async def test_many_short_requests_are_not_priced_as_a_long_one() -> None:
    prices = PriceList()
    await prices.learn(["gemini-2.5-pro"])
    few = prices.cost_nanos(ModelUsage("gemini-2.5-pro", input_tokens=1000, output_tokens=1000))
    many = prices.cost_nanos(
        ModelUsage("gemini-2.5-pro", input_tokens=MILLION, output_tokens=MILLION)
    )
    assert few is not None
    assert many == 1000 * few


async def test_a_model_that_nobody_prices_stays_unknown() -> None:
    prices = PriceList()
    await prices.learn(["nobody-knows-it"])
    assert prices.cost_nanos(ModelUsage("nobody-knows-it", 1)) is None


def test_nothing_costs_nothing_whoever_priced_it() -> None:
    assert PriceList().cost_nanos(ModelUsage("nobody-knows-it")) == 0


async def test_prices_of_the_operator_go_first() -> None:
    prices = PriceList({"claude-sonnet-4-5": Price(Decimal(1), Decimal(1))})
    await prices.learn(["claude-sonnet-4-5"])
    assert prices.cost_nanos(ModelUsage("claude-sonnet-4-5", MILLION)) == DOLLAR
