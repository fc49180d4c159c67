"""Waking many, a few in each turn of the loop."""

from __future__ import annotations

import asyncio

from phaseline.watch.waking import Waking


class Sleeper:
    """Notes that it was woken; up already if it does not sleep."""

    def __init__(self, told: list[str], name: str, *, sleeps: bool = True) -> None:
        self._told, self._name, self._sleeps = told, name, sleeps

    def wake(self) -> bool:
        self._told.append(self._name)
        return self._sleeps


class Sleepers:
    """What was told of those who were woken, and of rounds that ended."""

    def __init__(self, at_once: int) -> None:
        self.told: list[str] = []
        self.waking = Waking(at_once)

    def wake(self, name: str, count: int, *, sleep: bool = True) -> None:
        sleepers = [Sleeper(self.told, name, sleeps=sleep) for _ in range(count)]
        self.waking.wake(sleepers, lambda woken: self.told.append(f"{name} done: {woken}"))


async def test_others_have_their_turn_between_two_slices() -> None:
    sleepers = Sleepers(at_once=2)
    sleepers.wake("a", 5)
    woken = []
    for _ in range(4):
        woken.append(sleepers.told.count("a"))
        await asyncio.sleep(0)
    assert woken == [2, 4, 5, 5]


async def test_it_is_told_once_all_had_a_turn() -> None:
    sleepers = Sleepers(at_once=2)
    sleepers.wake("a", 2)
    asyncio.get_running_loop().call_soon(sleepers.told.append, "the next turn")
    assert sleepers.told == ["a", "a"]
    await asyncio.sleep(0)
    assert sleepers.told == ["a", "a", "a done: 2", "the next turn"]


async def test_rounds_that_come_together_share_the_slice_first_come_first_served() -> None:
    sleepers = Sleepers(at_once=3)
    sleepers.wake("a", 2)
    sleepers.wake("b", 2)
    sleepers.wake("c", 1)
    assert sleepers.told == ["a", "a", "b"]
    await asyncio.sleep(0)
    assert sleepers.told == ["a", "a", "b", "a done: 2", "b", "c"]


async def test_who_is_awake_takes_no_place_in_a_slice() -> None:
    sleepers = Sleepers(at_once=1)
    sleepers.wake("a", 9, sleep=False)
    sleepers.wake("b", 1)
    await asyncio.sleep(0)
    assert sleepers.told[9:] == ["b", "a done: 0", "b done: 1"]


async def test_a_round_of_nobody_ends() -> None:
    sleepers = Sleepers(at_once=1)
    sleepers.wake("a", 0)
    await asyncio.sleep(0)
    assert sleepers.told == ["a done: 0"]


async def test_a_slice_that_was_cut_by_nobody_is_whole_again_in_the_next_turn() -> None:
    sleepers = Sleepers(at_once=2)
    for name in "abc":
        sleepers.wake(name, 2)
        await asyncio.sleep(0)
    assert [sleepers.told.count(name) for name in "abc"] == [2, 2, 2]
