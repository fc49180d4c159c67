"""The manual clock keeps what it promises to all other tests."""

import asyncio
from datetime import timedelta

from tests.support.clock import START, ManualClock


async def test_time_stands_still_by_itself() -> None:
    clock = ManualClock()
    await asyncio.sleep(0)

    assert clock.now() == START
    assert clock.time() == 0.0


async def test_each_timer_sees_its_own_time_although_the_clock_moves_in_one_go() -> None:
    clock, seen = ManualClock(), list[float]()

    async def tick() -> None:
        while True:
            await clock.sleep(timedelta(seconds=10))
            seen.append(clock.time())

    task = asyncio.create_task(tick())
    await clock.advance(timedelta(seconds=35))
    task.cancel()

    assert seen == [10.0, 20.0, 30.0]
    assert clock.time() == 35.0


async def test_a_timer_never_rings_before_its_time() -> None:
    clock, seen = ManualClock(), list[float]()
    when = 0.1 + 0.2 + 1e-9

    clock.call_at(when, lambda: seen.append(clock.time()))
    await clock.advance(timedelta(seconds=1))

    assert seen[0] >= when


async def test_a_cancelled_timer_does_not_ring() -> None:
    clock, rung = ManualClock(), list[bool]()

    clock.call_at(1.0, lambda: rung.append(True)).cancel()
    await clock.advance(timedelta(seconds=2))

    assert rung == []


async def test_a_timer_for_the_past_rings_with_the_next_turn() -> None:
    clock, rung = ManualClock(), list[bool]()

    clock.call_at(0.0, lambda: rung.append(True))
    assert rung == []
    await asyncio.sleep(0)

    assert rung == [True]
