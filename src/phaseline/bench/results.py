"""What was measured: a line for each figure, with median and spread over the rounds."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

import msgspec


class Goal(msgspec.Struct, frozen=True):
    """What a figure must reach, and what is aimed for."""

    must: float
    aim: float
    #: The goal is the most there may be; else it is the least.
    is_most: bool = False

    def word(self, value: float) -> str:
        """Return whether *value* is "missed", "met" or, as good as is aimed for, "aim"."""
        if self._holds(value, self.aim):
            return "aim"
        return "met" if self._holds(value, self.must) else "missed"

    def _holds(self, value: float, goal: float) -> bool:
        return value <= goal if self.is_most else value >= goal


class Result(msgspec.Struct, frozen=True):
    """One figure of one round."""

    name: str
    value: float
    unit: str
    #: The ceiling that was measured beside it; None where there is none.
    ceiling: float | None = None
    #: Of the share where there is a ceiling, else of the value.
    goal: Goal | None = None


class Line(msgspec.Struct, frozen=True):
    """One figure over all rounds."""

    name: str
    unit: str
    median: float
    least: float
    most: float
    values: tuple[float, ...]
    #: Median of the ceilings, and of the shares of them.
    ceiling: float | None
    share: float | None
    goal: Goal | None

    @property
    def word(self) -> str:
        """How the median stands to the goal; empty without one."""
        if self.goal is None:
            return ""
        return self.goal.word(self.median if self.share is None else self.share)


def summed_up(results: Iterable[Result]) -> list[Line]:
    """Return a line for each name, in the order in which the names first come."""
    by_name: dict[str, list[Result]] = {}
    for result in results:
        by_name.setdefault(result.name, []).append(result)
    return [_line(name, results) for name, results in by_name.items()]


def _line(name: str, results: Sequence[Result]) -> Line:
    values = tuple(result.value for result in results)
    ceilings = [result.ceiling for result in results if result.ceiling]
    shares = [result.value / result.ceiling for result in results if result.ceiling]
    return Line(
        name=name,
        unit=results[0].unit,
        median=statistics.median(values),
        least=min(values),
        most=max(values),
        values=values,
        ceiling=statistics.median(ceilings) if ceilings else None,
        share=statistics.median(shares) if shares else None,
        goal=results[0].goal,
    )
