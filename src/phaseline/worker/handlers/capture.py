"""What a program writes, kept in bounded memory."""

from __future__ import annotations

from phaseline.worker.values import cut_head, cut_middle


class Capture:
    """The first and the last bytes of a stream that may be endless."""

    def __init__(self, *, head: int, tail: int) -> None:
        self._head_limit = head
        self._tail_limit = tail
        self._head = bytearray()
        self._tail = bytearray()
        self.size = 0  #: bytes written, kept or not

    def write(self, data: bytes) -> None:
        """Take what comes next."""
        self.size += len(data)
        self._head += data[: self._head_limit - len(self._head)]
        self._tail += data[-self._tail_limit :] if self._tail_limit else b""
        # Cut now and then only: each cut copies what stays.
        if len(self._tail) > 2 * self._tail_limit:
            del self._tail[: -self._tail_limit]

    @property
    def tail(self) -> bytes:
        """The last bytes."""
        return bytes(self._tail[-self._tail_limit :]) if self._tail_limit else b""

    def beginning(self, limit: int) -> bytes:
        """Return all of it if that is at most *limit* bytes, else as much of its head, marked."""
        if self.size <= limit:
            return bytes(self._head)
        return cut_head(bytes(self._head[:limit]), limit, self.size)

    def ends(self, limit: int) -> bytes:
        """Return all of it if that is at most *limit* bytes, else both its ends, marked."""
        if self.size <= limit:
            return bytes(self._head)
        return cut_middle(bytes(self._head), self.tail, limit, self.size)
