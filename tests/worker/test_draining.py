"""A worker that is to end leases nothing more, and leaves nothing untold."""

import asyncio
import threading
from datetime import timedelta

import pytest

from phaseline.domain.errors import Unavailable
from phaseline.domain.report import Completed, Released
from phaseline.worker.context import Context, StopReason
from tests.support.clock import turns
from tests.support.source import assignment
from tests.support.worker import Rig, until_stopped


@pytest.fixture
def rig() -> Rig:
    return Rig(slots=4, drain_timeout=timedelta(seconds=30))


async def test_an_idle_worker_ends_without_waiting_for_its_poll(rig: Rig) -> None:
    rig.handles()(until_stopped)

    async with rig.running() as runner:
        assert rig.source.waiting_polls == 1
        runner.stop()
        await rig.passes(0.3)

        assert rig.ended.done()
        assert rig.source.waiting_polls == 0


async def test_a_worker_that_is_stopped_before_it_runs_leases_nothing(rig: Rig) -> None:
    rig.handles()(until_stopped)
    rig.source.offer(assignment())

    async with rig.running(is_stopped=True):
        assert rig.ended.done()

    assert rig.source.lease_requests == []


async def test_phases_that_run_may_end(rig: Rig) -> None:
    gate = asyncio.Event()

    @rig.handles()
    async def work(context: Context) -> None:
        await gate.wait()

    async with rig.running() as runner:
        await rig.runs()
        runner.stop()
        await rig.passes(20)
        assert not rig.ended.done()
        gate.set()
        await turns()
        assert rig.ended.done()

    assert rig.source.outcomes == [Completed()]
    assert rig.source.next_requests[-1] is None


async def test_they_are_reported_meanwhile_so_that_their_leases_live(rig: Rig) -> None:
    rig.handles()(until_stopped)

    async with rig.running() as runner:
        given = await rig.runs(heartbeat_interval=timedelta(seconds=10))
        runner.stop()
        await rig.passes(20)

    assert len(rig.source.reports_of(given)) == 2


async def test_phases_that_take_too_long_are_stopped_and_given_back(rig: Rig) -> None:
    reasons: list[StopReason | None] = []

    @rig.handles()
    async def work(context: Context) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            reasons.append(context.stop_reason)

    async with rig.running() as runner:
        await rig.runs()
        runner.stop()
        await rig.passes(23.9)
        assert rig.source.outcomes == []
        await rig.passes(0.2)

        assert rig.source.outcomes == [Released()]
        assert rig.ended.done()
    assert reasons == [StopReason.DRAINING]


async def test_phases_that_do_not_stop_are_given_back_all_the_same(rig: Rig) -> None:
    ended = threading.Event()

    @rig.handles()
    def work(context: Context) -> None:
        ended.wait(timeout=10)

    async with rig.running() as runner:
        await rig.runs(time_to_live=timedelta(hours=1), heartbeat_interval=timedelta(hours=1))
        runner.stop()
        await rig.passes(26.9)
        assert rig.source.outcomes == []
        await rig.passes(0.2)

        assert rig.source.outcomes == [Released()]
        assert rig.ended.done()
    ended.set()


async def test_phases_that_were_on_their_way_are_given_back(rig: Rig) -> None:
    rig.handles()(until_stopped)

    async with rig.running() as runner:
        rig.source.offer(assignment(), assignment())
        runner.stop()
        await turns()

        assert rig.source.outcomes == [Released(), Released()]
        assert rig.ended.done()


async def test_phases_that_come_with_a_last_answer_are_given_back(rig: Rig) -> None:
    rig = Rig(slots=1)

    @rig.handles()
    async def work(context: Context) -> None:
        pass

    async with rig.running() as runner:
        rig.source.answers.clear()
        rig.source.offer(assignment(), assignment())
        await turns()
        runner.stop()
        rig.source.answers.set()
        await turns()

        assert rig.source.outcomes == [Completed(), Released()]
        assert rig.ended.done()


async def test_outcomes_are_reported_as_long_as_there_is_time(rig: Rig) -> None:
    @rig.handles()
    async def work(context: Context) -> None:
        pass

    async with rig.running() as runner:
        rig.source.report_errors.extend(Unavailable("away") for _ in range(100))
        await rig.runs()
        runner.stop()
        await rig.passes(20)
        assert not rig.ended.done()
        rig.source.report_errors.clear()
        await rig.passes(5)
        assert rig.ended.done()

    assert rig.source.outcomes[-1] == Completed()


async def test_a_server_that_stays_away_does_not_keep_the_worker_for_ever(rig: Rig) -> None:
    @rig.handles()
    async def work(context: Context) -> None:
        pass

    async with rig.running() as runner:
        rig.source.report_errors.extend(Unavailable("away") for _ in range(100))
        await rig.runs()
        runner.stop()
        await rig.passes(30)

        assert rig.ended.done()


async def test_a_second_stop_gives_everything_back_at_once(rig: Rig) -> None:
    rig.handles()(until_stopped)

    async with rig.running() as runner:
        rig.source.offer(assignment(), assignment())
        await turns()
        runner.stop()
        runner.stop()
        await turns()

        assert rig.source.outcomes == [Released(), Released()]
        assert rig.ended.done()


async def test_a_second_stop_does_not_wait_for_a_handler_that_does_not_stop(rig: Rig) -> None:
    interruptions = 0

    @rig.handles()
    async def work(context: Context) -> None:
        nonlocal interruptions
        while interruptions < 2:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                interruptions += 1

    async with rig.running() as runner:
        await rig.runs()
        runner.stop()
        runner.stop()
        await turns()

        assert rig.source.outcomes == [Released()]
        assert rig.ended.done()
    assert interruptions == 2


async def test_a_second_stop_does_not_wait_for_those_that_were_told_to_stop_already(
    rig: Rig,
) -> None:
    gate = threading.Event()

    @rig.handles()
    def work(context: Context) -> None:
        gate.wait(timeout=10)

    async with rig.running() as runner:
        await rig.runs()
        runner.stop()
        await rig.passes(24.5)
        assert rig.source.outcomes == []
        runner.stop()
        await turns()

        assert rig.source.outcomes == [Released()]
        assert rig.ended.done()
    gate.set()


async def test_a_second_stop_does_not_wait_for_a_server_that_is_away(rig: Rig) -> None:
    rig.handles()(until_stopped)

    async with rig.running() as runner:
        await rig.runs()
        rig.source.report_errors.extend(Unavailable("away") for _ in range(100))
        runner.stop()
        runner.stop()
        await rig.passes(1)

        assert rig.ended.done()
