"""A call is repeated while that can help."""

import asyncio
from datetime import timedelta

import pytest

from phaseline.domain.errors import (
    DeadlineExceeded,
    Internal,
    InvalidArgument,
    PhaselineError,
    ResourceExhausted,
    Unavailable,
)
from phaseline.worker.retrying import Backoff, until_answered
from tests.support.clock import ManualClock


class Server:
    """Answers after it has raised some errors."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    async def call(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "answer"


async def answered(server: Server, defects: float = float("inf")) -> str:
    clock = ManualClock()
    task = asyncio.create_task(until_answered(server.call, clock, lambda: 0.0, defects=defects))
    await clock.advance(timedelta(minutes=10))
    return await task


@pytest.mark.parametrize(
    "error",
    [
        Unavailable("away"),
        DeadlineExceeded("slow"),
        Internal("oops"),
        ResourceExhausted("rate", reason="RATE_LIMITED", retry_after=timedelta(seconds=1)),
        RuntimeError("a defect of ours"),
    ],
)
async def test_what_may_pass_is_waited_out(error: Exception) -> None:
    server = Server(error, error)

    assert await answered(server) == "answer"
    assert server.calls == 3


@pytest.mark.parametrize(
    "error",
    [InvalidArgument("wrong"), ResourceExhausted("too large", reason="RESOURCE_EXHAUSTED")],
)
async def test_what_does_not_pass_is_raised_at_once(error: PhaselineError) -> None:
    server = Server(error)

    with pytest.raises(type(error)):
        await answered(server)
    assert server.calls == 1


async def test_a_defect_that_comes_back_is_raised() -> None:
    server = Server(*[Internal("oops")] * 5)

    with pytest.raises(Internal):
        await answered(server, defects=3)
    assert server.calls == 3


def test_delays_double_up_to_a_limit() -> None:
    backoff = Backoff(lambda: 0.0)
    delays = [backoff.next().total_seconds() for _ in range(9)]

    assert delays == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0, 2.0]


def test_chance_takes_up_to_half_of_a_delay() -> None:
    assert Backoff(lambda: 1.0).next() == timedelta(milliseconds=25)


def test_a_delay_is_at_least_what_the_server_asks_for() -> None:
    assert Backoff(lambda: 0.0).next(timedelta(seconds=7)) == timedelta(seconds=7)
