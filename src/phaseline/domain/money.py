"""Exact money: integer nano-dollars inside, decimal text outside."""

from __future__ import annotations

import re

NANOS_PER_UNIT = 1_000_000_000
#: The most that nine digits before and nine after the point can say.
MAX_NANOS = 10**18 - 1

_AMOUNT = re.compile(r"(\d{1,9})(?:\.(\d{1,9}))?", re.ASCII)


def parse_amount(text: str) -> int:
    """Return the nanos that *text* says, such as "12.5"; raise `ValueError` if it is no amount."""
    match = _AMOUNT.fullmatch(text)
    if match is None:
        raise ValueError("must be a decimal with at most 9 digits before and 9 after the point")
    whole, fraction = match.groups()
    return int(whole) * NANOS_PER_UNIT + int((fraction or "0").ljust(9, "0"))


def format_amount(nanos: int) -> str:
    """Return *nanos* as the shortest exact decimal: "0", "12.5", "0.000000075"."""
    whole, fraction = divmod(nanos, NANOS_PER_UNIT)
    if fraction == 0:
        return str(whole)
    return f"{whole}.{fraction:09d}".rstrip("0")
