"""Writes what a Markdown report is made of, whatever characters the names in it have."""

import math
import re
from collections.abc import Iterable, Iterator, Sequence

_BAR = 40  #: characters of the longest bar
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def plain(text: str) -> str:
    """Return *text* such that it reads as it stands, not as markup."""
    return re.sub(r"([\\`*_\[\]<>|&~])", r"\\\1", _visible(text))


def code(text: str) -> str:
    """Return *text* as a code span that may stand in a table."""
    shown = _visible(text).replace("|", "\\|")
    if "`" not in shown:
        return f"`{shown}`"
    fence = "`" * (max(map(len, re.findall("`+", shown))) + 1)
    return f"{fence} {shown} {fence}"


def table(header: Sequence[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    """Yield a table; a column whose title begins with ">" is aligned to the right."""
    yield _row(title.removeprefix(">") for title in header)
    yield _row("---:" if title.startswith(">") else "---" for title in header)
    yield from map(_row, rows)


def bars(values: Sequence[tuple[str, int]]) -> Iterator[str]:
    """Yield a bar chart of *values*, none of them 0."""
    longest = max(value for _, value in values)
    digits = len(f"{longest:,}")
    yield "```text"
    for name, value in values:
        bar = "█" * max(1, round(value / longest * _BAR))
        yield f"{name}  {value:>{digits},}  {bar}"
    yield "```"


def count(number: int, thing: str) -> str:
    """Return "1 file" or "1,234 files"."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def share(part: int, whole: int) -> str:
    """Return *part* in percent of *whole*."""
    return f"{part / whole:.1%}" if whole else "0.0%"


def size(length: int) -> str:
    """Return *length*, in bytes, as "950 B" or "1.2 MiB"."""
    if length < 1024:
        return f"{length} B"
    unit = min(int(math.log(length, 1024)), len(_UNITS) - 1)
    return f"{length / 1024**unit:.1f} {_UNITS[unit]}"


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _visible(text: str) -> str:
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
