"""How far many watchers are behind a steady stream of changes, while some of them never read."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import AsyncGenerator, Sequence
from contextlib import nullcontext

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
#: Pairs of windows, one with watchers who never read and one without.
_PAIRS = 6
#: Before each window: until those who never read have been sent all that they take.
_FILLING_SECONDS = 1.0

_LAG = Goal(500, 100, is_most=True)
_MEMORY = Goal(30, 30, is_most=True)
_KEPT = Goal(0.8, 1)
_FLAT = Goal(1.1, 1, is_most=True)
_NAME = f"{_READING + _SILENT} watchers, {_RATE:.0f} changes/s"


async def lag(stage: Stage) -> AsyncGenerator[Result]:
    """Yield lags, writes and memory; and the writes that watchers who never read leave over."""
    seconds = stage.plan.seconds * _LONGER
    async with stage.target() as target:
        changes = Changes(target, await target.start_idle(_CHANGING))
        kept = await _kept_of_changes(target, changes, seconds) if target.is_ours else 0
        before = target.server.memory if target.is_ours else 0
        async with audience(target, _READING, "following") as reading:
            async with audience(target, _SILENT, "ignoring"):
                async for result in _followed(target, reading, changes, seconds):
                    yield result
                if target.is_ours:
                    grown = target.server.memory - before - kept
                    each = grown / (_READING + _SILENT) / 1000
                    yield Result(f"{_NAME}, memory of one", each, "kB", goal=_MEMORY)
            for result in _compared(await _in_pairs(target, changes, stage.plan.seconds)):
                yield result


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


async def _followed(
    target: Target, reading: Audience, changes: Changes, seconds: float
) -> AsyncGenerator[Result]:
    """Let so many changes come in each second, and yield how watchers and writers fare."""
    await paced(changes.next, rate=_RATE, seconds=seconds / 2)
    midway = target.server.memory if target.is_ours else 0
    await reading.begin()
    written = await paced(changes.next, rate=_RATE, seconds=seconds / 2)
    for result in _figures(written, await reading.came()):
        yield result
    if midway:
        growth = target.server.memory / midway
        yield Result(f"{_NAME}, memory over that midway", growth, "x", goal=_FLAT)


async def _kept_of_changes(target: Target, changes: Changes, seconds: float) -> int:
    """Return the bytes by which so long a stream of changes lets it grow that nobody watches."""
    # The first of them find room that starting executions has left.
    await paced(changes.next, rate=_RATE, seconds=seconds / 2)
    midway = target.server.memory
    await paced(changes.next, rate=_RATE, seconds=seconds / 2)
    return (target.server.memory - midway) * 2


async def _in_pairs(
    target: Target, changes: Changes, seconds: float
) -> Sequence[tuple[float, float]]:
    """Return writes a second without and with watchers who never read, in pairs of windows."""

    async def window(is_beside: bool) -> float:
        async with audience(target, _SILENT, "ignoring") if is_beside else nullcontext():
            written = await load(
                changes.next,
                callers=_WRITERS,
                seconds=seconds / 2,
                warm_up=_FILLING_SECONDS,
            )
        return written.rate

    pairs = []
    for at in range(_PAIRS):
        # Each comes first as often as the other, so that whatever drifts is the same for both.
        first = at % 2 == 1
        one, other = await window(first), await window(not first)
        pairs.append((other, one) if first else (one, other))
    return pairs


def _compared(pairs: Sequence[tuple[float, float]]) -> list[Result]:
    ratios = [beside / alone for alone, beside in pairs]
    name = f"of that, kept beside {_SILENT} more that never read"
    return [
        Result(
            f"writes beside {_READING} watchers",
            statistics.median(alone for alone, _ in pairs),
            "/s",
        ),
        Result(name, statistics.median(ratios), "x", goal=_KEPT),
        Result(f"{name}, least of {_PAIRS} pairs", min(ratios), "x"),
        Result(f"{name}, most", max(ratios), "x"),
    ]


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
