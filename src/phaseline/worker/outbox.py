"""What an attempt has to tell the server and has not told yet."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec
from msgspec.structs import replace

from phaseline.domain.payload import Payload
from phaseline.domain.report import OperationReport, Progress
from phaseline.domain.usage import ModelUsage, merge
from phaseline.worker.limits import CALL_BYTES, OPERATIONS, OPERATIONS_AT_ONCE

#: Of a report or an operation, next to the payloads and texts in it. It is less in truth, but so
#: the size of a call bounds the number of its operations, too.
_OVERHEAD = CALL_BYTES // OPERATIONS_AT_ONCE + 1


class News(msgspec.Struct, frozen=True):
    """What changed in an attempt since the last report of it."""

    operations: tuple[OperationReport, ...] = ()
    usage_by_model: tuple[ModelUsage, ...] | None = None
    credits_nanos: int | None = None
    checkpoint: Payload | None = None
    progress: Progress | None = None
    session_id: str = ""


NO_NEWS = News()


class Outbox:
    """
    Gathers the news of one attempt: of each thing only the latest, so that it cannot pile up.

    Everything but `take` may be called in any thread. *changed* is called, in the thread that
    brings the news, when there is some after there was none; it must not call back.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._lock = threading.Lock()
        self._operations: dict[str, OperationReport] = {}
        self._open: dict[str, OperationReport] = {}
        self._usage: dict[str, ModelUsage] = {}
        self._usage_changed = False
        self._credits_nanos: int | None = None
        self._checkpoint: Payload | None = None
        self._progress: Progress | None = None
        self._session_id = ""
        self._bytes = 0
        self._closed = False
        self.has_news = False

    @property
    def size(self) -> int:
        """About how many bytes its next report has."""
        return _OVERHEAD + min(self._bytes, CALL_BYTES) + payload_size(self._checkpoint)

    @property
    def backlog(self) -> int:
        """About how many bytes of operations wait to be reported."""
        return self._bytes

    def operation(self, report: OperationReport) -> None:
        """Tell that an operation began, or how it ended, in place of what was told of it before."""
        with self._lock:
            if self._accepts():
                self._put(report)

    def usage(self, usage: ModelUsage, *, adding: bool = False) -> None:
        """Tell what a model consumed in the attempt, or what it consumed more."""
        with self._lock:
            if self._accepts():
                known = self._usage.get(usage.model)
                total = merge((known,), (usage,))[0] if adding and known is not None else usage
                self._usage[usage.model] = total
                self._usage_changed = True

    def replace_usage(self, models: Sequence[ModelUsage]) -> None:
        """Tell what all models consumed in the attempt, in place of what was told before."""
        with self._lock:
            if self._accepts():
                # Nothing at all would leave with the server what it has.
                before = {name: ModelUsage(name, cost_nanos=0) for name in self._usage}
                self._usage = {each.model: each for each in models} or before
                self._usage_changed = True

    def credits(self, nanos: int) -> None:
        """Tell what the attempt used in credits."""
        with self._lock:
            if self._accepts():
                self._credits_nanos = nanos

    def checkpoint(self, payload: Payload) -> None:
        """Tell what a next attempt needs."""
        with self._lock:
            if self._accepts():
                self._checkpoint = payload

    def progress(self, progress: Progress) -> None:
        """Tell how far it is."""
        with self._lock:
            if self._accepts():
                self._progress = progress

    def session(self, session_id: str) -> None:
        """Tell which agent session does the work."""
        with self._lock:
            if self._accepts():
                self._session_id = session_id

    def take(self) -> News:
        """Return what goes into the next report; `has_news` then says whether there is more."""
        if not self.has_news:
            return NO_NEWS
        with self._lock:
            news = News(
                operations=self._take_operations(),
                usage_by_model=tuple(self._usage.values()) if self._usage_changed else None,
                credits_nanos=self._credits_nanos,
                checkpoint=self._checkpoint,
                progress=self._progress,
                session_id=self._session_id,
            )
            self._usage_changed = False
            self._credits_nanos = self._checkpoint = self._progress = None
            self._session_id = ""
            self.has_news = bool(self._operations)
        return news

    def close(self) -> None:
        """Take nothing more. What is in it can still be taken."""
        with self._lock:
            self._closed = True

    def end_operations(self, error_message: str, now: datetime) -> None:
        """Tell of every operation that goes on that it ended with the attempt, in failure."""
        with self._lock:
            going_on = tuple(self._open.values())
        for each in going_on:
            self.operation(
                replace(each, success=False, completed_at=now, error_message=error_message)
            )

    def _accepts(self) -> bool:
        """Return whether news is taken; if so, what follows under the lock brings some."""
        if self._closed:
            return False
        if not self.has_news:
            self.has_news = True
            # Under the lock, so that no `take` comes in between and makes this a false alarm.
            self._changed()
        return True

    def _put(self, report: OperationReport) -> None:
        before = self._operations.get(report.operation_id)
        self._bytes += operation_size(report) - (0 if before is None else operation_size(before))
        self._operations[report.operation_id] = report
        if report.success is None:
            self._open[report.operation_id] = report
        else:
            self._open.pop(report.operation_id, None)

    def _take_operations(self) -> tuple[OperationReport, ...]:
        if len(self._operations) <= OPERATIONS and self._bytes <= CALL_BYTES:
            taken = tuple(self._operations.values())
            self._operations.clear()
            self._bytes = 0
            return taken
        return self._take_some_operations()

    def _take_some_operations(self) -> tuple[OperationReport, ...]:
        taken: list[OperationReport] = []
        room = CALL_BYTES
        for report in self._operations.values():
            room -= operation_size(report)
            if taken and (room < 0 or len(taken) == OPERATIONS):
                break
            taken.append(report)
        for report in taken:
            del self._operations[report.operation_id]
            self._bytes -= operation_size(report)
        return tuple(taken)


def operation_size(report: OperationReport) -> int:
    """Return about how many bytes an operation has in a report."""
    return (
        _OVERHEAD
        + len(report.error_message)
        + payload_size(report.input)
        + payload_size(report.output)
    )


def payload_size(payload: Payload | None) -> int:
    """Return how many bytes a payload has in a report, but for a few."""
    return 0 if payload is None else payload.size
