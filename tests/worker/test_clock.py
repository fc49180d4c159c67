"""An alarm rings once, at the earliest of the times asked for."""

import asyncio
import threading
from datetime import timedelta

from phaseline.worker.clock import Alarm, SystemClock, sleep
from tests.support.clock import ManualClock


async def test_an_alarm_rings_at_the_earliest_time_and_forgets_the_others() -> None:
    clock, rung = ManualClock(), list[float]()
    alarm = Alarm(clock, lambda: rung.append(clock.time()))

    for when in (5.0, 2.0, 3.0):
        alarm.by(when)
    await clock.advance(timedelta(seconds=10))

    assert rung == [2.0]


async def test_an_alarm_can_be_set_again_while_it_rings() -> None:
    clock, rung = ManualClock(), list[float]()

    def ring() -> None:
        rung.append(clock.time())
        alarm.by(clock.time() + 1)

    alarm = Alarm(clock, ring)
    alarm.by(1.0)
    await clock.advance(timedelta(seconds=3))

    assert rung == [1.0, 2.0, 3.0]


async def test_an_alarm_for_never_does_not_ring_and_neither_does_one_that_is_off() -> None:
    clock, rung = ManualClock(), list[float]()
    alarm = Alarm(clock, lambda: rung.append(clock.time()))

    alarm.by(float("inf"))
    alarm.by(1.0)
    alarm.off()
    await clock.advance(timedelta(days=1))

    assert rung == []


async def test_sleeping_ends_when_the_clock_says_so() -> None:
    clock = ManualClock()
    sleeping = asyncio.create_task(sleep(clock, timedelta(seconds=5)))

    await clock.advance(timedelta(seconds=4.9))
    assert not sleeping.done()
    await clock.advance(timedelta(seconds=0.1))
    assert sleeping.done()


async def test_the_clock_of_the_machine_calls_back_on_the_loop() -> None:
    clock, thread = SystemClock(), asyncio.Future[int]()

    clock.call_at(clock.time(), lambda: thread.set_result(threading.get_ident()))

    assert await thread == threading.get_ident()
    assert clock.now().tzinfo is not None
