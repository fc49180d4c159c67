"""A worker process ends as its signals say."""

import asyncio
import os
import signal

import pytest

from phaseline.domain.report import Completed, Released
from phaseline.worker.context import Context
from phaseline.worker.registry import Registry
from phaseline.worker.standalone import work
from tests.support.clock import turns
from tests.support.source import FakeSource, assignment


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_drains_the_worker(number: signal.Signals) -> None:
    source, registry, gate = FakeSource(), Registry(), asyncio.Event()

    @registry.handler("work")
    async def handle(context: Context) -> None:
        os.kill(os.getpid(), number)
        await gate.wait()

    source.offer(assignment())
    working = asyncio.create_task(work(source, registry))
    await turns()
    gate.set()
    await working

    assert source.outcomes == [Completed()]


async def test_a_second_signal_does_not_wait() -> None:
    source, registry, begun = FakeSource(), Registry(), asyncio.Event()

    @registry.handler("work")
    async def handle(context: Context) -> None:
        begun.set()
        await asyncio.Event().wait()

    source.offer(assignment())
    working = asyncio.create_task(work(source, registry))
    await begun.wait()
    os.kill(os.getpid(), signal.SIGTERM)
    await turns()
    assert not working.done()
    os.kill(os.getpid(), signal.SIGTERM)
    await working

    assert source.outcomes == [Released()]
