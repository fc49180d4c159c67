"""A mapping that forgets."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

_K = TypeVar("_K")
_V = TypeVar("_V")


class Recent(Generic[_K, _V]):
    """The last *size* entries that were put in."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: OrderedDict[_K, _V] = OrderedDict()

    def put(self, key: _K, value: _V) -> None:
        """Keep an entry, in place of one with the same key; the oldest may go."""
        self._entries[key] = value
        self._entries.move_to_end(key)
        if len(self._entries) > self._size:
            self._entries.popitem(last=False)

    def get(self, key: _K) -> _V | None:
        """Return what is kept under *key*."""
        return self._entries.get(key)

    def __contains__(self, key: _K) -> bool:
        return key in self._entries
