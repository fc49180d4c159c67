"""Follows the stream of one run of an agent, from its bytes to how it ended."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import structlog

from phaseline.domain.usage import ModelUsage, merge
from phaseline.worker.handlers.agent.adapter import Adapter, Beginning
from phaseline.worker.handlers.agent.events import Event, read_line
from phaseline.worker.handlers.agent.journal import Journal, Listener
from phaseline.worker.handlers.agent.lines import Line, LineReader
from phaseline.worker.handlers.agent.reader import Fault, Success, Verdict

log = structlog.stdlib.get_logger(__name__)

#: Lines shown of those that cannot be read, and characters of each.
_SHOWN = 5
_SHOWN_LENGTH = 200


class Stream:
    """
    One run of an agent as its stream tells it.

    Nothing in the stream can make it fail: what cannot be read is counted and shown. *when* tells
    at what time an event takes place, or None if nobody knows.
    """

    def __init__(
        self,
        adapter: Adapter,
        listener: Listener,
        when: Callable[[Event], datetime | None],
        beginning: Beginning | None = None,
    ) -> None:
        self.adapter = adapter
        self._when = when
        self._beginning = beginning or Beginning()
        self._event: Event = {}
        self.journal = Journal(listener, lambda: self._when(self._event))
        self._reader = adapter.reader(self.journal, self._beginning)
        self._lines = LineReader()
        self.events = 0
        self.unreadable_lines = 0
        self.defects = 0  #: of ours, met in reading
        self._shown: list[str] = []

    def feed(self, data: bytes) -> None:
        """Take what the program has written."""
        for line in self._lines.feed(data):
            self._take(line)

    def end(self, exit_code: int | None = None) -> Verdict:
        """
        Return how the run ended, after all that it has written.

        *exit_code* is that of its program, negative for a signal; None if nobody knows.
        """
        for line in self._lines.end():
            self._take(line)
        verdict = self._verdict(exit_code)
        self.journal.close("the agent ended before it did")
        return verdict

    @property
    def is_decided(self) -> bool:
        """Whether the agent has told how it ended, though it may change its mind."""
        return self._reader.verdict(None) is not None

    @property
    def session_usage(self) -> tuple[ModelUsage, ...]:
        """What the session of the agent has consumed, earlier runs in it included."""
        return merge(self._beginning.before, self.journal.usage)

    def _take(self, line: Line) -> None:
        if line.is_broken:
            self._unreadable(line)
            return
        reading = read_line(line.data)
        if reading.has_junk:
            self._unreadable(line)
        for event in reading.events:
            self._read(event)

    def _read(self, event: Event) -> None:
        self.events += 1
        self._event = event
        try:
            is_known = self._reader.read(event)
        except Exception:  # the edge to what others print, which must end no run
            self.defects += 1
            log.exception("event not understood", adapter=self.adapter.name)
            is_known = False
        if not is_known:
            self.journal.unknown(event)

    def _unreadable(self, line: Line) -> None:
        self.unreadable_lines += 1
        if len(self._shown) < _SHOWN:
            head = line.data[: 4 * _SHOWN_LENGTH].decode(errors="replace")[:_SHOWN_LENGTH]
            self._shown.append(head if len(head) == line.size else f"{head}… ({line.size} bytes)")
        self.journal.note(
            "custom",
            key="unreadable-lines",
            output={"unreadable_lines": self.unreadable_lines, "first": self._shown},
        )

    def _verdict(self, exit_code: int | None) -> Verdict:
        told = self._reader.verdict(exit_code)
        if isinstance(told, Fault):
            return told
        if exit_code is not None and exit_code != 0:
            return self._ended_badly(exit_code, told)
        if told is None:
            return Fault("the agent ended without telling a result", "INCOMPLETE_STREAM")
        return told

    def _ended_badly(self, exit_code: int, told: Success | None) -> Fault:
        if told is None and exit_code in self.adapter.exit_codes:
            return self.adapter.exit_codes[exit_code]
        after = "after it had reported success" if told else "without telling a result"
        if exit_code < 0:
            return Fault(f"the agent was ended by signal {-exit_code}, {after}", "SIGNAL")
        return Fault(f"the agent ended with exit code {exit_code}, {after}", "EXIT_CODE")
