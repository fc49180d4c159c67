"""Load is put on a call, and its figures are what they say."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from phaseline.bench.load import load, loaded, paced, percentile, side_by_side


@pytest.mark.parametrize(
    ("share", "value"), [(0.0, 1), (0.01, 1), (0.5, 50), (0.501, 51), (0.99, 99), (1.0, 100)]
)
def test_a_percentile_is_what_that_share_of_the_values_does_not_exceed(
    share: float, value: float
) -> None:
    assert percentile(range(1, 101), share) == value


def test_the_percentiles_of_one_value_are_that_value() -> None:
    assert [percentile([7.0], share) for share in (0, 0.5, 0.99, 1)] == [7.0] * 4


def test_nothing_has_percentiles_of_zero() -> None:
    assert percentile([], 0.5) == 0


def test_times_are_told_in_milliseconds_whatever_their_order() -> None:
    figures = loaded([0.004, 0.001, 0.003, 0.002], 2.0)
    assert (figures.p50, figures.p99, figures.longest) == (2.0, 4.0, 4.0)
    assert (figures.calls, figures.rate) == (4, 2.0)


async def test_as_many_calls_run_at_once_as_there_are_callers() -> None:
    running, most = 0, 0

    async def call() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1

    figures = await load(call, callers=5, seconds=0.01, warm_up=0.001)
    assert most == 5
    assert figures.calls >= 5


async def test_calls_of_the_warm_up_do_not_count() -> None:
    calls = itertools.count(1)

    async def call() -> int:
        await asyncio.sleep(0)
        return next(calls)

    figures = await load(call, callers=1, seconds=0.005, warm_up=0.02)
    assert figures.calls < next(calls) - 1


async def test_a_call_that_fails_ends_the_load() -> None:
    async def call() -> None:
        raise ValueError("no")

    with pytest.raises(ExceptionGroup):
        await load(call, callers=3, seconds=1, warm_up=1)


async def test_calls_side_by_side_take_turns() -> None:
    order: list[str] = []

    async def one(name: str) -> None:
        order.append(name)
        await asyncio.sleep(0.0001)

    first, second = await side_by_side(
        lambda: one("first"), lambda: one("second"), callers=2, seconds=1.0, warm_up=0.001
    )
    assert [name for name, _ in itertools.groupby(order)] == ["first", "second"] * 3
    assert first.seconds == pytest.approx(second.seconds, rel=0.5)


async def test_paced_calls_begin_at_their_rate_however_long_each_takes() -> None:
    release = asyncio.Event()
    begun = 0

    async def call() -> None:
        nonlocal begun
        begun += 1
        if begun == 20:
            release.set()
        await release.wait()

    figures = await paced(call, rate=1000, seconds=0.02)
    assert figures.calls == 20
    # The first was due when all others were still to begin.
    assert figures.longest >= 19
