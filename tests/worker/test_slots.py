"""Slots are asked for once, however many ask."""

import asyncio

import pytest

from phaseline.worker.slots import Slots
from tests.support.clock import turns


def nobody_else() -> bool:
    return False


def test_a_slot_that_was_asked_for_is_not_free() -> None:
    slots = Slots(3)

    assert slots.ask() == 3
    assert slots.ask() == 0


def test_a_slot_is_free_again_when_nothing_came() -> None:
    slots = Slots(3)
    asked = slots.ask()

    slots.answered(asked)

    assert slots.free == 3


def test_a_slot_is_free_again_when_its_phase_has_ended() -> None:
    slots = Slots(1)

    slots.occupy()
    assert slots.free == 0
    slots.vacate()
    assert slots.free == 1


def test_no_more_are_asked_for_than_one_call_may() -> None:
    assert Slots(1000).ask() == 100


def test_more_phases_than_asked_for_do_no_harm() -> None:
    slots = Slots(1)
    slots.occupy()
    slots.occupy()

    assert slots.free == 0
    slots.vacate()
    assert slots.free == 0


async def test_a_poll_waits_until_a_slot_is_free() -> None:
    slots = Slots(1)
    slots.occupy()
    asking = asyncio.create_task(slots.ask_when_idle(nobody_else))

    await turns()
    assert not asking.done()
    slots.vacate()

    assert await asking == 1


async def test_a_poll_waits_while_a_report_asks() -> None:
    slots = Slots(2)
    asked = slots.ask()
    asking = asyncio.create_task(slots.ask_when_idle(nobody_else))

    await turns()
    assert not asking.done()
    slots.answered(asked)

    assert await asking == 2


async def test_a_poll_lets_a_report_that_is_due_ask_first() -> None:
    slots = Slots(1)
    slots.occupy()
    asking = asyncio.create_task(slots.ask_when_idle(lambda: not slots.running))

    await turns()
    slots.vacate()
    await turns()

    assert not asking.done()
    asking.cancel()


def test_a_worker_needs_a_slot() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Slots(0)
