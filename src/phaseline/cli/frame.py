"""The moment and the room that something is drawn for."""

from __future__ import annotations

from typing import NamedTuple

#: A width at which nothing is cut, where no terminal sets one.
UNBOUNDED = 4096
_WIDE = 100


class Frame(NamedTuple):
    """What a drawing depends on besides what it shows."""

    #: Seconds of the clock that what is shown was told by.
    now: float
    width: int = UNBOUNDED
    #: Lines; None for as many as it takes.
    height: int | None = None
    #: It is drawn again and again: marks turn.
    live: bool = False

    @property
    def turning(self) -> float | None:
        """What turns the marks; None while they stand still."""
        return self.now if self.live else None

    @property
    def wide(self) -> bool:
        return self.width >= _WIDE

    @property
    def bounded(self) -> bool:
        return self.width < UNBOUNDED
