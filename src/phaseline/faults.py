"""Named points at which a test can stop the world, or end it."""

from __future__ import annotations

import os
from enum import StrEnum
from typing import Protocol


class Point(StrEnum):
    """Where a crash would hurt most."""

    COMMIT_BEFORE = "commit.before"
    COMMIT_AFTER = "commit.after"
    #: What a caller asked for is done, and nobody has told it.
    ANSWER_BEFORE = "answer.before"
    #: The answer is sent.
    ANSWER_AFTER = "answer.after"
    #: A worker that was given a lease reports, and nobody has looked at it.
    REPORT_BEFORE = "report.before"


class Points(Protocol):
    """Is told of each point that is reached."""

    async def reached(self, point: Point) -> None:
        """Go on, or do not."""


class NoPoints:
    """Lets all pass."""

    async def reached(self, point: Point) -> None:
        return


class DyingAt:
    """Ends the process the nth time that it comes to a point, like a power cut."""

    def __init__(self, point: Point, times: int = 1) -> None:
        self._point, self._times = point, times

    async def reached(self, point: Point) -> None:
        if point is self._point:
            self._times -= 1
            if self._times <= 0:
                # Not an exception: that would still run `finally` and roll back.
                os._exit(70)


def points_from(text: str) -> Points | None:
    """Return the points that *text* asks for: "commit.before", or "commit.after:3"; empty: none."""
    if not text:
        return None
    name, _, times = text.partition(":")
    return DyingAt(Point(name), int(times or 1))
