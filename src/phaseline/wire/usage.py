"""Tokens, cost and credits as messages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from phaseline.domain.money import MAX_NANOS, format_amount
from phaseline.domain.usage import NO_USAGE, ModelUsage, Usage
from phaseline.v1 import usage_pb2
from phaseline.wire.reading import Checks

# Far above what a model can do, and far below where sums leave 64 bits.
_MOST_TOKENS = 10**12
_MOST_MODELS = 100

# Shared, since most phases of most executions have none yet. It is copied where it is put in.
_NOTHING = usage_pb2.Usage(cost_usd="0", cost_complete=True, credits_used="0")


def usage_message(usage: Usage) -> usage_pb2.Usage:
    """Return *usage* as a message, not to be changed."""
    if usage == NO_USAGE:
        return _NOTHING
    return usage_pb2.Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_creation_tokens=usage.cache_creation_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        total_tokens=usage.total_tokens,
        cost_usd=format_amount(usage.cost_nanos),
        cost_complete=usage.cost_complete,
        credits_used=format_amount(usage.credits_nanos),
        tool_call_count=usage.tool_call_count,
    )


def model_usage_message(usage: ModelUsage) -> usage_pb2.ModelUsage:
    """Return *usage* as a message; an unknown cost is empty."""
    return usage_pb2.ModelUsage(
        model=usage.model,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_creation_tokens=usage.cache_creation_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        total_tokens=usage.total_tokens,
        cost_usd="" if usage.cost_nanos is None else format_amount(usage.cost_nanos),
    )


def model_usage_messages(usages: Iterable[ModelUsage]) -> list[usage_pb2.ModelUsage]:
    """Return each of *usages* as a message."""
    return [model_usage_message(usage) for usage in usages]


def cost_by_model(usages: Iterable[ModelUsage]) -> dict[str, str]:
    """Return the cost of each model that has a known one."""
    return {
        usage.model: format_amount(usage.cost_nanos)
        for usage in usages
        if usage.cost_nanos is not None
    }


def read_model_usage(message: usage_pb2.ModelUsage, checks: Checks) -> ModelUsage:
    """Read what one model consumed, as its reporter says."""
    return ModelUsage(
        checks.text("model", message.model, 128, required=True),
        checks.number("input_tokens", message.input_tokens, least=0, most=_MOST_TOKENS),
        checks.number("output_tokens", message.output_tokens, least=0, most=_MOST_TOKENS),
        checks.number(
            "cache_creation_tokens", message.cache_creation_tokens, least=0, most=_MOST_TOKENS
        ),
        checks.number("cache_read_tokens", message.cache_read_tokens, least=0, most=_MOST_TOKENS),
        checks.amount("cost_usd", message.cost_usd) if message.cost_usd else None,
    )


def read_usage_by_model(
    messages: Sequence[usage_pb2.ModelUsage], checks: Checks
) -> tuple[ModelUsage, ...]:
    """Read the usage of a whole attempt."""
    if len(messages) > _MOST_MODELS:
        checks.note("usage_by_model", f"must be at most {_MOST_MODELS}, there are {len(messages)}")
        return ()
    usages = []
    for at, message in enumerate(messages):
        known = len(checks.found)
        usages.append(read_model_usage(message, checks))
        checks.within(known, "usage_by_model", at)
    if sum(usage.cost_nanos or 0 for usage in usages) > MAX_NANOS:
        checks.note("usage_by_model", "must cost less than a billion dollars in all")
    return tuple(usages)
