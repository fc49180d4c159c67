"""What was made a moment ago, kept for others who want the same."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, NamedTuple, TypeVar

Place = TypeVar("Place")
V = TypeVar("V")

_ROOM = 8 * 1024 * 1024
_OVERHEAD = 200


class Step(NamedTuple, Generic[Place]):
    """A frame of changes, empty if there is nothing to send, and where a watch is behind it."""

    frame: bytes
    cursor: Place
    #: The last version of the watched execution in it: its revision, and whether it is terminal.
    state: tuple[int, bool] | None = None


class Piece(NamedTuple, Generic[Place]):
    """A frame of a snapshot, as of a revision, and the place behind it; None at the end."""

    frame: bytes
    behind: Place | None
    revision: int
    read_at: float
    #: As that of a `Step`.
    state: tuple[int, bool] | None = None


class Recent(Generic[V]):
    """Keeps values until those put after them take up the room; the newest one in any case."""

    def __init__(self, room: int = _ROOM) -> None:
        self._room, self._taken = room, 0
        self._values: OrderedDict[Hashable, tuple[V, int]] = OrderedDict()

    def get(self, name: Hashable) -> V | None:
        """Return what was put under *name*, if it is still here."""
        found = self._values.get(name)
        return None if found is None else found[0]

    def put(self, name: Hashable, value: V, size: int) -> None:
        """Keep *value*, of *size* bytes, in place of what was under *name*."""
        replaced = self._values.pop(name, None)
        if replaced is not None:
            self._taken -= replaced[1]
        size += _OVERHEAD
        self._values[name] = value, size
        self._taken += size
        while self._taken > self._room and len(self._values) > 1:
            _, (_, freed) = self._values.popitem(last=False)
            self._taken -= freed
