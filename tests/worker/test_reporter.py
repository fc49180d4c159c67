"""What attempts have to tell goes out soon, together, in order and once."""

import asyncio
import threading
from datetime import timedelta

import pytest

from phaseline.domain.errors import (
    InvalidArgument,
    Unauthenticated,
    Unavailable,
)
from phaseline.domain.report import Completed, Failed, Report
from phaseline.worker.context import Context
from tests.support.clock import turns
from tests.support.source import assignment
from tests.support.worker import Rig, until_stopped


async def test_outcomes_of_the_same_turn_share_a_call(rig: Rig) -> None:
    gate = asyncio.Event()

    @rig.handles()
    async def work(context: Context) -> None:
        await gate.wait()

    async with rig.running():
        rig.source.offer(*(assignment() for _ in range(3)))
        await turns()
        gate.set()
        await turns()

    assert [len(call) for call in rig.source.calls] == [3]


async def test_a_report_whose_answer_was_lost_is_repeated_as_it_was(rig: Rig) -> None:
    rig = Rig(slots=1)

    @rig.handles()
    async def work(context: Context) -> str:
        return context.execution_id

    async with rig.running():
        rig.source.offer(assignment(), assignment())
        await rig.source.called(1)
        rig.source.lost_answers.append(Unavailable("connection lost"))
        await turns()
        await rig.passes(0.05)

    first, second, third = rig.source.calls
    assert second == first
    assert rig.source.next_requests[0] == rig.source.next_requests[1]
    # The phase that was leased in the lost answer.
    assert third[0].lease_token != first[0].lease_token
    assert isinstance(third[0].outcome, Completed)


async def test_a_worker_whose_reports_are_refused_ends_with_the_reason(rig: Rig) -> None:
    @rig.handles()
    async def work(context: Context) -> None: ...

    rig.source.report_errors.append(Unauthenticated("the token has expired"))
    async with rig.running():
        await rig.runs()
        with pytest.raises(Unauthenticated, match="expired"):
            await rig.ended


async def test_news_waits_for_more_and_then_shares_a_call(rig: Rig) -> None:
    @rig.handles()
    async def work(context: Context) -> None:
        context.progress(10, "begun")
        context.progress(20, "further")
        await asyncio.Event().wait()

    async with rig.running():
        rig.source.offer(assignment(), assignment())
        await rig.passes(0.09)
        assert rig.source.calls == []
        await rig.passes(0.02)

    (call,) = rig.source.calls
    assert [report.progress and report.progress.percent for report in call] == [20, 20]


async def test_a_silent_phase_is_reported_before_the_server_gets_impatient(rig: Rig) -> None:
    rig.handles()(until_stopped)

    async with rig.running():
        given = await rig.runs(heartbeat_interval=timedelta(seconds=10))
        await rig.passes(35)

    token = given.lease_token
    assert rig.source.reports == [Report(token, sequence) for sequence in (1, 2, 3, 4)]


async def test_heartbeats_of_phases_begun_at_different_times_share_calls(rig: Rig) -> None:
    rig.handles()(until_stopped)

    async with rig.running():
        for _ in range(4):
            await rig.runs()
            await rig.passes(0.5)
        await rig.passes(28)

    assert {len(call) for call in rig.source.calls} == {4}


async def test_the_sequence_of_a_lease_rises_with_each_report(rig: Rig) -> None:
    @rig.handles()
    async def work(context: Context) -> None:
        for percent in range(3):
            context.progress(percent)
            await rig.clock.sleep(timedelta(seconds=1))

    async with rig.running():
        given = await rig.runs()
        await rig.passes(4)

    assert [report.sequence for report in rig.source.reports_of(given)] == [1, 2, 3, 4]


async def test_two_reports_of_a_lease_are_never_on_their_way_together(rig: Rig) -> None:
    going_on = asyncio.Event()

    @rig.handles()
    async def work(context: Context) -> None:
        context.progress(1)
        await going_on.wait()

    async with rig.running():
        rig.source.answers.clear()
        given = await rig.runs()
        await rig.passes(0.1)
        going_on.set()
        await rig.passes(1)
        assert len(rig.source.reports_of(given)) == 1
        rig.source.answers.set()
        await turns()

    assert [report.outcome for report in rig.source.reports_of(given)] == [None, Completed()]


