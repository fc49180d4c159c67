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


def put_usage(place: usage_pb2.Usage, usage: Usage) -> None:
    """Put *usage* into *place*."""
    if usage == NO_USAGE:
        place.cost_usd, place.credits_used, place.cost_complete = "0", "0", True
        return
    place.input_tokens = usage.input_tokens
    place.output_tokens = usage.output_tokens
    place.cache_creation_tokens = usage.cache_creation_tokens
    place.cache_read_tokens = usage.cache_read_tokens
    place.total_tokens = usage.total_tokens
    place.cost_usd = format_amount(usage.cost_nanos)
    place.cost_complete = usage.cost_complete
    place.credits_used = format_amount(usage.credits_nanos)
    place.tool_call_count = usage.tool_call_count


def put_model_usage(place: usage_pb2.ModelUsage, usage: ModelUsage) -> None:
    """Put *usage* into *place*; an unknown cost stays empty."""
    place.model = usage.model
    place.input_tokens = usage.input_tokens
    place.output_tokens = usage.output_tokens
    place.cache_creation_tokens = usage.cache_creation_tokens
    place.cache_read_tokens = usage.cache_read_tokens
    place.total_tokens = usage.total_tokens
    if usage.cost_nanos is not None:
        place.cost_usd = format_amount(usage.cost_nanos)


def model_usage_message(usage: ModelUsage) -> usage_pb2.ModelUsage:
    """Return *usage* as a message."""
    message = usage_pb2.ModelUsage()
    put_model_usage(message, usage)
    return message


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
