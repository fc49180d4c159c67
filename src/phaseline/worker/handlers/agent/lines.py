"""Splits what a program writes into lines, of any length in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from phaseline.worker.handlers.agent.skim import Skim
from phaseline.worker.limits import PAYLOAD_BYTES

#: A line up to this size is taken as it is.
WHOLE_BYTES = 4 * 1024 * 1024
#: Of a longer one each text is kept up to this: the longest that a phase can have as its output.
TEXT_BYTES = PAYLOAD_BYTES + 64 * 1024


class Line(msgspec.Struct, frozen=True):
    """One line, without its end."""

    data: bytes
    #: Bytes that it had.
    size: int
    #: What is missing in `data` is more than the middle of some texts and lists.
    is_broken: bool = False


class LineReader:
    """
    Gives whole lines as their last bytes come in.

    A line that is too long to be kept is copied while it passes, as JSON from which the greater
    part of its longest texts and lists is left out.
    """

    def __init__(self, whole_bytes: int = WHOLE_BYTES, text_bytes: int = TEXT_BYTES) -> None:
        self._whole_bytes = whole_bytes
        self._text_bytes = text_bytes
        self._parts: list[bytes] = []
        self._size = 0
        self._skim: Skim | None = None

    def feed(self, data: bytes) -> Iterator[Line]:
        """Take what comes next, and yield the lines that it ends."""
        first, *others = data.split(b"\n")
        self._add(first)
        for part in others:
            yield self._take()
            self._add(part)

    def end(self) -> Iterator[Line]:
        """Yield the last line if it lacks its end."""
        if self._size:
            yield self._take()

    def _add(self, part: bytes) -> None:
        if not part:
            return
        self._size += len(part)
        if self._skim is not None:
            self._skim.feed(part)
            return
        self._parts.append(part)
        if self._size > self._whole_bytes:
            self._skim = Skim(self._whole_bytes, self._text_bytes)
            for each in self._parts:
                self._skim.feed(each)
            self._parts.clear()

    def _take(self) -> Line:
        if self._skim is None:
            line = Line(b"".join(self._parts), self._size)
        else:
            line = Line(self._skim.kept, self._size, self._skim.is_hopeless)
        self._parts.clear()
        self._size, self._skim = 0, None
        return line
