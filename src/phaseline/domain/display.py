"""Figures as text for people, in English."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from phaseline.domain.money import NANOS_PER_UNIT

NOT_STARTED = "—"

_CENT = NANOS_PER_UNIT // 100


def tokens(count: int) -> str:
    """Return "950", "1.2k" or "1.5M"."""
    return _short(count) if count >= 1000 else str(count)


def cost(nanos: int, *, is_complete: bool = True) -> str:
    """Return "$0.00", "<$0.01", "$1.23" or "$1.2k"; "≥$1.23" if that is not all of it."""
    if not is_complete:
        return f"≥{_dollars(nanos)}"
    return "<$0.01" if 0 < nanos < _CENT else _dollars(nanos)


def duration(span: timedelta | None) -> str:
    """Return "<1s", "5s", "2m 14s" or "1h 2m"; "—" for none."""
    if span is None:
        return NOT_STARTED
    seconds = int(span.total_seconds())
    if seconds < 1:
        return "<1s"
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h {minutes}m"
    return f"{minutes}m {seconds}s" if minutes else f"{seconds}s"


def repos(names: Sequence[str]) -> str:
    """Return the first, then how many more: "owner/name +2"; empty for none."""
    if not names:
        return ""
    return names[0] if len(names) == 1 else f"{names[0]} +{len(names) - 1}"


def _dollars(nanos: int) -> str:
    cents = (nanos + _CENT // 2) // _CENT
    # Rounded before the choice: $999.995 is "$1k" and not "$1000.00".
    if cents >= 100_000:
        return "$" + _short(cents // 100)
    return f"${cents // 100}.{cents % 100:02d}"


def _short(count: int) -> str:
    """Return *count*, at least 1000, with one decimal of its largest unit."""
    # Rounded before the choice: 999,950 is "1M" and not "1000k".
    units = ((10**3, "k"), (10**6, "M"), (10**9, "B"))
    rounded = [((count * 10 + unit // 2) // unit, mark) for unit, mark in units]
    tenths, mark = next((one for one in rounded if one[0] < 10_000), rounded[-1])
    return f"{tenths // 10}.{tenths % 10}".removesuffix(".0") + mark
