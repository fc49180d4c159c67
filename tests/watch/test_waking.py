"""Waking many, a few in each turn of the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import timedelta

import pytest

from phaseline.watch.waking import Pace, Waking
from tests.support.clock import ManualClock, turns


class Sleeper:
    """Notes that it was woken; up already if it does not sleep."""

    def __init__(self, sleepers: Sleepers, name: str, *, sleeps: bool, took: float) -> None:
        self._sleepers, self._name = sleepers, name
        self._sleeps, self._took = sleeps, timedelta(seconds=took)

    def wake(self) -> bool:
        self._sleepers.told.append(self._name)
        if self._sleeps:
            asyncio.get_running_loop().call_soon(self._sleepers.clock.pass_, self._took)
        return self._sleeps


class Round:
    """Sleepers of one name."""

    def __init__(self, sleepers: Sleepers, name: str, them: Sequence[Sleeper]) -> None:
        self._sleepers, self._name, self._them = sleepers, name, them

    def begin(self) -> Iterable[Sleeper]:
        self._sleepers.told.append(f"{self._name} begins")
        return self._them

    def end(self) -> None:
        self._sleepers.told.append(f"{self._name} ends")


class Sleepers:
    """What was told of those who were woken, and of their rounds."""

    def __init__(self, pace: Pace) -> None:
        self.told: list[str] = []
        self.clock = ManualClock()
        self._waking = Waking(self.clock, pace)

    def wake(self, name: str, count: int, *, sleep: bool = True, took: float = 0) -> None:
        them = [Sleeper(self, name, sleeps=sleep, took=took) for _ in range(count)]
        self._waking.queue(Round(self, name, them))

    def woken(self, name: str) -> int:
        return self.told.count(name)

    async def advance(self, seconds: float) -> None:
        await self.clock.advance(timedelta(seconds=seconds))


def at_once(count: int) -> Sleepers:
    return Sleepers(Pace(at_once=count, rest=0, least_rest=0))


async def test_others_have_their_turn_between_two_slices() -> None:
    sleepers = at_once(2)
    sleepers.wake("a", 5)
    woken = []
    for _ in range(4):
        woken.append(sleepers.woken("a"))
        await asyncio.sleep(0)
    assert woken == [2, 4, 5, 5]


async def test_a_round_ends_once_all_had_a_turn() -> None:
    sleepers = at_once(2)
    sleepers.wake("a", 2)
    asyncio.get_running_loop().call_soon(sleepers.told.append, "the next turn")
    assert sleepers.told == ["a begins", "a", "a"]
    await asyncio.sleep(0)
    assert sleepers.told[3:] == ["a ends", "the next turn"]


async def test_rounds_that_come_together_share_the_slice_first_come_first_served() -> None:
    sleepers = at_once(3)
    for name, count in (("a", 2), ("b", 2), ("c", 1)):
        sleepers.wake(name, count)
    assert sleepers.told == ["a begins", "a", "a", "b begins", "b"]
    await turns(3)
    assert sleepers.told[5:] == ["a ends", "b", "c begins", "c", "b ends", "c ends"]


async def test_a_round_begins_when_its_first_is_about_to_be_woken() -> None:
    sleepers = at_once(1)
    sleepers.wake("a", 1)
    sleepers.wake("b", 1)
    assert "b begins" not in sleepers.told
    await asyncio.sleep(0)
    assert sleepers.told[-2:] == ["b begins", "b"]


async def test_who_is_awake_takes_no_place_in_a_slice() -> None:
    sleepers = at_once(1)
    sleepers.wake("a", 9, sleep=False)
    sleepers.wake("b", 1)
    assert sleepers.told[10:] == ["b begins", "b"]


async def test_a_round_of_nobody_ends() -> None:
    sleepers = at_once(1)
    sleepers.wake("a", 0)
    await asyncio.sleep(0)
    assert sleepers.told == ["a begins", "a ends"]


async def test_a_slice_that_was_cut_by_nobody_is_whole_again_in_the_next_turn() -> None:
    sleepers = at_once(2)
    for name in "abc":
        sleepers.wake(name, 2)
        await asyncio.sleep(0)
    assert [sleepers.woken(name) for name in "abc"] == [2, 2, 2]


@pytest.mark.parametrize(
    ("took", "rest"), [(0.25, 1.0), (0.0625, 0.25), (0.0, 0.125)], ids=["long", "short", "least"]
)
async def test_after_a_slice_comes_a_rest_by_what_it_took(took: float, rest: float) -> None:
    sleepers = Sleepers(Pace(at_once=1, rest=4, least_rest=0.125, burst=0, longest_wait=60))
    sleepers.wake("a", 2, took=took)
    await turns()
    await sleepers.advance(rest - 0.01)
    assert sleepers.woken("a") == 1
    await sleepers.advance(0.01)
    assert sleepers.woken("a") == 2


async def test_the_first_are_woken_without_a_rest() -> None:
    sleepers = Sleepers(Pace(at_once=1, rest=4, burst=1.0, longest_wait=60))
    sleepers.wake("a", 9, took=0.125)
    await turns(40)
    assert sleepers.woken("a") == 3, "until more rest is owed than may be"


async def test_no_rest_is_owed_once_all_were_told() -> None:
    sleepers = Sleepers(Pace(at_once=8, rest=1000, least_rest=0, burst=0, longest_wait=60))
    for name in "ab":
        sleepers.wake(name, 8, took=1)
        await turns()
        assert sleepers.woken(name) == 8


async def test_nobody_waits_longer_for_a_rest_than_they_may() -> None:
    sleepers = Sleepers(Pace(at_once=1, rest=1000, burst=0, longest_wait=2))
    sleepers.wake("a", 3, took=0.25)
    await turns()
    sleepers.wake("b", 1)
    await sleepers.advance(1.5)
    assert sleepers.woken("a") == 1
    await sleepers.advance(0.5)
    assert (sleepers.woken("a"), sleepers.woken("b")) == (3, 1)


async def test_those_who_are_behind_wait_for_no_rest_but_leave_others_their_turn() -> None:
    sleepers = Sleepers(Pace(at_once=2, rest=1000, burst=0, longest_wait=0))
    sleepers.wake("a", 6, took=0.25)
    woken = []
    for _ in range(3):
        woken.append(sleepers.woken("a"))
        await asyncio.sleep(0)
    assert woken == [2, 4, 6]
