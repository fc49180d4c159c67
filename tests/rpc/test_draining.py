"""A wait ends when the server is about to stop."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from phaseline.rpc.draining import Draining
from tests.support.clock import turns

MINUTE = timedelta(minutes=1)


class Wait:
    """Waits for a signal of the test, unless there is no time to wait."""

    def __init__(self) -> None:
        self.over = asyncio.Event()
        self.asked: list[timedelta] = []

    async def __call__(self, longest: timedelta) -> str:
        self.asked.append(longest)
        if not longest:
            return "not yet"
        await self.over.wait()
        return "done"


@pytest.fixture
def draining() -> Draining:
    return Draining()


async def test_a_wait_gives_what_it_waited_for(draining: Draining) -> None:
    wait = Wait()
    waiting = asyncio.ensure_future(draining.bound(wait, MINUTE))
    await turns()
    wait.over.set()
    assert await waiting == "done"
    assert wait.asked == [MINUTE]


async def test_draining_ends_a_wait(draining: Draining) -> None:
    wait = Wait()
    waiting = asyncio.ensure_future(draining.bound(wait, MINUTE))
    await turns()
    draining.begin()
    assert await waiting == "not yet"
    assert wait.asked == [MINUTE, timedelta()]


async def test_a_draining_server_does_not_wait(draining: Draining) -> None:
    draining.begin()
    assert draining
    wait = Wait()
    assert await draining.bound(wait, MINUTE) == "not yet"
    assert MINUTE not in wait.asked


async def test_an_error_passes(draining: Draining) -> None:
    async def fail(longest: timedelta) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        await draining.bound(fail, MINUTE)


async def test_a_caller_that_gives_up_leaves_nothing_behind(draining: Draining) -> None:
    before = asyncio.all_tasks()
    waiting = asyncio.ensure_future(draining.bound(Wait(), MINUTE))
    await turns()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await turns()
    assert asyncio.all_tasks() == before
