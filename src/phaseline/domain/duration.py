"""Durations as people write them: "30s", "1h30m", ISO 8601 or a number of seconds."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal

_MICROS = {
    "w": 7 * 86_400_000_000,
    "d": 86_400_000_000,
    "h": 3_600_000_000,
    "m": 60_000_000,
    "min": 60_000_000,
    "s": 1_000_000,
    "ms": 1_000,
    "us": 1,
}
_WRITTEN = ("d", "h", "m", "s", "ms", "us")
_NUMBER = r"\d{1,12}(?:\.\d{1,9})?"
_SECONDS = re.compile(_NUMBER, re.ASCII)
_PART = re.compile(rf"({_NUMBER}) ?(us|ms|min|[wdhms]) ?", re.ASCII)
_WHOLE = re.compile(rf"(?:{_PART.pattern})+", re.ASCII)
_ISO = re.compile(
    rf"P(?=.)(?:({_NUMBER})W)?(?:({_NUMBER})D)?"
    rf"(?:T(?=.)(?:({_NUMBER})H)?(?:({_NUMBER})M)?(?:({_NUMBER})S)?)?",
    re.ASCII,
)


def parse_duration(text: str) -> timedelta:
    """Return the duration that *text* says; raise `ValueError` if it says none."""
    stripped = text.strip()
    try:
        return timedelta(microseconds=int(sum(_micros(stripped))))
    except (ValueError, OverflowError):
        raise ValueError(
            'must be a duration such as "30s", "5m", "1h30m" or a number of seconds'
        ) from None


def format_duration(duration: timedelta) -> str:
    """Return *duration*, which is not negative, in the shortest exact form: "30s", "1h30m"."""
    left = duration // timedelta(microseconds=1)
    parts = []
    for unit in _WRITTEN:
        count, left = divmod(left, _MICROS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def _micros(text: str) -> list[Decimal]:
    if _SECONDS.fullmatch(text):
        return [Decimal(text) * _MICROS["s"]]
    if iso := _ISO.fullmatch(text):
        return [Decimal(n or 0) * _MICROS[u] for n, u in zip(iso.groups(), "wdhms", strict=True)]
    if _WHOLE.fullmatch(text):
        return [Decimal(number) * _MICROS[unit] for number, unit in _PART.findall(text)]
    raise ValueError(text)
