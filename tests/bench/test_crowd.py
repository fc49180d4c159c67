"""Something is done for each of many, only so many at a time."""

from __future__ import annotations

import asyncio

import pytest

from phaseline.bench.crowd import gathered


async def test_each_item_is_taken_once_and_so_many_at_a_time() -> None:
    running, most = 0, 0
    done: list[int] = []

    async def take(item: int) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        done.append(item)
        running -= 1

    await gathered(take, range(10), at_once=3)
    assert (sorted(done), most) == (list(range(10)), 3)


async def test_the_first_failure_ends_all() -> None:
    async def take(item: int) -> None:
        if item == 1:
            raise ValueError("no")
        await asyncio.Event().wait()

    with pytest.raises(ExceptionGroup):
        await gathered(take, range(5), at_once=3)
