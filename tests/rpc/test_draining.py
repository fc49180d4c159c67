"""A wait ends when the server is about to stop."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from phaseline.rpc.draining import Draining
from tests.support.clock import turns

MINUTE = timedelta(minutes=1)


@pytest.fixture
def draining() -> Draining:
    return Draining()


async def wait(draining: Draining, over: asyncio.Event, longest: timedelta = MINUTE) -> str:
    with draining.limit(longest) as limit:
        try:
            async with limit:
                await over.wait()
        except TimeoutError:
            return "not yet"
    return "done"


async def test_a_wait_gives_what_it_waited_for(draining: Draining) -> None:
    over = asyncio.Event()
    waiting = asyncio.ensure_future(wait(draining, over))
    await turns()
    over.set()
    assert await waiting == "done"
    draining.begin()


async def test_draining_ends_every_wait(draining: Draining) -> None:
    waits = [asyncio.ensure_future(wait(draining, asyncio.Event())) for _ in range(3)]
    await turns()
    draining.begin()
    assert await asyncio.gather(*waits) == ["not yet"] * 3


async def test_a_draining_server_does_not_wait(draining: Draining) -> None:
    draining.begin()
    assert draining
    assert await wait(draining, asyncio.Event()) == "not yet"


async def test_a_wait_is_over_in_time(draining: Draining) -> None:
    assert await wait(draining, asyncio.Event(), timedelta(milliseconds=1)) == "not yet"


async def test_draining_begins_while_a_wait_ends_in_time(draining: Draining) -> None:
    """Its time is up, but it has not run since, when the signal comes."""
    waiting = asyncio.ensure_future(wait(draining, asyncio.Event(), timedelta()))
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_soon(draining.begin)
    assert await waiting == "not yet"


async def test_an_error_passes(draining: Draining) -> None:
    with pytest.raises(LookupError), draining.limit(MINUTE) as limit:
        async with limit:
            raise LookupError
    draining.begin()
