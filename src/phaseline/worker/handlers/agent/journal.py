"""Turns what an agent is seen to do into operations, usage and the rest that is reported of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from msgspec.structs import replace

from phaseline.domain.payload import Payload
from phaseline.domain.report import OperationReport
from phaseline.domain.usage import ModelUsage, merge
from phaseline.worker.handlers.agent.recent import Recent
from phaseline.worker.limits import ID_LENGTH, MODELS
from phaseline.worker.values import payload_of, plain, shortened

#: Of an operation's input or output.
PREVIEW_BYTES = 16 * 1024
#: Operations that go on at the same time; beyond, the end of the oldest is not waited for.
_MOST_OPEN = 1000
#: Operations whose end is remembered, so that a line that comes twice does not begin them again.
_REMEMBERED = 10_000
#: Unknown events that become operations; the others are only counted.
_MOST_CUSTOM = 1000


class Listener(Protocol):
    """Who is told of what an agent does; a `Context` is one."""

    def record(self, report: OperationReport) -> None:
        """Record an operation; the same operation_id again replaces the whole."""

    def replace_usage(self, models: Sequence[ModelUsage]) -> None:
        """Tell what all models consumed up to now; it replaces what was told before."""

    def session(self, session_id: str) -> None:
        """Tell which agent session does the work."""

    def progress(self, percent: int, message: str = "") -> None:
        """Tell how far the run is, 0 to 100, and what it does."""

    def artifact(self, name: str, content: object, media_type: str = "") -> None:
        """Leave a file behind once the run has ended well."""


class Journal:
    """
    What one run of an agent did, in the order in which it is seen.

    Operations are named by keys of the agent's own, such as the id of a tool call. *clock* tells
    when an event takes place that is being read, or None if nobody knows.
    """

    def __init__(self, listener: Listener, clock: Callable[[], datetime | None]) -> None:
        self.usage: tuple[ModelUsage, ...] = ()
        self.session_id = ""
        self.unknown_events = 0
        self._consumed: Sequence[ModelUsage] = ()
        self._listener = listener
        self._clock = clock
        self._open: dict[str, OperationReport] = {}
        self._ended: Recent[str, None] = Recent(_REMEMBERED)
        self._numbers = 0

    @property
    def now(self) -> datetime | None:
        """When the event that is being read takes place."""
        return self._clock()

    def begin(
        self,
        key: str,
        type: str,
        *,
        tool_name: str = "",
        tool_use_id: str = "",
        parent: str = "",
        input: object = None,
    ) -> None:
        """Record that an operation begins, unless that is known."""
        if key in self._open or key in self._ended:
            return
        if len(self._open) >= _MOST_OPEN:
            self.end(next(iter(self._open)), error="nobody told how it ended")
        self._open[key] = OperationReport(
            operation_id=operation_id(key),
            operation_type=type,
            parent_operation_id=operation_id(parent) if parent else "",
            tool_name=tool_name,
            tool_use_id=tool_use_id,
            timestamp=self.now,
            input=preview(input),
        )
        self._listener.record(self._open[key])

    def end(self, key: str, *, error: str | None = None, output: object = None) -> bool:
        """Record that an operation ended, in failure if there is an *error*; False if none did."""
        report = self._open.pop(key, None)
        if report is None:
            return False
        self._ended.put(key, None)
        self._listener.record(_ended(report, self.now, error, output))
        return True

    def knows(self, key: str) -> bool:
        """Return whether an operation began, and may have ended."""
        return key in self._open or key in self._ended

    def is_open(self, key: str) -> bool:
        """Return whether an operation goes on."""
        return key in self._open

    def note(
        self,
        type: str,
        *,
        key: str = "",
        tool_use_id: str = "",
        parent: str = "",
        began_at: datetime | None = None,
        error: str | None = None,
        input: object = None,
        output: object = None,
        usage: ModelUsage | None = None,
    ) -> None:
        """Record an operation that has ended already; the same *key* again replaces it."""
        report = OperationReport(
            operation_id=operation_id(key or self.new_key(type)),
            operation_type=type,
            parent_operation_id=operation_id(parent) if parent else "",
            tool_use_id=tool_use_id,
            timestamp=began_at or self.now,
            input=preview(input),
            usage=usage,
        )
        self._listener.record(_ended(report, self.now, error, output))

    def new_key(self, prefix: str) -> str:
        """Return a key for an operation that the agent itself gives no name."""
        self._numbers += 1
        return f"{prefix}-{self._numbers}"

    def unknown(self, event: object) -> None:
        """Keep an event of which nobody knows what it means."""
        self.unknown_events += 1
        if self.unknown_events <= _MOST_CUSTOM:
            self.note("custom", output=event)

    def consumed(self, models: Sequence[ModelUsage]) -> None:
        """Record what all models have consumed up to now."""
        if models is self._consumed:
            return
        self._consumed = models
        usage = merge(models)[:MODELS]
        if usage != self.usage:
            self.usage = usage
            self._listener.replace_usage(usage)

    def session(self, session_id: str) -> None:
        """Record which session of the agent it is."""
        if session_id and session_id != self.session_id:
            self.session_id = session_id
            self._listener.session(session_id[:ID_LENGTH])

    def progress(self, percent: int, message: str) -> None:
        """Record how far it is."""
        self._listener.progress(percent, message)

    def artifact(self, name: str, content: object, media_type: str) -> None:
        """Record a file to leave behind. Raises `ValueError` for one that cannot be kept."""
        self._listener.artifact(name, content, media_type)

    def close(self, error: str) -> None:
        """Record that what still goes on ends with the run."""
        for key in tuple(self._open):
            self.end(key, error=error)


def operation_id(key: str) -> str:
    """Return the operation_id for *key*: the key itself, or if that is too long a digest."""
    if len(key) <= ID_LENGTH:
        return plain(key, ID_LENGTH) or "unnamed"
    return f"{key[: ID_LENGTH - 33]}-{hashlib.sha256(key.encode()).hexdigest()[:32]}"


def preview(value: object) -> Payload | None:
    """Return the beginning of *value*, text or what JSON can say, as a payload."""
    if value is None or value == "":
        return None
    return shortened(payload_of(value), PREVIEW_BYTES)


def _ended(
    report: OperationReport, now: datetime | None, error: str | None, output: object
) -> OperationReport:
    return replace(
        report,
        success=error is None,
        completed_at=now,
        error_message=error or ("" if error is None else "failed"),
        output=preview(output),
    )
