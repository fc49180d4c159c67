"""Watches that a run does not cost more than is left."""

from __future__ import annotations

from collections.abc import Sequence

from phaseline.app.prices import PriceList
from phaseline.domain.usage import ModelUsage


class Budget:
    """
    What a run may cost, in nano-dollars; None means no limit.

    A model without a price costs nothing here: whether it may be used at all is for the server to
    say, which learns of it.
    """

    def __init__(self, nanos: int | None, prices: PriceList) -> None:
        self._nanos = nanos
        self._prices = prices

    def prepare(self) -> None:
        """Load the prices, if they are needed. Blocks."""
        if self._nanos is not None:
            self.is_used_up_by([ModelUsage("unknown", 1)])

    def is_used_up_by(self, models: Sequence[ModelUsage]) -> bool:
        """Return whether *models* have cost as much as there is."""
        if self._nanos is None or not models:
            return False
        return sum(map(self._cost, models)) >= self._nanos

    def _cost(self, usage: ModelUsage) -> int:
        if usage.cost_nanos is not None:
            return usage.cost_nanos
        return self._prices.cost_nanos(usage) or 0
