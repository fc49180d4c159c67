"""What tokens cost: the operator's own prices first, then the public list."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache

import msgspec

from phaseline.domain.money import NANOS_PER_UNIT
from phaseline.domain.usage import ModelUsage

_PER = Decimal(1_000_000)


class Price(msgspec.Struct, frozen=True):
    """US dollars for a million tokens of one model, exact."""

    input: Decimal
    output: Decimal
    cache_creation: Decimal = Decimal(0)
    cache_read: Decimal = Decimal(0)

    def cost_nanos(self, usage: ModelUsage) -> int:
        """Return the cost of *usage*, rounded half to even to a nano-dollar."""
        dollars = (
            self.input * usage.input_tokens
            + self.output * usage.output_tokens
            + self.cache_creation * usage.cache_creation_tokens
            + self.cache_read * usage.cache_read_tokens
        ) / _PER
        return int((dollars * NANOS_PER_UNIT).to_integral_value(ROUND_HALF_EVEN))


class PriceList:
    """Prices by model. *own* are the operator's, and go before the public list."""

    def __init__(self, own: Mapping[str, Price] | None = None) -> None:
        self._own = dict(own or {})

    def cost_nanos(self, usage: ModelUsage) -> int | None:
        """Return what *usage* costs in nano-dollars, or None when its model has no known price."""
        if usage.total_tokens == 0:
            return 0
        own = self._own.get(usage.model)
        return _public_cost(usage) if own is None else own.cost_nanos(usage)


@lru_cache(maxsize=4096)
def _public_cost(usage: ModelUsage) -> int | None:
    # Imported late: its price tables take a while to load, and many servers never need them.
    from genai_prices import Usage, calc_price

    cached = usage.cache_creation_tokens + usage.cache_read_tokens
    try:
        price = calc_price(
            Usage(
                input_tokens=usage.input_tokens + cached,
                output_tokens=usage.output_tokens,
                cache_write_tokens=usage.cache_creation_tokens,
                cache_read_tokens=usage.cache_read_tokens,
            ),
            model_ref=usage.model,
        )
    except LookupError:
        return None
    return int((price.total_price * NANOS_PER_UNIT).to_integral_value(ROUND_HALF_EVEN))
