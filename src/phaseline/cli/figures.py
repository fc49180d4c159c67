"""Fields of messages as short text for people."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from phaseline.domain import display
from phaseline.domain.money import parse_amount

if TYPE_CHECKING:
    from google.protobuf.duration_pb2 import Duration
    from google.protobuf.timestamp_pb2 import Timestamp

    from phaseline.v1.execution_pb2 import Failure, Payload
    from phaseline.v1.usage_pb2 import ModelUsage, Usage

NONE = "—"
_SHORTEST_ID = 13
_PER_UNIT = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def plain(text: str) -> str:
    """
    Return *text* on one line and without control characters.

    What workers and callers wrote could otherwise steer the terminal of whoever looks at it.
    """
    return "".join(c if c.isprintable() else " " for c in " ".join(text.split()))


def printable(text: str) -> str:
    """Return *text* with its lines, but without any other control characters."""
    lines = (line.expandtabs(4) for line in text.splitlines())
    return "\n".join("".join(c if c.isprintable() else "�" for c in line) for line in lines)


def tokens(usage: Usage | ModelUsage) -> str:
    return display.tokens(usage.total_tokens)


def cost(usage: Usage) -> str:
    """Return the cost; "≥" says that some model has no known price."""
    return display.cost(parse_amount(usage.cost_usd or "0"), is_complete=usage.cost_complete)


def model_cost(usage: ModelUsage) -> str:
    return money(usage.cost_usd) if usage.cost_usd else "unknown"


def money(amount: str) -> str:
    """Return *amount*, dollars as the contract writes them, rounded for people."""
    return display.cost(parse_amount(amount or "0"))


def span(duration: Duration) -> timedelta:
    return duration.ToTimedelta()


def duration(value: timedelta | None) -> str:
    return display.duration(value)


def moment(timestamp: Timestamp) -> datetime:
    return timestamp.ToDatetime(tzinfo=UTC)


def clock(timestamp: Timestamp) -> str:
    """Return the local time of day."""
    return moment(timestamp).astimezone().strftime("%H:%M:%S")


def date_and_time(timestamp: Timestamp) -> str:
    """Return the local date and time."""
    return moment(timestamp).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def age(timestamp: Timestamp, now: datetime) -> str:
    """Return how long ago it was, in its largest unit: "5s", "3m", "2h", "40d"."""
    seconds = max(0, int((now - moment(timestamp)).total_seconds()))
    size, unit = next((pair for pair in _PER_UNIT if seconds >= pair[0]), _PER_UNIT[-1])
    return f"{seconds // size}{unit}"


def pairs(values: Mapping[str, str]) -> str:
    """Return labels or inputs on one line: "env=prod team=core"."""
    return plain(" ".join(f"{key}={value}" for key, value in sorted(values.items())))


def failure(value: Failure) -> str:
    """Return code and message of a failure, on one line."""
    return plain(": ".join(part for part in (value.code, value.message) if part)) or "failed"


def payload_text(payload: Payload) -> str:
    """Return what a payload holds, as far as it is text."""
    if payload.HasField("uri"):
        return plain(payload.uri)
    if not payload.HasField("data"):
        return "(left out)"
    try:
        return printable(payload.data.decode())
    except UnicodeDecodeError:
        return f"({size(len(payload.data))} of {plain(payload.media_type) or 'data'})"


def count(number: int, noun: str) -> str:
    """Return "1 artifact" or "2 artifacts"."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def size(length: int) -> str:
    """Return a number of bytes: "12 B", "1.5 KiB", "3 MiB"."""
    amount, units = float(length), ["B", "KiB", "MiB", "GiB"]
    while amount >= 1024 and len(units) > 1:
        amount /= 1024
        units.pop(0)
    return f"{amount:.1f}".removesuffix(".0") + f" {units[0]}"


def short_ids(ids: list[str]) -> dict[str, str]:
    """
    Return for each of *ids* a prefix that names it among them, all of one length.

    Thirteen characters at least: those of a UUIDv7 are its millisecond.
    """
    distinct = list(dict.fromkeys(ids))
    for length in range(_SHORTEST_ID, max(map(len, distinct), default=0)):
        if len({one[:length] for one in distinct}) == len(distinct):
            return {one: one[:length].removesuffix("-") for one in distinct}
    return {one: one for one in distinct}
