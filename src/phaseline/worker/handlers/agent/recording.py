"""Tells of a run that took place before, from the file of its stream."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path

from phaseline.domain.payload import Payload
from phaseline.worker.context import Context
from phaseline.worker.handlers.agent.adapter import Adapter, Beginning
from phaseline.worker.handlers.agent.adapters import recognised
from phaseline.worker.handlers.agent.events import Event, moment, read_line
from phaseline.worker.handlers.agent.lines import LineReader
from phaseline.worker.handlers.agent.outcome import failure_of, output_of
from phaseline.worker.handlers.agent.pace import MOST_WAITING
from phaseline.worker.handlers.agent.reader import Fault
from phaseline.worker.handlers.agent.stream import Stream
from phaseline.worker.threads import in_thread

_CHUNK = 256 * 1024
_LOOK_EVERY = 0.02
#: Events looked at to find out which agent has printed them.
_LOOKED_AT = 1000


class Recording:
    """
    A handler that does what a recorded run did, as far as anybody can see.

    Operations have the times in the stream; where it has none, that of their report. *model* is
    the one used, for agents that do not tell.
    """

    def __init__(self, path: Path, adapter: Adapter, model: str = "") -> None:
        self._path = path
        self._adapter = adapter
        self._model = model

    async def __call__(self, context: Context) -> Payload:
        stream = Stream(self._adapter, context, Times(), Beginning(model=self._model))
        with await in_thread(lambda: self._path.open("rb")) as file:
            while chunk := await in_thread(lambda: file.read(_CHUNK)):
                stream.feed(chunk)
                while context.backlog > MOST_WAITING:  # noqa: ASYNC110 - nobody tells of a report
                    await asyncio.sleep(_LOOK_EVERY)
        verdict = stream.end()
        if isinstance(verdict, Fault):
            raise failure_of(verdict, stream)
        return output_of(verdict)


class Times:
    """Tells when events took place: a stream has a time in some of its lines, or in none."""

    def __init__(self) -> None:
        self._last: datetime | None = None

    def __call__(self, event: Event) -> datetime | None:
        self._last = moment(event.get("timestamp")) or self._last
        return self._last


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
