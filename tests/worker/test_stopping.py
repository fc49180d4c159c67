"""A phase stops when it is told to, when its time is up and when its lease is lost."""

import asyncio
from datetime import timedelta

import pytest

from phaseline.domain.failure import FailureKind
from phaseline.worker.context import Context, StopReason
from phaseline.worker.failures import HandlerError
from tests.support.clock import turns
from tests.support.source import CANCEL, assignment
from tests.support.worker import Rig, Stubborn, waits


async def test_cancel_stops_a_coroutine_at_once_and_is_reported(rig: Rig) -> None:
    rig.handles()(waits)

    async with rig.running():
        given = assignment()
        rig.source.say(given, CANCEL)
        rig.source.offer(given)
        await rig.passes(0.1)

    failure = rig.failed().failure
    assert failure.kind is FailureKind.CANCELLED
    assert failure.message == "stopped on request: changed my mind"


async def test_cancel_is_seen_by_a_handler_in_a_thread(rig: Rig) -> None:
    @rig.handles()
    def work(context: Context) -> None:
        context.progress(1)
        while True:
            context.raise_if_cancelled()

    async with rig.running():
        given = assignment()
        rig.source.say(given, CANCEL)
        rig.source.offer(given)
        while not rig.source.outcomes:
            await rig.passes(0.1)

    assert rig.failed().failure.kind is FailureKind.CANCELLED


async def test_a_handler_can_tell_who_stopped_it_and_why(rig: Rig) -> None:
    seen: list[object] = []

    @rig.handles()
    async def work(context: Context) -> None:
        context.progress(1)
        try:
            await context.wait_cancelled()
        finally:
            seen.extend([context.stop_reason, context.cancellation])

    async with rig.running():
        given = assignment()
        rig.source.say(given, CANCEL)
        rig.source.offer(given)
        await rig.passes(0.1)

    assert seen == [StopReason.CANCELLED, CANCEL.cancellation]


async def test_work_that_is_done_all_the_same_is_reported_as_done(rig: Rig) -> None:
    @rig.handles()
    async def work(context: Context) -> str:
        context.progress(1)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "done"
        return "never"

    async with rig.running():
        given = assignment()
        rig.source.say(given, CANCEL)
        rig.source.offer(given)
        await rig.passes(0.1)

    assert rig.completed().output is not None


async def test_an_error_on_the_way_out_does_not_hide_that_it_was_cancelled(rig: Rig) -> None:
    @rig.handles()
    async def work(context: Context) -> None:
        context.progress(1)
        try:
            await asyncio.Event().wait()
        finally:
            raise HandlerError("killed by SIGTERM", code="SIGNAL")

    async with rig.running():
        given = assignment()
        rig.source.say(given, CANCEL)
        rig.source.offer(given)
        await rig.passes(0.1)

    assert rig.failed().failure.kind is FailureKind.CANCELLED


async def test_a_handler_that_does_not_stop_is_reported_before_the_grace_ends(rig: Rig) -> None:
    stubborn = Stubborn(2)
    rig.handles()(stubborn)

    async with rig.running():
        given = assignment(heartbeat_interval=timedelta(seconds=1))
        rig.source.say(given, CANCEL)
        rig.source.offer(given)
        await rig.passes(7)
        assert rig.source.outcomes == []
        await rig.passes(2)

        assert rig.failed().failure.kind is FailureKind.CANCELLED
        assert rig.runner.running == 1, "its slot is free when it has ended, not before"
        stubborn.relents.set()
        await turns()
        assert rig.runner.running == 0
        assert len(rig.source.outcomes) == 1


async def test_a_handler_that_outstays_the_grace_is_cancelled_without_any(rig: Rig) -> None:
    rig.handles()(Stubborn())

    async with rig.running():
        given = assignment(heartbeat_interval=timedelta(seconds=1))
        rig.source.say(given, CANCEL)
        rig.source.offer(given)
        await rig.passes(7)
        assert rig.runner.running == 1
        await rig.passes(2)
        assert rig.runner.running == 0


async def test_what_a_handler_tells_after_its_outcome_is_dropped(rig: Rig) -> None:
    stubborn = Stubborn()

    @rig.handles()
    async def work(context: Context) -> None:
        await stubborn(context)
        context.progress(99)

    async with rig.running():
        given = assignment()
        rig.source.say(given, CANCEL)
        rig.source.offer(given)
        await rig.passes(9)
        rig.source.answers.clear()
        stubborn.relents.set()
        await rig.passes(5)

    assert rig.source.reports_of(given)[-1].outcome is not None


async def test_cancel_said_again_does_not_start_the_grace_again(rig: Rig) -> None:
    @rig.handles()
    async def work(context: Context) -> None:
        context.progress(1)
        with pytest.raises(asyncio.CancelledError):
            await asyncio.Event().wait()
        for percent in range(2, 50):
            context.progress(percent)
            await rig.clock.sleep(timedelta(seconds=1))

    async with rig.running():
        given = assignment()
        rig.source.say(given, CANCEL)
        rig.source.offer(given)
        await rig.passes(9)

    assert len(rig.source.outcomes) == 1


async def test_a_handler_that_outstays_its_time_does_not_make_the_worker_spin(rig: Rig) -> None:
    rig.handles()(Stubborn())

    async with rig.running():
        await rig.runs(timeout=timedelta(seconds=10))
        await rig.passes(9.55)
        before = rig.clock.timers_set
        await turns(100)

    assert rig.clock.timers_set == before


async def test_an_attempt_that_takes_too_long_fails_just_before_the_server_ends_it(
    rig: Rig,
) -> None:
    @rig.handles()
    async def work(context: Context) -> None:
        with context.operation("sleep"):
            await asyncio.Event().wait()

    async with rig.running():
        given = await rig.runs(timeout=timedelta(seconds=10))
        await rig.passes(9.4)
        assert rig.source.outcomes == []
        await rig.passes(0.2)

    failure = rig.failed().failure
    assert (failure.kind, failure.code) == (FailureKind.TIMEOUT, "PHASE_TIMEOUT")
    (operation,) = rig.source.reports_of(given)[-1].operations
    assert operation.success is False


async def test_a_handler_that_outstays_its_time_is_reported_without_its_help(rig: Rig) -> None:
    rig.handles()(Stubborn())

    async with rig.running():
        await rig.runs(timeout=timedelta(seconds=10))
        await rig.passes(9.9)

    assert rig.failed().failure.kind is FailureKind.TIMEOUT


async def test_what_is_done_after_its_time_has_timed_out(rig: Rig) -> None:
    @rig.handles()
    async def work(context: Context) -> str:
        with pytest.raises(asyncio.CancelledError):
            await asyncio.Event().wait()
        return "late"

    async with rig.running():
        await rig.runs(timeout=timedelta(seconds=10))
        await rig.passes(9.9)

    assert rig.failed().failure.kind is FailureKind.TIMEOUT


async def test_operations_that_go_on_end_with_a_failed_attempt(rig: Rig) -> None:
    @rig.handles()
    async def work(context: Context) -> None:
        context.operation("never left").__enter__()
        raise HandlerError("broken")

    async with rig.running():
        await rig.runs()

    (report,) = rig.source.reports
    assert [each.success for each in report.operations] == [False]
