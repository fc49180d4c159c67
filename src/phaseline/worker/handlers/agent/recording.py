"""Tells of a run that took place before, from the file of its stream."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from msgspec.structs import replace

from phaseline.domain.payload import Payload
from phaseline.domain.report import OperationReport
from phaseline.domain.usage import ModelUsage
from phaseline.worker.context import Context
from phaseline.worker.handlers.agent.adapter import Adapter, Beginning
from phaseline.worker.handlers.agent.adapters import recognised
from phaseline.worker.handlers.agent.events import Event, moment, read_line
from phaseline.worker.handlers.agent.lines import LineReader
from phaseline.worker.handlers.agent.outcome import failure_of, output_of
from phaseline.worker.handlers.agent.pace import MOST_WAITING
from phaseline.worker.handlers.agent.reader import Fault
from phaseline.worker.handlers.agent.stream import Stream
from phaseline.worker.limits import CALL_BYTES, ERROR_LENGTH, OPERATIONS, OPERATIONS_AT_ONCE
from phaseline.worker.threads import in_thread

_CHUNK = 256 * 1024
_LOOK_EVERY = 0.02
#: Bytes of operations that one report can have, however small they are.
_ONE_REPORT = CALL_BYTES * OPERATIONS // OPERATIONS_AT_ONCE
#: Events looked at to find out which agent has printed them.
_LOOKED_AT = 1000


class Recording:
    """
    A handler that does what a recorded run did, as far as anybody can see.

    Operations have the times in the stream; where it has none, that of their report. *model* is
    the one used, for agents that do not tell. *known* are the operations that an attempt before
    has recorded: by operation_id whether they succeeded, and with what error. Usage that
    *is_counted* is not told again either.
    """

    def __init__(
        self,
        path: Path,
        adapter: Adapter,
        model: str = "",
        *,
        known: Mapping[str, tuple[bool, str]] | None = None,
        is_counted: bool = False,
    ) -> None:
        self._path = path
        self._adapter = adapter
        self._model = model
        self._known = known or {}
        self._is_counted = is_counted

    async def __call__(self, context: Context) -> Payload:
        first = await in_thread(lambda: first_moment(self._path))
        teller = _Teller(context, self._known)
        stream = Stream(self._adapter, teller, Times(first), Beginning(model=self._model))
        with await in_thread(lambda: self._path.open("rb")) as file:
            while chunk := await in_thread(lambda: file.read(_CHUNK)):
                stream.feed(chunk)
                await _until_reported(context, MOST_WAITING)
        verdict = stream.end()
        await _until_reported(context, _ONE_REPORT)
        # The next report has all that is left and the outcome: both are stored, or neither.
        if not self._is_counted:
            context.replace_usage(stream.journal.usage)
        if isinstance(verdict, Fault):
            failure = failure_of(verdict, stream)
            failure.retryable = False  # what is in a file is the same each time
            raise failure
        return output_of(verdict)


class _Teller:
    """Tells of a run what was not told before, but for its usage."""

    def __init__(self, context: Context, known: Mapping[str, tuple[bool, str]]) -> None:
        self._known = known
        self._context = context
        self.session = context.session
        self.progress = context.progress
        self.artifact = context.artifact

    def record(self, report: OperationReport) -> None:
        known = self._known.get(report.operation_id)
        if known is not None and report.success is None:
            return  # how it ended will tell whether that is known
        if known is not None and known == (report.success, report.error_message[:ERROR_LENGTH]):
            return
        began_at, completed_at = report.timestamp, report.completed_at
        if began_at is not None and completed_at is not None:
            report = replace(report, completed_at=max(began_at, completed_at))
        self._context.record(report)

    def replace_usage(self, models: Sequence[ModelUsage]) -> None:
        # An attempt that is cut off must leave none behind, as the next one tells it all again.
        pass


class Times:
    """
    Tells when events took place: a stream has a time in some of its lines, or in none.

    What comes before the *first* time took place then.
    """

    def __init__(self, first: datetime | None = None) -> None:
        self._last = first

    def __call__(self, event: Event) -> datetime | None:
        self._last = moment(event.get("timestamp")) or self._last
        return self._last


def first_moment(path: Path) -> datetime | None:
    """Return the first time in the file of a stream. Blocks."""
    reader = LineReader()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            for line in reader.feed(chunk):
                if found := _moment_in(line.data):
                    return found
    return next(filter(None, (_moment_in(line.data) for line in reader.end())), None)


def _moment_in(line: bytes) -> datetime | None:
    # Most of what has none need not be read twice.
    events = read_line(line).events if b'"timestamp"' in line else ()
    return next(filter(None, (moment(event.get("timestamp")) for event in events)), None)


async def _until_reported(context: Context, most: int) -> None:
    """Return once no more than *most* bytes of operations wait to be reported."""
    while context.backlog > most:  # noqa: ASYNC110 - nobody tells of a report
        await asyncio.sleep(_LOOK_EVERY)


def adapter_of(path: Path) -> Adapter | None:
    """Return the adapter for the agent that has printed what is in a file. Blocks."""
    reader, looked_at = LineReader(), 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            for line in reader.feed(chunk):
                for event in read_line(line.data).events:
                    looked_at += 1
                    if adapter := recognised(event):
                        return adapter
            if looked_at > _LOOKED_AT:
                return None
    for line in reader.end():
        for event in read_line(line.data).events:
            if adapter := recognised(event):
                return adapter
    return None
