"""Tokens and cost: by model as workers report them, and summed up as everything shows them."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

#: The most that a figure of a total can be: what 64 bits hold, in the store and on the wire.
MOST = 2**63 - 1


class ModelUsage(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one model consumed. The four token counts are disjoint."""

    model: str
    input_tokens: int = 0
    output_tokens: int = 0
    cache_creation_tokens: int = 0
    cache_read_tokens: int = 0
    #: Nano-dollars; `None` while nobody knows the price of the model.
    cost_nanos: int | None = None

    @property
    def total_tokens(self) -> int:
        return (
            self.input_tokens
            + self.output_tokens
            + self.cache_creation_tokens
            + self.cache_read_tokens
        )


class Usage(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What something consumed in all. Adding two is the only way that totals come about."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_creation_tokens: int = 0
    cache_read_tokens: int = 0
    cost_nanos: int = 0
    #: How many models in the sum have no known price; the cost is a lower bound unless it is 0.
    unpriced_models: int = 0
    credits_nanos: int = 0
    tool_call_count: int = 0

    @property
    def total_tokens(self) -> int:
        return (
            self.input_tokens
            + self.output_tokens
            + self.cache_creation_tokens
            + self.cache_read_tokens
        )

    @property
    def cost_complete(self) -> bool:
        return self.unpriced_models == 0

    @property
    def can_be_told(self) -> bool:
        """Whether all figures are within what a total can be."""
        return max(self.total_tokens, self.cost_nanos, self.credits_nanos) <= MOST

    def __add__(self, other: Usage) -> Usage:
        # Written out: it runs several times for every report.
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cache_creation_tokens + other.cache_creation_tokens,
            self.cache_read_tokens + other.cache_read_tokens,
            self.cost_nanos + other.cost_nanos,
            self.unpriced_models + other.unpriced_models,
            self.credits_nanos + other.credits_nanos,
            self.tool_call_count + other.tool_call_count,
        )

    def __sub__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens - other.input_tokens,
            self.output_tokens - other.output_tokens,
            self.cache_creation_tokens - other.cache_creation_tokens,
            self.cache_read_tokens - other.cache_read_tokens,
            self.cost_nanos - other.cost_nanos,
            self.unpriced_models - other.unpriced_models,
            self.credits_nanos - other.credits_nanos,
            self.tool_call_count - other.tool_call_count,
        )


NO_USAGE = Usage()


def total(models: Iterable[ModelUsage], *, credits_nanos: int = 0, tool_calls: int = 0) -> Usage:
    """Return the sum over *models*, with the credits and tool calls that belong to no model."""
    usage = Usage(credits_nanos=credits_nanos, tool_call_count=tool_calls)
    for model in models:
        usage += Usage(
            input_tokens=model.input_tokens,
            output_tokens=model.output_tokens,
            cache_creation_tokens=model.cache_creation_tokens,
            cache_read_tokens=model.cache_read_tokens,
            cost_nanos=model.cost_nanos or 0,
            unpriced_models=model.cost_nanos is None,
        )
    return usage


def merge(*reports: Iterable[ModelUsage]) -> tuple[ModelUsage, ...]:
    """Return one entry a model, largest cost first; a sum with an unknown price is unknown."""
    sums: dict[str, ModelUsage] = {}
    for report in reports:
        for usage in report:
            known = sums.get(usage.model)
            sums[usage.model] = usage if known is None else _plus(known, usage)
    return tuple(sorted(sums.values(), key=_by_cost))


def _plus(a: ModelUsage, b: ModelUsage) -> ModelUsage:
    priced = a.cost_nanos is not None and b.cost_nanos is not None
    return ModelUsage(
        model=a.model,
        input_tokens=a.input_tokens + b.input_tokens,
        output_tokens=a.output_tokens + b.output_tokens,
        cache_creation_tokens=a.cache_creation_tokens + b.cache_creation_tokens,
        cache_read_tokens=a.cache_read_tokens + b.cache_read_tokens,
        cost_nanos=(a.cost_nanos or 0) + (b.cost_nanos or 0) if priced else None,
    )


def _by_cost(usage: ModelUsage) -> tuple[int, int, str]:
    return -(usage.cost_nanos or 0), -usage.total_tokens, usage.model
