"""Where a database stands."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """Where the database stands."""

    epoch: str
    #: Newest revision.
    head: int
    #: Transactions so far.
    commits: int


NOWHERE = Place("", 0, 0)
