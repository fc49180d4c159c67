"""Timers run when something is due, and survive what must not end them."""

import asyncio
from collections.abc import Awaitable, Iterator
from datetime import datetime
from typing import Any, TypeVar

import pytest
from structlog.testing import capture_logs

from phaseline.app import controlling, timers
from phaseline.app.controlling import FindDue, Tick
from phaseline.app.ports import Command, Committed, Standing, StandingCommand
from phaseline.app.timers import Timers
from phaseline.domain.advance import tick
from phaseline.domain.errors import Unavailable
from phaseline.domain.execution import Execution
from phaseline.domain.ids import Key
from phaseline.store.opening import MemoryAlarm
from tests.support.app import App, Counted
from tests.support.clock import ManualClock, turns
from tests.support.make import LEASE, MINUTE

T = TypeVar("T")


class FakeAlarm:
    """Is due when a test says so."""

    def __init__(self) -> None:
        self.due: float | None = None
        self.moved = asyncio.Event()

    async def next_due(self) -> float | None:
        return self.due

    async def sooner(self) -> None:
        await self.moved.wait()
        self.moved.clear()


class FakeWriter:
    """Counts what is posted, and fails when a test says so."""

    def __init__(self) -> None:
        self.ticks = 0
        self.failures: list[Exception] = []
        self._came = asyncio.Event()

    async def ticked(self, times: int) -> None:
        """Return once there were so many ticks."""
        while self.ticks < times:
            self._came.clear()
            await self._came.wait()

    def post(self, command: Command[T], *, weight: int = 1) -> Awaitable[Committed[T]]:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if isinstance(command, FindDue):
            answer.set_result(Committed((), 0))
            return answer
        assert isinstance(command, Tick)
        self.ticks += 1
        self._came.set()
        if self.failures:
            answer.set_exception(self.failures.pop(0))
        else:
            answer.set_result(Committed(0, 0))
        return answer

    def stand(self, command: StandingCommand[T]) -> Standing[T]:
        raise NotImplementedError


class Rig:
    """Timers over fakes."""

    def __init__(self) -> None:
        self.alarm, self.writer = FakeAlarm(), FakeWriter()
        self.running = asyncio.create_task(
            Timers(self.writer, self.alarm, clock=ManualClock(), entropy=Counted()).run()
        )


@pytest.fixture
async def rig(monkeypatch: pytest.MonkeyPatch) -> Rig:
    """Timers that tick, and that sleep very long."""
    monkeypatch.setattr(timers, "_LONGEST_SLEEP", 1000.0)
    return Rig()


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with capture_logs():
        yield


async def test_they_tick_at_once_and_then_sleep(rig: Rig) -> None:
    await turns()
    assert rig.writer.ticks == 1
    await _ended(rig)


async def test_they_wake_when_something_is_due_sooner(rig: Rig) -> None:
    await turns()
    rig.alarm.moved.set()
    await turns()
    assert rig.writer.ticks == 2
    await _ended(rig)


async def test_they_tick_again_as_long_as_something_is_due(rig: Rig) -> None:
    rig.alarm.due = 0.0
    rig.alarm.moved.set()
    await rig.writer.ticked(5)
    await _ended(rig)


@pytest.mark.parametrize("failure", [Unavailable("away"), RuntimeError("defect")])
async def test_they_try_again_after_a_failure(
    failure: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timers, "_LONGEST_SLEEP", 0.001)
    rig = Rig()
    rig.writer.failures.append(failure)
    await rig.writer.ticked(3)
    await _ended(rig)


async def test_they_act_on_a_real_store(app: App) -> None:
    alarm = MemoryAlarm(app.store.working, app.clock)
    running = asyncio.create_task(
        Timers(app.writer, alarm, clock=app.clock, entropy=app.entropy).run()
    )
    await app.apply()
    await app.start("e1")
    await app.lease_one()
    await app.clock.advance(LEASE)
    key = Key("default", "e1")
    await app.heard.changed(key, after=app.heard.head)
    assert await app.statuses("e1") == ("running", "ready")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_one_that_time_cannot_act_on_keeps_it_from_no_other(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaking(execution: Execution, now: datetime, jitter: float) -> Execution:
        if execution.key.execution_id == "bad" and not mended:
            raise ZeroDivisionError("a defect")
        return tick(execution, now, jitter)

    mended: list[str] = []
    monkeypatch.setattr(controlling, "tick", breaking)
    monkeypatch.setattr(timers, "_LONGEST_SLEEP", 0.01)
    await app.apply()
    for execution_id in ("bad", "good", "fine"):
        await app.start(execution_id)
        await app.lease_one()
    alarm = MemoryAlarm(app.store.working, app.clock)
    running = asyncio.create_task(
        Timers(app.writer, alarm, clock=app.clock, entropy=app.entropy).run()
    )
    leased = app.heard.head
    await app.clock.advance(LEASE)
    for execution_id in ("good", "fine"):
        await app.heard.changed(Key("default", execution_id), after=leased)
        assert await app.statuses(execution_id) == ("running", "ready")
    assert await app.statuses("bad") == ("running", "running")
    mended.append("it")
    await app.clock.advance(MINUTE)
    await app.heard.changed(Key("default", "bad"), after=leased)
    assert await app.statuses("bad") == ("running", "ready")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def _ended(rig: Rig) -> None:
    assert not rig.running.done()
    rig.running.cancel()
    await asyncio.gather(rig.running, return_exceptions=True)
