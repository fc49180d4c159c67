"""A runner on a manual clock, with a source that does what a test says."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import count

import pytest

from phaseline.domain.payload import Payload
from phaseline.domain.report import Completed, Failed
from phaseline.worker.assignment import Assignment
from phaseline.worker.context import Context
from phaseline.worker.registry import HandlerFunction, Registry
from phaseline.worker.runner import Runner, RunnerOptions
from tests.support.clock import ManualClock, turns
from tests.support.source import FakeSource, assignment


class Rig:
    """A runner with all that a test turns."""

    def __init__(self, **options: object) -> None:
        self.clock = ManualClock()
        self.source = FakeSource()
        self.registry = Registry()
        self.options = RunnerOptions(worker_id="worker-1", **options)  # type: ignore[arg-type]
        self.runner: Runner
        self.ended: asyncio.Task[None]

    @asynccontextmanager
    async def running(self, *, is_stopped: bool = False) -> AsyncIterator[Runner]:
        """Run the runner; whatever still runs in the end is cancelled."""
        numbers = count(1)
        self.runner = Runner(
            self.source,
            self.registry,
            self.options,
            clock=self.clock,
            fraction=lambda: 0.0,
            new_id=lambda: f"request-{next(numbers)}",
        )
        if is_stopped:
            self.runner.stop()
        self.ended = asyncio.create_task(self.runner.run())
        try:
            await turns()
            yield self.runner
        finally:
            self.ended.cancel()
            await asyncio.wait([self.ended])

    def handles(self, name: str = "work") -> Callable[[HandlerFunction], HandlerFunction]:
        """Add a handler."""
        return self.registry.handler(name)

    async def runs(self, **fields: object) -> Assignment:
        """Lease a phase to the runner, and let it do what it can without any time passing."""
        given = assignment(**fields)  # type: ignore[arg-type]
        self.source.offer(given)
        await turns()
        return given

    async def passes(self, seconds: float) -> None:
        """Let time pass."""
        await self.clock.advance(timedelta(seconds=seconds))

    def completed(self) -> Completed:
        """Return the only outcome, which is that a phase is completed."""
        (outcome,) = self.source.outcomes
        assert isinstance(outcome, Completed), outcome
        return outcome

    def output(self) -> Payload:
        """Return what the only phase has produced."""
        output = self.completed().output
        assert output is not None
        return output

    def failed(self) -> Failed:
        """Return the only outcome, which is that an attempt failed."""
        (outcome,) = self.source.outcomes
        assert isinstance(outcome, Failed), outcome
        return outcome


async def until_stopped(context: Context) -> None:
    """Handle a phase by waiting until it is told to stop, and then stop."""
    await asyncio.Event().wait()


async def waits(context: Context) -> None:
    """Handle a phase by telling something, and then as `until_stopped`."""
    context.progress(1)
    await asyncio.Event().wait()


class Stubborn:
    """A handler that takes being told to stop for a rumour, so many times, until `relents`."""

    def __init__(self, times: int = 1) -> None:
        self._times = times
        self.relents = asyncio.Event()

    async def __call__(self, context: Context) -> None:
        context.progress(1)
        for _ in range(self._times):
            with pytest.raises(asyncio.CancelledError):
                await asyncio.Event().wait()
        await self.relents.wait()
