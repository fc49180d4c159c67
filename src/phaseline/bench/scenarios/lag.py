"""How far many watchers are behind a steady stream of changes, while some of them never read."""

from __future__ import annotations

import itertools
from collections.abc import AsyncGenerator

from phaseline.bench.audience import Audience, audience
from phaseline.bench.load import Load, load, loaded, paced
from phaseline.bench.results import Goal, Result
from phaseline.bench.stage import Stage
from phaseline.bench.target import Target
from phaseline.bench.watchers import Came
from phaseline.v1 import execution_service_pb2 as pb2

_READING, _SILENT = 900, 100
_RATE = 200.0
#: Executions that change in turn: so many that each version can be seen before the next is there.
_CHANGING = 1000
#: The stream of changes lasts so many times as long as other figures.
_LONGER = 5
_WRITERS = 16

_LAG = Goal(500, 100, is_most=True)
_MEMORY = Goal(30, 30, is_most=True)
_KEPT = Goal(0.8, 1)
_NAME = f"{_READING + _SILENT} watchers, {_RATE:.0f} changes/s"


async def lag(stage: Stage) -> AsyncGenerator[Result]:
    """Yield lags, writes and memory; and the writes that watchers who never read leave over."""
    seconds = stage.plan.seconds
    async with stage.target() as target:
        changes = Changes(target, await target.start_idle(_CHANGING))
        # What writing alone takes of memory is there before anyone watches.
        await paced(changes.next, rate=_RATE, seconds=seconds)
        before = target.server.memory if target.is_ours else 0
        async with audience(target, _READING, "following") as reading:
            alone = await load(changes.next, callers=_WRITERS, seconds=seconds)
            async with audience(target, _SILENT, "ignoring"):
                for result in await _followed(reading, changes, seconds * _LONGER):
                    yield result
                if target.is_ours:
                    grown = target.server.memory - before
                    each = grown / (_READING + _SILENT) / 1000
                    yield Result(f"{_NAME}, memory of one", each, "kB", goal=_MEMORY)
                beside = await load(changes.next, callers=_WRITERS, seconds=seconds)
                yield Result(f"writes beside {_READING} watchers", alone.rate, "/s")
                yield Result(
                    f"of that, kept beside {_SILENT} more that never read",
                    beside.rate / alone.rate,
                    "x",
                    goal=_KEPT,
                )


class Changes:
    """Changes of executions in turn: each is paused, and in the next turn goes on."""

    def __init__(self, target: Target, ids: list[str]) -> None:
        self._target = target
        self._turns = itertools.cycle(itertools.product((True, False), ids))

    async def next(self) -> None:
        """Make one change."""
        is_pause, execution_id = next(self._turns)
        if is_pause:
            await self._target.executions.Pause(pb2.PauseRequest(execution_id=execution_id))
        else:
            await self._target.executions.Resume(pb2.ResumeRequest(execution_id=execution_id))


async def _followed(reading: Audience, changes: Changes, seconds: float) -> list[Result]:
    await reading.begin()
    written = await paced(changes.next, rate=_RATE, seconds=seconds)
    return list(_figures(written, await reading.came()))


def _figures(written: Load, came: Came) -> list[Result]:
    behind = loaded(came.lags, written.seconds)
    frames = came.frames / written.seconds
    return [
        Result(f"{_NAME}, lag, p50", behind.p50, "ms"),
        Result(f"{_NAME}, lag, p99", behind.p99, "ms", goal=_LAG),
        Result(f"{_NAME}, lag, longest", behind.longest, "ms"),
        Result(f"{_NAME}, versions left out", came.folded / (came.folded + len(came.lags)), "x"),
        Result(f"{_NAME}, frames to all", frames, "/s"),
        Result(f"{_NAME}, bytes to all", came.size / written.seconds / 1e6, "MB/s"),
        Result(f"{_NAME}, writes", written.rate, "/s"),
        Result(f"{_NAME}, writes, p99", written.p99, "ms"),
    ]
