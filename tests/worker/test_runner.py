"""A runner leases what it has room for, reports many phases together, and loses nothing."""

import asyncio
import gc
import threading
import weakref
from datetime import timedelta

import pytest

from phaseline.domain.errors import (
    Unauthenticated,
    Unavailable,
)
from phaseline.domain.failure import FailureKind
from phaseline.domain.report import LeaseRequest
from phaseline.worker.assignment import Assignment
from phaseline.worker.context import Context
from phaseline.worker.registry import Registry
from phaseline.worker.runner import Runner
from tests.support.clock import turns
from tests.support.source import FakeSource, assignment
from tests.support.worker import Rig, until_stopped


async def test_a_leased_phase_is_run_and_its_output_reported(rig: Rig) -> None:
    @rig.handles()
    async def work(context: Context) -> str:
        return f"did {context.prompt}"

    async with rig.running():
        await rig.runs(prompt="the dishes")

    assert rig.output().data == b"did the dishes"


async def test_a_handler_that_is_no_coroutine_runs_in_a_thread_of_its_own(rig: Rig) -> None:
    here = threading.get_ident()

    @rig.handles()
    def work(context: Context) -> dict[str, bool]:
        return {"here": threading.get_ident() == here}

    async with rig.running():
        await rig.runs()
        await rig.source.called(1)

    assert rig.output().data == b'{"here":false}'


async def test_the_first_poll_asks_for_all_slots_and_says_who_asks(rig: Rig) -> None:
    rig.handles("one")(until_stopped)
    rig.handles("two")(until_stopped)

    async with rig.running():
        pass

    (request,) = rig.source.lease_requests
    assert request.max_phases == 4
    assert request.worker_id == "worker-1"
    assert request.handlers == ("one", "two")


async def test_a_full_runner_does_not_poll(rig: Rig) -> None:
    rig.handles()(until_stopped)

    async with rig.running():
        rig.source.offer(*(assignment() for _ in range(6)))
        await turns()

        assert rig.runner.running == 4
        assert [each.max_phases for each in rig.source.lease_requests] == [4]


async def test_a_poll_asks_only_for_the_slots_that_are_left(rig: Rig) -> None:
    rig.handles()(until_stopped)

    async with rig.running():
        await rig.runs()

        assert [each.max_phases for each in rig.source.lease_requests] == [4, 3]


async def test_the_call_that_reports_an_outcome_leases_the_next_phase(rig: Rig) -> None:
    rig = Rig(slots=1)

    @rig.handles()
    async def work(context: Context) -> str:
        return context.execution_id

    async with rig.running():
        rig.source.offer(*(assignment() for _ in range(5)))
        await turns(60)

    assert len(rig.source.outcomes) == 5
    assert len(rig.source.calls) == 5
    # The first phase, and the wait for a sixth.
    assert len(rig.source.lease_requests) == 2


async def test_more_phases_than_one_call_can_lease_are_run_all_the_same() -> None:
    rig = Rig(slots=250)
    rig.handles()(until_stopped)

    async with rig.running():
        rig.source.offer(*(assignment() for _ in range(300)))
        await turns()

        assert rig.runner.running == 250
        assert [each.max_phases for each in rig.source.lease_requests] == [100, 100, 50]


async def test_a_poll_whose_answer_was_lost_is_repeated_as_it_was(rig: Rig) -> None:
    rig.handles()(until_stopped)
    rig.source.lost_answers.append(Unavailable("connection lost"))

    async with rig.running():
        await rig.runs()
        assert rig.runner.running == 0
        await rig.passes(0.05)

        assert rig.runner.running == 1
    first, second, *_ = rig.source.lease_requests
    assert second == first


async def test_calls_are_repeated_less_and_less_often_while_the_server_is_away(rig: Rig) -> None:
    rig.handles()(until_stopped)
    rig.source.lease_errors.extend(Unavailable("away") for _ in range(20))

    async with rig.running():
        await rig.passes(1)
        in_the_first_second = len(rig.source.lease_requests)
        await rig.passes(20)

    assert in_the_first_second == 5
    assert len(rig.source.lease_requests) - in_the_first_second == 10


async def test_a_server_that_answers_polls_at_once_is_not_asked_all_the_time(rig: Rig) -> None:
    """A server that drains answers every poll with nothing, and was asked thousands of times."""
    rig.handles()(until_stopped)

    async def nothing(request: LeaseRequest) -> list[Assignment]:
        rig.source.lease_requests.append(request)
        return []

    rig.source.lease = nothing  # type: ignore[method-assign]
    async with rig.running():
        await rig.passes(10)

    assert 10 < len(rig.source.lease_requests) < 20


async def test_a_worker_that_cannot_report_leases_nothing(rig: Rig) -> None:
    """It would run the same phases again and again, and pay for them each time."""
    runs = 0

    @rig.handles()
    async def work(context: Context) -> None:
        nonlocal runs
        runs += 1

    rig.source.report_errors.extend(Unavailable("away") for _ in range(1000))
    async with rig.running():
        for _ in range(100):
            await rig.runs()
        await rig.passes(60)

    assert runs <= 8


async def test_the_server_can_say_when_to_come_back(rig: Rig) -> None:
    rig.handles()(until_stopped)
    rig.source.lease_errors.append(Unavailable("draining", retry_after=timedelta(seconds=7)))

    async with rig.running():
        await rig.passes(6.9)
        assert len(rig.source.lease_requests) == 1
        await rig.passes(0.2)
        assert len(rig.source.lease_requests) == 2


async def test_a_refused_worker_ends_with_the_reason(rig: Rig) -> None:
    rig.handles()(until_stopped)
    rig.source.lease_errors.append(Unauthenticated("the token has expired"))

    async with rig.running():
        with pytest.raises(Unauthenticated, match="expired"):
            await rig.ended


async def test_a_phase_for_a_handler_that_is_not_there_fails(rig: Rig) -> None:
    rig.handles("other")(until_stopped)

    async with rig.running():
        await rig.runs(handler="work")

    assert rig.failed().failure.code == "UNKNOWN_HANDLER"
    assert rig.failed().failure.kind is FailureKind.ERROR


async def test_a_phase_that_is_leased_twice_is_run_once(rig: Rig) -> None:
    rig.handles()(until_stopped)

    async with rig.running():
        given = await rig.runs()
        rig.source.offer(given)
        await turns()

        assert rig.runner.running == 1


async def test_nothing_is_kept_of_a_phase_that_has_ended(rig: Rig) -> None:
    kept: list[weakref.ref[Context]] = []

    @rig.handles()
    async def work(context: Context) -> None:
        kept.append(weakref.ref(context))

    async with rig.running():
        for _ in range(3):
            await rig.runs()
        rig.source.calls.clear()
        gc.collect()

        assert [each() for each in kept] == [None, None, None]


async def test_cancelling_the_run_stops_the_handlers_and_reports_nothing(rig: Rig) -> None:
    stopped = asyncio.Event()

    @rig.handles()
    async def work(context: Context) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    async with rig.running():
        await rig.runs()
        rig.ended.cancel()
        with pytest.raises(asyncio.CancelledError):
            await rig.ended

    assert stopped.is_set()
    assert rig.source.calls == []


def test_a_worker_without_handlers_is_refused() -> None:
    """To the server an empty list of handlers means that the worker has them all."""
    with pytest.raises(ValueError, match="at least one handler"):
        Runner(FakeSource(), Registry())