async def test_news_that_comes_while_a_report_is_on_its_way_follows_it(rig: Rig) -> None:
    going_on = asyncio.Event()

    @rig.handles()
    async def work(context: Context) -> None:
        context.progress(1)
        await going_on.wait()
        context.progress(2)
        await asyncio.Event().wait()

    async with rig.running():
        rig.source.answers.clear()
        given = await rig.runs()
        await rig.passes(0.1)
        going_on.set()
        await turns()
        rig.source.answers.set()
        await rig.passes(0.1)

    told = [each.progress and each.progress.percent for each in rig.source.reports_of(given)]
    assert told == [1, 2]


async def test_news_from_a_thread_is_told_while_the_handler_runs(rig: Rig) -> None:
    told, going_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    @rig.handles()
    def work(context: Context) -> None:
        context.progress(7)
        loop.call_soon_threadsafe(told.set)
        going_on.wait(timeout=10)

    async with rig.running():
        given = await rig.runs()
        await told.wait()
        await rig.passes(0.1)
        going_on.set()
        await rig.source.called(2)

    assert [each.progress is not None for each in rig.source.reports_of(given)] == [True, False]


async def test_an_outcome_does_not_wait_for_the_answer_to_reports_of_other_phases(rig: Rig) -> None:
    gates = {"first": asyncio.Event(), "second": asyncio.Event()}

    @rig.handles()
    async def work(context: Context) -> None:
        await gates[context.phase_id].wait()

    async with rig.running():
        await rig.runs(phase_id="first")
        await rig.runs(phase_id="second")
        rig.source.answers.clear()
        for gate in gates.values():
            gate.set()
            await turns()

        assert [len(call) for call in rig.source.calls] == [1, 1]


async def test_operations_beyond_the_limit_of_a_report_go_into_the_next(rig: Rig) -> None:
    @rig.handles()
    async def work(context: Context) -> None:
        for number in range(2500):
            with context.operation(f"tool-{number}"):
                pass

    async with rig.running():
        given = await rig.runs()

    reports = rig.source.reports_of(given)
    assert [len(report.operations) for report in reports] == [1000, 1000, 500]
    assert [report.outcome for report in reports] == [None, None, Completed()]


async def test_a_call_is_bounded_in_bytes_and_the_rest_goes_into_the_next(rig: Rig) -> None:
    @rig.handles()
    async def work(context: Context) -> bytes:
        context.artifact("half.bin", bytes(1024 * 1024))
        return bytes(1024 * 1024)

    async with rig.running():
        rig.source.offer(*(assignment() for _ in range(4)))
        await turns()

    assert [len(call) for call in rig.source.calls] == [1, 1, 1, 1]


async def test_a_call_has_so_many_reports_and_no_more() -> None:
    rig = Rig(slots=1001)
    gate = asyncio.Event()

    @rig.handles()
    async def work(context: Context) -> None:
        await gate.wait()

    async with rig.running():
        rig.source.offer(*(assignment() for _ in range(1001)))
        await turns(100)
        gate.set()
        await turns()

    assert [len(call) for call in rig.source.calls] == [1000, 1]


async def test_one_report_that_the_server_cannot_take_does_not_harm_the_others(rig: Rig) -> None:
    """A batch was refused as a whole for one of its reports, again and again."""
    gate = asyncio.Event()

    @rig.handles()
    async def work(context: Context) -> str:
        await gate.wait()
        return context.phase_id

    async with rig.running():
        rig.source.offer(*(assignment(phase_id=name) for name in ("good", "bad", "fine")))
        await turns()
        rig.source.report_errors.append(InvalidArgument("batch"))
        gate.set()
        await rig.source.called(2)
        rig.source.report_errors.append(InvalidArgument("too odd", reason="INVALID_FIELD"))
        await turns()

    assert [len(call) for call in rig.source.calls] == [3, 1, 1, 1, 1]
    last = [each for call in rig.source.calls[2:] for each in call]
    assert sum(isinstance(each.outcome, Completed) for each in last) == 2
    (failed,) = [each.outcome for each in last if isinstance(each.outcome, Failed)]
    assert failed.failure.code == "INVALID_FIELD"
    assert failed.failure.retryable is False
