"""Things in an order, from which any can be taken out."""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Iterator
from typing import Any, Generic, TypeVar

T = TypeVar("T", bound=Hashable)

# Below this many stale entries clearing up is not worth the while.
_FEW = 64


class Ordered(Generic[T]):
    """
    A set in the order of the ranks that its members were put in with.

    Ranks of one set must compare with one another. Members with equal ranks come in the order in
    which they were put in.
    """

    def __init__(self) -> None:
        # What is taken out stays here until it is met; the number tells it from what counts.
        self._entries: list[tuple[Any, int, T]] = []
        self._live: dict[T, tuple[Any, int, T]] = {}
        self._counter = 0

    def __len__(self) -> int:
        return len(self._live)

    def __contains__(self, member: T) -> bool:
        return member in self._live

    def __iter__(self) -> Iterator[T]:
        """Yield the members in order. The set must not change meanwhile."""
        return (member for _, member in self.ranked())

    def put(self, member: T, rank: Any) -> None:
        """Put *member* in, or in another place."""
        known = self._live.get(member)
        if known is not None and known[0] == rank:
            return
        self._counter += 1
        entry = self._live[member] = (rank, self._counter, member)
        heapq.heappush(self._entries, entry)
        if len(self._entries) > 2 * len(self._live) + _FEW:
            self._clear_up()

    def discard(self, member: T) -> None:
        """Take *member* out, if it is in."""
        self._live.pop(member, None)

    def rank(self, member: T) -> Any:
        """Return the rank of *member*, or None if it is not in."""
        known = self._live.get(member)
        return None if known is None else known[0]

    def first(self) -> T | None:
        """Return the first member, or None if there is none."""
        while self._entries:
            entry = self._entries[0]
            if self._counts(entry):
                return entry[2]
            heapq.heappop(self._entries)
        return None

    def ranked(self) -> Iterator[tuple[Any, T]]:
        """Yield rank and member in order. The set must not change meanwhile."""
        self.first()
        # Along the edge of the heap, which stays as it is: whoever stops early leaves no mess.
        edge = [(*entry[:2], 0) for entry in self._entries[:1]]
        while edge:
            at = edge[0][2]
            entry = self._entries[at]
            below = [
                (*self._entries[to][:2], to)
                for to in (2 * at + 1, 2 * at + 2)
                if to < len(self._entries)
            ]
            heapq.heappop(edge)
            for child in below:
                heapq.heappush(edge, child)
            if self._counts(entry):
                yield entry[0], entry[2]

    def _counts(self, entry: tuple[Any, int, T]) -> bool:
        return self._live.get(entry[2]) is entry

    def _clear_up(self) -> None:
        self._entries = [entry for entry in self._entries if self._counts(entry)]
        heapq.heapify(self._entries)
