"""A phase stops when it is told to, when its time is up and when its lease is lost."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from phaseline.domain.errors import InvalidArgument, Unavailable
from phaseline.domain.failure import Cancellation, FailureKind
from phaseline.domain.report import (
    AbandonReason,
    Completed,
    Directive,
    DirectiveAction,
    Failed,
    Rejection,
)
from phaseline.worker.context import Context, StopReason
from phaseline.worker.failures import HandlerError
from tests.support.clock import turns
from tests.support.source import ACCEPTED, GO_ON, assignment
from tests.support.worker import Rig, until_stopped

CANCEL = Directive(
    DirectiveAction.CANCEL,
    time_to_live=timedelta(seconds=10),
    cancellation=Cancellation(datetime(2026, 1, 1, tzinfo=UTC), "ada", "changed my mind"),
)
ABANDON = Directive(DirectiveAction.ABANDON, abandon_reason=AbandonReason.SUPERSEDED)


@pytest.fixture
def rig() -> Rig:
    return Rig(slots=4)


async def waits(context: Context) -> None:
    context.progress(1)
    await asyncio.Event().wait()


class Stubborn:
    """A handler that takes being told to stop for a rumour, until `relents`."""

    def __init__(self) -> None:
        self.relents = asyncio.Event()

    async def __call__(self, context: Context) -> None:
        context.progress(1)
        with pytest.raises(asyncio.CancelledError):
            await asyncio.Event().wait()
        await self.relents.wait()


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
    stubborn = Stubborn()
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


async def test_a_rejected_outcome_is_reported_again_as_a_failure(rig: Rig) -> None:
    @rig.handles()
    async def work(context: Context) -> str:
        return "far too much"

    rejection = Rejection("completed.output", "PAYLOAD_TOO_LARGE", "has 2 MiB and can have 1 MiB")
    async with rig.running():
        given = assignment()
        rig.source.directives[given.lease_token] = lambda report: (
            _go_on_without(rejection) if isinstance(report.outcome, Completed) else ACCEPTED
        )
        rig.source.offer(given)
        await turns()

    _, second = rig.source.outcomes
    assert isinstance(second, Failed)
    assert second.failure.code == "PAYLOAD_TOO_LARGE"
    assert second.failure.message == "completed.output: has 2 MiB and can have 1 MiB"
    assert second.failure.retryable is False


async def test_an_outcome_that_is_rejected_once_more_is_left_to_the_server(rig: Rig) -> None:
    @rig.handles()
    async def work(context: Context) -> str:
        return "odd"

    async with rig.running():
        given = assignment()
        rig.source.directives[given.lease_token] = lambda report: _go_on_without(
            Rejection("failed" if isinstance(report.outcome, Failed) else "completed", "ODD", "odd")
        )
        rig.source.offer(given)
        await rig.passes(60)

        assert len(rig.source.outcomes) == 2
        rig.runner.stop()
        await rig.passes(0.3)
        assert rig.ended.done()


async def test_an_outcome_that_is_not_taken_is_told_again(rig: Rig) -> None:
    @rig.handles()
    async def work(context: Context) -> None: ...

    async with rig.running():
        given = assignment()
        rig.source.directives[given.lease_token] = lambda report: (
            GO_ON if report.sequence < 3 else ACCEPTED
        )
        rig.source.offer(given)
        await rig.passes(1)

    assert [each.sequence for each in rig.source.reports_of(given)] == [1, 2, 3]


async def test_a_rejected_operation_does_not_end_the_attempt(rig: Rig) -> None:
    rig.handles()(waits)

    async with rig.running():
        given = assignment()
        rig.source.say(given, _go_on_without(Rejection("operations[0]", "INVALID_FIELD", "odd")))
        rig.source.offer(given)
        await rig.passes(5)

        assert rig.runner.running == 1
        assert rig.source.outcomes == []


def _go_on_without(*rejections: Rejection) -> Directive:
    return Directive(GO_ON.action, time_to_live=GO_ON.time_to_live, rejections=rejections)


async def test_a_server_that_asks_for_no_heartbeat_gets_a_sensible_one(rig: Rig) -> None:
    rig.handles()(waits)

    async with rig.running():
        given = await rig.runs(heartbeat_interval=timedelta(), time_to_live=timedelta(seconds=30))
        await rig.passes(30)

    assert 3 <= len(rig.source.reports_of(given)) <= 5
