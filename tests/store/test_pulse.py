"""No lease ends because the server stood still, or because somebody set its clock."""

from datetime import timedelta

import pytest

from phaseline.app.controlling import Tick
from phaseline.store.pulse import Pulse
from tests.store.stage import Stage
from tests.support.clock import ManualClock
from tests.support.make import LEASE, SECOND

HOUR = timedelta(hours=1)


def tick() -> Tick:
    return Tick(lambda: 0.0)


async def leased(stage: Stage) -> None:
    """Let a worker hold the first phase of "e"."""
    standing = stage.stand()
    await stage.start("e")
    await standing.answer()


async def passes(stage: Stage, by: timedelta) -> None:
    """Let time pass as it does in a server that is well: it has a turn in each second."""
    for _ in range(round(by / SECOND)):
        await stage.clock.advance(SECOND)
        await stage.post(tick())


@pytest.mark.parametrize("by", [2.5 * SECOND, LEASE, HOUR])
def test_a_rest_is_noticed_once(by: timedelta) -> None:
    clock = ManualClock()
    pulse = Pulse(clock)
    assert not pulse.skipped(clock.now())
    clock.pass_(by)
    assert [pulse.skipped(clock.now()) for _ in range(2)] == [True, False]


@pytest.mark.parametrize("by", [HOUR, -HOUR, 1.5 * SECOND])
def test_a_jump_is_noticed_once(by: timedelta) -> None:
    clock = ManualClock()
    pulse = Pulse(clock)
    assert not pulse.skipped(clock.now())
    clock.jump(by)
    assert [pulse.skipped(clock.now()) for _ in range(2)] == [True, False]


def test_a_turn_in_each_second_is_as_it_should_be() -> None:
    clock = ManualClock()
    pulse = Pulse(clock)
    found = []
    for _ in range(100):
        clock.pass_(1.2 * SECOND)
        clock.jump(0.1 * SECOND)
        found.append(pulse.skipped(clock.now()))
    assert not any(found)


@pytest.mark.parametrize("jumps", [False, True])
async def test_a_lease_outlives_a_pause_and_a_jump(stage: Stage, jumps: bool) -> None:
    await leased(stage)
    if jumps:
        stage.clock.jump(HOUR)
    else:
        stage.clock.pass_(HOUR)
    await stage.post(tick())
    assert stage.current("e").phases[0].attempt == 1
    assert stage.current("e").phases[0].lease is not None


async def test_a_worker_that_stays_silent_afterwards_is_lost(stage: Stage) -> None:
    await leased(stage)
    stage.clock.pass_(HOUR)
    await stage.post(tick())
    await passes(stage, LEASE - SECOND)
    assert stage.current("e").phases[0].lease is not None
    await passes(stage, SECOND)
    assert stage.current("e").phases[0].lease is None
    (attempt,) = stage.current("e").phases[0].attempts
    assert attempt.failure is not None
    assert attempt.failure.code == "WORKER_LOST"
