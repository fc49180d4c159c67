"""Programs run as phases, with what they were given and what became of them."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from phaseline.domain.payload import Payload
from phaseline.domain.report import OperationReport
from phaseline.worker.context import Context
from phaseline.worker.failures import HandlerError
from phaseline.worker.handlers.command import CommandHandler
from phaseline.worker.outbox import News, Outbox
from tests.support.clock import ManualClock
from tests.support.source import assignment


class Ran:
    """A command, what it was given and what became of it."""

    def __init__(self, directory: Path, config: dict[str, object], **fields: object) -> None:
        self.told = asyncio.Event()
        self.outbox = Outbox(self.told.set)
        given = assignment("command", config=config, **fields)
        self.context = Context(given, self.outbox, ManualClock())
        self._handler = CommandHandler(directory=directory, pass_environment=["ALLOWED"])

    async def run(self) -> Payload:
        return await self._handler(self.context)

    async def fails(self) -> HandlerError:
        with pytest.raises(HandlerError) as caught:
            await self.run()
        return caught.value

    @property
    def news(self) -> News:
        return self.outbox.take()

    @property
    def operation(self) -> OperationReport:
        """The operation that is the program itself."""
        (operation,) = [each for each in self.news.operations if each.operation_id == "process"]
        return operation

    @property
    def artifacts(self) -> dict[str, Payload]:
        return {each.name: each.content for each in self.context.artifacts}


Command = Callable[..., Ran]


def python(text: str) -> dict[str, object]:
    """Return the settings of a phase that runs a Python program."""
    return {"argv": [sys.executable, "-c", text]}
