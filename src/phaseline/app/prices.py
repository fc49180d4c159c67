"""What tokens cost: the operator's own prices first, then the public list."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Mapping
from decimal import ROUND_HALF_EVEN, Decimal

import msgspec

from phaseline.domain.money import NANOS_PER_UNIT
from phaseline.domain.usage import ModelUsage

_PER = Decimal(1_000_000)
_FEW = 1000
_KEPT_PRICES = 4096


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
        self._public: OrderedDict[str, Price | None] = OrderedDict()

    def cost_nanos(self, usage: ModelUsage) -> int | None:
        """
        Return what *usage* costs in nano-dollars, or None when its model has no known price.

        Blocks while it looks up a model that it has not met, unless `learn` did so before.
        """
        if usage.total_tokens == 0:
            return 0
        price = self._own.get(usage.model)
        if price is None:
            if usage.model not in self._public:
                self._keep(usage.model, _public_price(usage.model))
            price = self._public[usage.model]
        return None if price is None else price.cost_nanos(usage)

    async def learn(self, models: Collection[str]) -> None:
        """Look up *models*, so that `cost_nanos` need not."""
        for model in models:
            if model not in self._own and model not in self._public:
                # In a thread: loading the list takes a second, not finding a model milliseconds.
                self._keep(model, await asyncio.to_thread(_public_price, model))

    def _keep(self, model: str, price: Price | None) -> None:
        self._public[model] = price
        while len(self._public) > _KEPT_PRICES:
            self._public.popitem(last=False)


def _public_price(model: str) -> Price | None:
    # Imported late: its price tables take memory and time, and many servers never need them.
    from genai_prices import Usage, calc_price

    def dollars(**usage: int) -> Decimal:
        """Return the price of a million tokens, from that of few."""
        return calc_price(Usage(**usage), model_ref=model).total_price * (_PER / _FEW)

    # By parts, and for few tokens: what is reported is the sum over many requests, and a price that
    # rises with the length of a request must not rise with their number.
    try:
        return Price(
            input=dollars(input_tokens=_FEW),
            output=dollars(output_tokens=_FEW),
            cache_creation=dollars(input_tokens=_FEW, cache_write_tokens=_FEW),
            cache_read=dollars(input_tokens=_FEW, cache_read_tokens=_FEW),
        )
    except LookupError:
        return None
