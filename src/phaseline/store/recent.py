"""Values that were stored a moment ago and are about to be read: kept in memory, up to a size."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Recent(Generic[K, V]):
    """
    A map that forgets what was used longest ago once its values take more than *room*.

    Any thread may use it.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self._taken = 0
        self._values: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._lock = Lock()

    def put(self, key: K, value: V, size: int) -> None:
        """Keep *value*, which takes *size*; one larger than the room is not kept."""
        with self._lock:
            self._drop(key)
            if size > self._room:
                return
            self._values[key] = (value, size)
            self._taken += size
            while self._taken > self._room:
                _, (_, freed) = self._values.popitem(last=False)
                self._taken -= freed

    def get(self, key: K) -> V | None:
        """Return the value if it is still here."""
        with self._lock:
            found = self._values.get(key)
            if found is None:
                return None
            self._values.move_to_end(key)
            return found[0]

    def drop(self, key: K) -> None:
        """Forget a value, if it is here."""
        with self._lock:
            self._drop(key)

    def _drop(self, key: K) -> None:
        found = self._values.pop(key, None)
        if found is not None:
            self._taken -= found[1]
