"""A worker that has lost a lease stops, and one that may have lost it does, too."""

import asyncio
from datetime import timedelta

from phaseline.domain.errors import InvalidArgument, Unavailable
from phaseline.domain.report import Completed
from phaseline.worker.context import Context, StopReason
from tests.support.source import ABANDON, CANCEL, assignment
from tests.support.worker import Rig, Stubborn, until_stopped, waits


async def test_a_lost_lease_stops_the_handler_and_nothing_more_is_reported(rig: Rig) -> None:
    rig.handles()(waits)

    async with rig.running():
        given = assignment()
        rig.source.say(given, ABANDON)
        rig.source.offer(given)
        await rig.passes(0.1)
        assert rig.runner.running == 0
        await rig.passes(60)

    assert len(rig.source.reports_of(given)) == 1
    assert rig.source.outcomes == []


async def test_a_lost_lease_does_not_keep_the_worker(rig: Rig) -> None:
    rig.handles()(waits)

    async with rig.running() as runner:
        given = assignment()
        rig.source.say(given, ABANDON)
        rig.source.offer(given)
        await rig.passes(0.1)
        runner.stop()
        await rig.passes(0.3)

        assert rig.ended.done()


async def test_a_late_answer_does_not_bring_back_a_lost_lease(rig: Rig) -> None:
    rig.handles()(waits)

    async with rig.running():
        rig.source.answers.clear()
        given = await rig.runs()
        await rig.passes(31)
        assert rig.runner.running == 0
        rig.source.answers.set()
        await rig.passes(60)

    assert len(rig.source.reports_of(given)) == 1


async def test_a_lease_that_is_lost_while_its_report_waits_is_not_reported(rig: Rig) -> None:
    @rig.handles()
    async def work(context: Context) -> None:
        await rig.clock.sleep(timedelta(seconds=context.attempt))
        await waits(context)

    async with rig.running():
        for seconds in (1, 2):
            await rig.runs(attempt=seconds, time_to_live=timedelta(hours=1))
        given = await rig.runs(attempt=3, time_to_live=timedelta(seconds=30))
        rig.source.answers.clear()
        await rig.passes(31)
        assert rig.runner.running == 2
        rig.source.answers.set()
        await rig.passes(1)

    assert rig.source.reports_of(given) == []


async def test_a_lease_that_ends_is_not_reported_in_the_same_moment(rig: Rig) -> None:
    """The heartbeat that was due as well brought it back into the queue."""
    rig.handles()(until_stopped)

    async with rig.running():
        given = await rig.runs(
            time_to_live=timedelta(seconds=30), heartbeat_interval=timedelta(seconds=38)
        )
        await rig.passes(31)

    assert rig.source.reports_of(given) == []


async def test_a_report_that_the_server_cannot_take_loses_the_lease(rig: Rig) -> None:
    rig.handles()(waits)

    async with rig.running():
        rig.source.report_errors.append(InvalidArgument("odd"))
        await rig.runs()
        await rig.passes(0.1)

        assert rig.runner.running == 0


async def test_a_lost_lease_outranks_a_cancellation(rig: Rig) -> None:
    interruptions: list[StopReason | None] = []

    @rig.handles()
    async def work(context: Context) -> None:
        context.progress(1)
        while len(interruptions) < 2:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                interruptions.append(context.stop_reason)
                context.progress(2)

    async with rig.running():
        given = assignment()
        rig.source.say(given, CANCEL)
        rig.source.offer(given)
        await rig.passes(0.1)
        rig.source.say(given, ABANDON)
        await rig.passes(0.1)

    assert interruptions == [StopReason.CANCELLED, StopReason.LOST]
    assert rig.source.outcomes == []


async def test_a_lease_that_cannot_be_renewed_is_given_up_when_it_ends(rig: Rig) -> None:
    rig.handles()(waits)

    async with rig.running():
        await rig.runs(time_to_live=timedelta(seconds=30))
        rig.source.report_errors.extend(Unavailable("away") for _ in range(100))
        await rig.passes(29.9)
        assert rig.runner.running == 1
        await rig.passes(0.2)
        assert rig.runner.running == 0


async def test_a_renewed_lease_counts_from_when_the_renewal_was_sent(rig: Rig) -> None:
    """Counted from the answer, a worker would outlive its lease by the time the answer took."""
    rig.handles()(waits)

    async with rig.running():
        await rig.runs(heartbeat_interval=timedelta(minutes=10))
        rig.source.answers.clear()
        await rig.passes(20)
        rig.source.answers.set()
        await rig.passes(10)
        assert rig.runner.running == 1
        await rig.passes(0.2)
        assert rig.runner.running == 0


async def test_an_outcome_waits_for_the_server_longer_than_the_lease_lives(rig: Rig) -> None:
    @rig.handles()
    async def work(context: Context) -> str:
        return "precious"

    rig.handles("wait")(waits)
    async with rig.running():
        rig.source.report_errors.extend(Unavailable("away") for _ in range(100))
        given = await rig.runs()
        await rig.runs(handler="wait")
        await rig.passes(40)
        assert rig.runner.running == 0
        rig.source.report_errors.clear()
        await rig.passes(5)

    assert isinstance(rig.source.outcomes[-1], Completed)
    assert {each.sequence for each in rig.source.reports_of(given)} == {1}


async def test_a_worker_that_waits_for_the_server_does_not_spin(rig: Rig) -> None:
    """An alarm for a time that has passed rings with every turn of the loop."""
    gate = asyncio.Event()

    @rig.handles()
    async def work(context: Context) -> None:
        await gate.wait()

    rig.handles("wait")(waits)
    async with rig.running():
        rig.source.answers.clear()
        for _ in range(3):
            await rig.runs(handler="wait")
            await rig.passes(0.2)
        await rig.runs()
        await rig.passes(9)
        gate.set()
        before = rig.clock.timers_set
        await rig.passes(9)

    assert rig.clock.timers_set - before < 10


async def test_a_server_that_asks_for_no_heartbeat_gets_a_sensible_one(rig: Rig) -> None:
    rig.handles()(waits)

    async with rig.running():
        given = await rig.runs(heartbeat_interval=timedelta(), time_to_live=timedelta(seconds=30))
        await rig.passes(30)

    assert 3 <= len(rig.source.reports_of(given)) <= 5


async def test_a_lease_that_ended_while_the_server_paused_is_not_given_back(rig: Rig) -> None:
    """Whatever its handler makes of it, and however the worker ends: another may have the phase."""
    stubborn = Stubborn()
    rig.handles()(stubborn)

    async with rig.running() as runner:
        rig.source.answers.clear()
        given = await rig.runs()
        await rig.passes(31)
        stubborn.relents.set()
        runner.stop()
        runner.stop()
        rig.source.answers.set()
        await rig.passes(1)

        assert rig.ended.done()
    assert [report.outcome for report in rig.source.reports_of(given)] == [None]


async def test_a_lease_that_ended_unnoticed_is_not_given_back(rig: Rig) -> None:
    """The worker's process stood still, and was told to end at once before its alarms rang."""
    rig.handles()(until_stopped)

    async with rig.running() as runner:
        given = await rig.runs()
        runner.stop()
        rig.clock.pass_(timedelta(seconds=31))
        runner.stop()
        await rig.passes(1)

        assert rig.ended.done()
    assert rig.source.reports_of(given) == []
