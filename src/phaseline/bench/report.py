"""How results are shown: as text in columns for people, as JSON for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from phaseline.bench.plan import Plan
from phaseline.bench.results import Line

_HEADER = ("", "median", "least", "most", "", "of echo", "must", "")
_TO_THE_LEFT = (0, 4, 7)


class Report(msgspec.Struct, frozen=True):
    """What was measured, how, and on what."""

    machine: Mapping[str, str]
    plan: Plan
    lines: Sequence[Line]
    #: Scenarios that could not be measured to their end, and why.
    failed: Mapping[str, str]

    def text(self) -> str:
        """Return it for people."""
        machine = "\n".join(f"{name}: {value}" for name, value in self.machine.items())
        failed = "".join(f"\nnot measured: {name}: {why}" for name, why in self.failed.items())
        return f"{machine}\n{_rounds(self.plan)}\n\n{table(self.lines)}\n{failed}".rstrip()

    def json(self) -> str:
        """Return it for programs."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2).decode()


def table(lines: Sequence[Line]) -> str:
    """Return the lines as text in columns."""
    rows = [_HEADER, *(_row(line) for line in lines)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(_HEADER))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if at in _TO_THE_LEFT else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def number(value: float) -> str:
    """Return *value* with what matters of it: three digits, or all those before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _row(line: Line) -> tuple[str, ...]:
    return (
        line.name,
        number(line.median),
        number(line.least),
        number(line.most),
        line.unit,
        "" if line.share is None else f"{line.share:.2f}",
        _must(line),
        line.word,
    )


def _must(line: Line) -> str:
    if line.goal is None:
        return ""
    sign = "<=" if line.goal.is_most else ">="
    return f"{sign} {number(line.goal.must)}"


def _rounds(plan: Plan) -> str:
    times = "once" if plan.rounds == 1 else f"{plan.rounds} rounds"
    return f"measured: {times}, {number(plan.seconds)} s for each rate"
