"""What was measured: a line for each, with median and spread over the rounds."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Sequence
from importlib.metadata import version

import msgspec


class Result(msgspec.Struct, frozen=True):
    """One figure of one round."""

    name: str
    value: float
    unit: str
    #: The ceiling that was measured beside it; None where there is none.
    ceiling: float | None = None


class Line(msgspec.Struct, frozen=True):
    """One figure over all rounds."""

    name: str
    unit: str
    median: float
    least: float
    most: float
    #: Median of the shares of the ceiling.
    share: float | None


def summed_up(rounds: Sequence[Sequence[Result]]) -> list[Line]:
    """Return a line for each name, in the order of the first round."""
    by_name: dict[str, list[Result]] = {}
    for results in rounds:
        for result in results:
            by_name.setdefault(result.name, []).append(result)
    return [_line(name, results) for name, results in by_name.items()]


def machine() -> dict[str, str]:
    """Return what the figures were measured on."""
    packages = ("phaseline", "grpcio", "protobuf", "SQLAlchemy", "msgspec")
    return {
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        **{package: version(package) for package in packages},
    }


def table(lines: Sequence[Line]) -> str:
    """Return the lines as text in columns."""
    header = ("", "median", "least", "most", "", "of echo")
    rows = [
        (
            line.name,
            _number(line.median),
            _number(line.least),
            _number(line.most),
            line.unit,
            "" if line.share is None else f"{line.share:.2f}",
        )
        for line in lines
    ]
    widths = [max(len(row[at]) for row in (header, *rows)) for at in range(len(header))]
    aligned = (
        "  ".join(
            cell.ljust(width) if at in (0, 4) else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (header, *rows)
    )
    return "\n".join(aligned)


def _line(name: str, results: Sequence[Result]) -> Line:
    values = [result.value for result in results]
    shares = [result.value / result.ceiling for result in results if result.ceiling]
    return Line(
        name=name,
        unit=results[0].unit,
        median=statistics.median(values),
        least=min(values),
        most=max(values),
        share=statistics.median(shares) if shares else None,
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.partition(":")[2].strip() for line in file if "model name" in line]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or "unknown"
