"""Copies a JSON text that streams past, without what is too long of its texts and its lists."""

from __future__ import annotations

import re

#: Anything but brackets, as much as is there, texts in it whole.
_ITEMS = re.compile(rb'(?:[^"\[\]{}]++|"[^"\\]*+(?:\\.[^"\\]*+)*+")*+', re.DOTALL)
#: Up to what changes the depth, or begins a text.
_PLAIN = re.compile(rb'[^"\[\]{}]*+')
#: The rest of a text up to its closing quote: characters and whole escapes.
_TEXT = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
#: What a cut may have left of an escape.
_HALF_ESCAPE = re.compile(rb"\\(?:u[0-9a-fA-F]{0,3})?\Z")
#: What a cut may have left of a number or a word.
_HALF_WORD = re.compile(rb'[^,:"\[\]{}]*\Z')

_QUOTE, _BACKSLASH, _COMMA, _COLON = b'"\\,:'
_OPENING, _CLOSING = b"[{", b"]}"

#: How far a number or a word may go beyond the limit.
_SLACK = 64
_SHORTEST_CUT = 1024


class Skim:
    """
    One JSON text of any length, copied into about *room* bytes.

    It stays well-formed and keeps its outline: a text is cut after *longest_text* bytes, and where
    all is used up the list or object around is closed early, each time one that is further out.
    What cannot be kept in twice the room, such as what is no JSON at all, is given up.
    """

    def __init__(self, room: int, longest_text: int) -> None:
        self._limit = room
        #: Copied once more after a list was closed early, for what comes behind it.
        self._allowance = room // 8
        self._hopeless_at = 2 * room
        self._longest_text = longest_text
        self._kept = bytearray()
        self._rest = b""
        #: Opening brackets of what is open in the copy.
        self._open = bytearray()
        #: How deep it is in what the copy has closed early; 0 means copying.
        self._passing = 0
        self._times_closed = 0
        self._in_text = False
        self._text_size = 0
        self._text_room = 0
        self.is_hopeless = False

    def feed(self, data: bytes) -> None:
        """Take what comes next."""
        data, self._rest, at = self._rest + data, b"", 0
        while at < len(data) and not self.is_hopeless:
            if self._in_text:
                at = self._copy_text(data, at)
            elif self._passing:
                at = self._pass_over(data, at)
            else:
                at = self._copy(data, at)

    @property
    def kept(self) -> bytes:
        """The copy so far; of what is hopeless the beginning."""
        return bytes(self._kept)

    def _copy(self, data: bytes, at: int) -> int:
        """Copy what is outside of texts, and texts that are there whole, with what follows."""
        end = _end(_ITEMS, data, at)
        if end - at > min(self._longest_text, self._limit - len(self._kept)):
            end = _end(_PLAIN, data, at)
            if len(self._kept) + end - at > self._limit + _SLACK:
                if data[at:end].strip():
                    return self._copy_short(data, at, end)
                at = end  # blanks say nothing
        self._kept += data[at:end]
        return self._copy_mark(data, end) if end < len(data) else end

    def _copy_mark(self, data: bytes, at: int) -> int:
        """Copy a bracket, or the quote that begins a text."""
        mark = data[at]
        if mark not in _CLOSING and len(self._kept) >= self._limit:
            self._close_early()
            return at
        self._kept.append(mark)
        if mark == _QUOTE:
            left = max(0, self._limit - len(self._kept))
            self._in_text, self._text_size = True, 0
            self._text_room = min(self._longest_text, max(_SHORTEST_CUT, left // 2))
        elif mark in _OPENING:
            self._open.append(mark)
        elif self._open:
            self._open.pop()
        else:
            self.is_hopeless = True
        return at + 1

    def _copy_short(self, data: bytes, at: int, end: int) -> int:
        """Copy as many numbers and words as there is room for, and pass over the rest."""
        comma = data.rfind(b",", at, at + max(0, self._limit - len(self._kept)))
        if comma >= 0:
            self._kept += data[at : comma + 1]
            at = comma + 1
        elif data[at:end].lstrip().startswith(b":"):
            self._kept += b":"
        self._close_early()
        return at

    def _copy_text(self, data: bytes, at: int) -> int:
        """Copy what there is room for of a text, up to and with its closing quote."""
        end = _text_end(data, at)
        was_whole = self._text_size <= self._text_room
        keep = min(end - at, max(0, self._text_room - self._text_size))
        self._kept += data[at : at + keep]
        self._text_size += end - at
        is_cut = self._text_size > self._text_room
        if is_cut and was_whole:
            self._trim_escape()
        if end == len(data):
            return end
        if data[end] == _BACKSLASH:
            self._rest = data[end:]  # its other half is still to come
            return len(data)
        if is_cut:
            self._kept += b"\\n[cut: the first part of %d bytes]" % self._text_size
        self._kept.append(_QUOTE)
        self._in_text = False
        return end + 1

    def _trim_escape(self) -> None:
        if match := _HALF_ESCAPE.search(self._kept, max(0, len(self._kept) - 6)):
            before = self._kept[: match.start()]
            # One that is escaped itself begins no escape.
            if (len(before) - len(before.rstrip(b"\\"))) % 2 == 0:
                del self._kept[match.start() :]

    def _close_early(self) -> None:
        """End the innermost list or object in the copy, each time with one more around it."""
        self._times_closed += 1
        levels = min(self._times_closed, len(self._open) - 1)
        if levels < 1 or len(self._kept) > self._hopeless_at:
            self.is_hopeless = True
            return
        self._complete()
        for _ in range(levels):
            self._kept.append(_CLOSING[_OPENING.index(self._open.pop())])
        self._passing = levels
        self._limit = len(self._kept) + self._allowance

    def _complete(self) -> None:
        """Leave the last item in the copy so that a bracket may follow."""
        match = _HALF_WORD.search(self._kept, max(0, len(self._kept) - 2 * _SLACK))
        assert match is not None
        del self._kept[match.start() :]
        last = self._kept[-1]
        if last == _COMMA:
            del self._kept[-1]
        elif last == _COLON:
            self._kept += b"null"

    def _pass_over(self, data: bytes, at: int) -> int:
        """Skip towards the end of what the copy has closed."""
        end = _end(_ITEMS, data, at)
        if end == len(data):
            return end
        if data[end] == _QUOTE:
            # The text goes on beyond the data. What was seen of it is not looked at again.
            self._rest = b'"' + data[_text_end(data, end + 1) :]
            return len(data)
        self._passing += 1 if data[end] in _OPENING else -1
        return end + 1


def _text_end(data: bytes, at: int) -> int:
    """Return where the text ends that goes on from *at*: at its quote, or with the data."""
    quote = data.find(b'"', at)
    end = len(data) if quote < 0 else quote
    # Twice as fast as the pattern, for the most common of very long texts.
    return end if data.find(b"\\", at, end) < 0 else _end(_TEXT, data, at)


def _end(pattern: re.Pattern[bytes], data: bytes, at: int) -> int:
    """Return where what matches *pattern* from *at* on ends; all of them match nothing as well."""
    match = pattern.match(data, at)
    assert match is not None
    return match.end()
