"""Token counts of models while they are added up, and what vendors say that they cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Self

import msgspec
from msgspec.structs import replace

from phaseline.domain.money import NANOS_PER_UNIT
from phaseline.domain.usage import ModelUsage
from phaseline.worker.limits import ID_LENGTH, TOKENS
from phaseline.worker.values import plain

#: Stands for a model that the stream does not name. It has no price.
UNKNOWN_MODEL = "unknown"


class Tokens(msgspec.Struct, frozen=True):
    """Four disjoint counts."""

    input: int = 0
    output: int = 0
    cache_creation: int = 0
    cache_read: int = 0

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(
            self.input + other.input,
            self.output + other.output,
            self.cache_creation + other.cache_creation,
            self.cache_read + other.cache_read,
        )

    def __sub__(self, other: Tokens) -> Tokens:
        """Return the difference, each count at least 0."""
        pairs = zip(self.counts, other.counts, strict=True)
        return Tokens(*(max(0, a - b) for a, b in pairs))

    def __or__(self, other: Tokens) -> Tokens:
        """Return the larger of each count."""
        return Tokens(*(max(a, b) for a, b in zip(self.counts, other.counts, strict=True)))

    @property
    def counts(self) -> tuple[int, int, int, int]:
        return self.input, self.output, self.cache_creation, self.cache_read

    @property
    def total(self) -> int:
        return sum(self.counts)

    def covers(self, other: Tokens) -> bool:
        """Return whether no count is below that of *other*."""
        return all(a >= b for a, b in zip(self.counts, other.counts, strict=True))

    def of(self, model: str, cost_nanos: int | None = None) -> ModelUsage:
        """Return them as the usage of *model*."""
        name = plain(model, ID_LENGTH) or UNKNOWN_MODEL
        return ModelUsage(
            name,
            min(self.input, TOKENS),
            min(self.output, TOKENS),
            min(self.cache_creation, TOKENS),
            min(self.cache_read, TOKENS),
            cost_nanos,
        )

    @classmethod
    def in_usage(cls, usage: ModelUsage) -> Self:
        """Return the counts of *usage*."""
        return cls(
            usage.input_tokens,
            usage.output_tokens,
            usage.cache_creation_tokens,
            usage.cache_read_tokens,
        )


NONE = Tokens()


def usage_of(tokens: Mapping[str, Tokens]) -> tuple[ModelUsage, ...]:
    """Return what models consumed whose cost nobody has told; those that consumed nothing not."""
    return tuple(each.of(model) for model, each in tokens.items() if each.total)


def less(models: Iterable[ModelUsage], before: Iterable[ModelUsage]) -> tuple[ModelUsage, ...]:
    """Return *models* without what they had consumed *before*."""
    earlier = {each.model: each for each in before}
    return tuple(
        _difference(each, earlier[each.model]) if each.model in earlier else each for each in models
    )


def nanos_of(amount: object) -> int | None:
    """Return an amount in dollars as nano-dollars; None if it is none."""
    if isinstance(amount, bool) or not isinstance(amount, int | float | Decimal | str):
        return None
    try:
        # By its text: 0.1 is meant, and not the number of the machine that is closest to it.
        nanos = (Decimal(str(amount)) * NANOS_PER_UNIT).to_integral_value(ROUND_HALF_EVEN)
    except ArithmeticError:
        return None
    return int(nanos) if nanos.is_finite() and 0 <= nanos < 10**18 else None


def with_total(models: Iterable[ModelUsage], total_nanos: int | None) -> tuple[ModelUsage, ...]:
    """
    Return *models* so that their costs add up to *total_nanos*, what their vendor says.

    The difference, mostly one of rounding, goes to a model without a cost or else to the dearest.
    """
    known = tuple(models)
    if total_nanos is None or not known:
        return known
    unpriced = [each for each in known if each.cost_nanos is None]
    rest = total_nanos - sum(each.cost_nanos or 0 for each in known)
    if unpriced:
        bearer = max(unpriced, key=lambda each: each.total_tokens)
    else:
        bearer = max(known, key=lambda each: each.cost_nanos or 0)
    share = (bearer.cost_nanos or 0) + rest
    if share < 0:
        return known
    return tuple(
        replace(each, cost_nanos=share if each is bearer else each.cost_nanos or 0)
        for each in known
    )


def _difference(usage: ModelUsage, before: ModelUsage) -> ModelUsage:
    cost = None
    if usage.cost_nanos is not None and before.cost_nanos is not None:
        cost = max(0, usage.cost_nanos - before.cost_nanos)
    return (Tokens.in_usage(usage) - Tokens.in_usage(before)).of(usage.model, cost)
