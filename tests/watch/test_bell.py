"""Sleeping and waking."""

import asyncio

from phaseline.watch.bell import Bell, Waker
from phaseline.watch.waking import Pace, Waking
from tests.support.clock import ManualClock, turns
from tests.watch.world import SECOND


def sleeping(waker: Waker, until: float = float("inf")) -> asyncio.Task[None]:
    return asyncio.create_task(waker.sleep(until))


def bell_of(clock: ManualClock, wakers: int) -> tuple[Bell, list[Waker]]:
    bell = Bell(Waking(clock, Pace(least_rest=1.0, burst=0, longest_wait=60)), since=0)
    woken = [Waker(clock) for _ in range(wakers)]
    for waker in woken:
        bell.add(waker)
    return bell, woken


def ring(bell: Bell, *revisions: int) -> None:
    for revision in revisions:
        bell.note(revision)
    bell.ring()


async def test_a_sleeper_is_woken() -> None:
    waker = Waker(ManualClock())
    sleep = sleeping(waker)
    await turns()
    assert not sleep.done()
    assert waker.wake()
    await turns()
    assert sleep.done()


async def test_who_is_woken_while_up_does_not_fall_asleep() -> None:
    waker = Waker(ManualClock())
    assert not waker.wake()
    await asyncio.wait_for(waker.sleep(), 1)
    sleep = sleeping(waker)
    await turns()
    assert not sleep.done(), "only the next time"
    waker.wake()
    await sleep


async def test_a_sleep_ends_at_its_time() -> None:
    clock = ManualClock()
    waker = Waker(clock)
    sleep = sleeping(waker, until=2.0)
    await clock.advance(SECOND)
    assert not sleep.done()
    await clock.advance(SECOND)
    assert sleep.done()


async def test_a_later_time_needs_no_new_timer() -> None:
    clock = ManualClock()
    waker = Waker(clock)
    first = sleeping(waker, until=2.0)
    await turns()
    waker.wake()
    await first
    second = sleeping(waker, until=3.0)
    await clock.advance(2 * SECOND)
    assert second.done(), "the first timer rings, for one look too many"
    await asyncio.wait_for(waker.sleep(2.0), 1)


async def test_a_closed_waker_leaves_no_timer() -> None:
    clock = ManualClock()
    waker = Waker(clock)
    sleep = sleeping(waker, until=2.0)
    await turns()
    waker.close()
    await clock.advance(3 * SECOND)
    assert not sleep.done()
    sleep.cancel()


async def test_a_bell_wakes_all_who_sleep() -> None:
    bell, wakers = bell_of(ManualClock(), 3)
    sleeps = [sleeping(waker) for waker in wakers]
    await turns()
    ring(bell, 1)
    await turns()
    assert all(sleep.done() for sleep in sleeps)


async def test_a_bell_rings_once_for_all_that_came_before_its_turn() -> None:
    clock = ManualClock()
    bell, wakers = bell_of(clock, 2)
    await _ring_all(bell, wakers, 1)
    sleeps = [sleeping(waker) for waker in wakers]
    await turns()
    ring(bell, 2)
    ring(bell, 3)
    await clock.advance(SECOND)
    assert not any(sleep.done() for sleep in sleeps)
    assert bell.horizon(3) == 1, "nobody runs ahead meanwhile"
    await clock.advance(SECOND)
    assert all(sleep.done() for sleep in sleeps)
    assert bell.horizon(3) == 3


async def test_who_did_not_sleep_costs_no_rest() -> None:
    clock = ManualClock()
    bell, _ = bell_of(clock, 5)
    ring(bell, 1)
    await turns()
    ring(bell, 2)
    assert bell.horizon(2) == 2


async def test_a_bell_tells_what_need_not_be_read() -> None:
    bell, _ = bell_of(ManualClock(), 1)
    ring(bell, 5)
    await turns()
    ring(bell, 9)
    assert [bell.quiet_until(after, head=12) for after in (0, 4, 5, 8, 9, 12)] == [
        4,
        4,
        8,
        8,
        12,
        12,
    ]


async def test_a_bell_knows_nothing_of_what_was_before_it() -> None:
    bell = Bell(Waking(ManualClock()), since=7)
    assert bell.quiet_until(6, head=9) == 6
    assert bell.quiet_until(7, head=9) == 9


async def test_a_bell_never_leads_back() -> None:
    """A snapshot may be of a revision that this process has not heard of yet."""
    bell = Bell(Waking(ManualClock()), since=7)
    assert bell.quiet_until(12, head=9) == 12


async def test_a_bell_forgets_old_revisions_and_says_so() -> None:
    bell, _ = bell_of(ManualClock(), 0)
    for revision in range(1, 200):
        ring(bell, revision)
        await turns(1)
    assert bell.quiet_until(1, head=199) == 1, "it cannot tell"
    assert bell.quiet_until(198, head=199) == 198
    assert bell.quiet_until(199, head=250) == 250


async def test_a_bell_that_missed_something_wakes_and_knows_nothing() -> None:
    bell, wakers = bell_of(ManualClock(), 1)
    sleep = sleeping(wakers[0])
    await turns()
    bell.note(3)
    bell.miss(8)
    bell.ring()
    await turns()
    assert sleep.done()
    assert bell.quiet_until(5, head=8) == 5
    assert bell.quiet_until(8, head=9) == 9


async def test_a_bell_whose_listeners_are_gone_rings_for_nobody() -> None:
    clock = ManualClock()
    bell, wakers = bell_of(clock, 1)
    await _ring_all(bell, wakers, 1)
    ring(bell, 2)
    bell.remove(wakers[0])
    assert bell.listeners == 0
    await clock.advance(3 * SECOND)
    assert not wakers[0].wake(), "it was not told"
    assert bell.horizon(2) == 2


async def _ring_all(bell: Bell, wakers: list[Waker], revision: int) -> None:
    """Ring for sleepers, so that a rest is owed."""
    sleeps = [sleeping(waker) for waker in wakers]
    await turns()
    ring(bell, revision)
    await asyncio.gather(*sleeps)
