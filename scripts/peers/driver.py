"""The load that each contender gets: the same callers for the same time, and the same figures."""

from __future__ import annotations

import asyncio
import json
import math
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from importlib.metadata import version

CALLERS = 64
_WARM_UP = 2.0
_ALONE_SHARE = 0.5


def seconds() -> float:
    """Return how long this contender is measured."""
    return float(sys.argv[1])


def report(figures: Mapping[str, float], *packages: str, **versions: str) -> None:
    """Tell the runner what was measured, and of which versions."""
    named = {package: version(package) for package in packages} | versions
    print("RESULT " + json.dumps({"figures": figures, "versions": named}), flush=True)  # noqa: T201


async def drive(one: Callable[[], Awaitable[object]]) -> dict[str, float]:
    """Let tasks make *one* again and again, many at a time and then one alone."""
    await _tasks(one, CALLERS, _WARM_UP)
    began = time.perf_counter()
    many = await _tasks(one, CALLERS, seconds())
    took = time.perf_counter() - began
    return figures(many, took, await _tasks(one, 1, seconds() * _ALONE_SHARE))


def drive_threads(one: Callable[[], object]) -> dict[str, float]:
    """Do as `drive`, with threads."""
    _threads(one, CALLERS, _WARM_UP)
    began = time.perf_counter()
    many = _threads(one, CALLERS, seconds())
    took = time.perf_counter() - began
    return figures(many, took, _threads(one, 1, seconds() * _ALONE_SHARE))


async def _tasks(one: Callable[[], Awaitable[object]], callers: int, length: float) -> list[float]:
    taken: list[float] = []
    end = time.perf_counter() + length

    async def caller() -> None:
        while (began := time.perf_counter()) < end:
            await one()
            taken.append(time.perf_counter() - began)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(callers):
            tasks.create_task(caller())
    return taken


def _threads(one: Callable[[], object], callers: int, length: float) -> list[float]:
    taken: list[float] = []
    failed: list[BaseException] = []
    end = time.perf_counter() + length

    def caller() -> None:
        try:
            while not failed and (began := time.perf_counter()) < end:
                one()
                taken.append(time.perf_counter() - began)
        except BaseException as error:
            failed.append(error)
            raise

    threads = [threading.Thread(target=caller, daemon=True) for _ in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    return taken


def figures(many: list[float], took: float, alone: list[float]) -> dict[str, float]:
    """Return the rate of *many* in *took* seconds, and their times in ms."""
    return {
        "rate": len(many) / took,
        "p50": _percentile(many, 0.50),
        "p99": _percentile(many, 0.99),
        "alone_p50": _percentile(alone, 0.50),
        "alone_p99": _percentile(alone, 0.99),
    }


def _percentile(taken: list[float], share: float) -> float:
    """Return the milliseconds that *share* of the calls did not exceed."""
    ordered = sorted(taken)
    return ordered[max(math.ceil(len(ordered) * share) - 1, 0)] * 1000
