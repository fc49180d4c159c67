"""Running scenarios in rounds, against a server of their own or one at any address."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from phaseline.bench.processes import memory, process, server
from phaseline.bench.results import Line, Result, summed_up
from phaseline.bench.scenarios import calls, ends

CALLS = ("execute", "status", "get", "list", "active")
SCENARIOS = (*CALLS, "end-to-end", "memory")


class Plan(msgspec.Struct, frozen=True):
    """What to measure, and how long."""

    scenarios: tuple[str, ...] = SCENARIOS
    rounds: int = 3
    #: For each figure of a rate.
    seconds: float = 3.0
    #: Of a running server; empty starts one for each scenario.
    address: str = ""


async def run(plan: Plan) -> list[Line]:
    """Return a line for each figure, with the median over the rounds."""
    rounds: list[Sequence[Result]] = []
    for _ in range(plan.rounds):
        rounds.append([result async for result in _round(plan)])  # noqa: PERF401 -- rounds go one after the other
    return summed_up(rounds)


async def _round(plan: Plan) -> AsyncIterator[Result]:
    only = tuple(name for name in plan.scenarios if name in CALLS)
    if only:
        async with _target(plan) as address:
            async for result in calls.measure(address, seconds=plan.seconds, only=only):
                yield result
    if "end-to-end" in plan.scenarios:
        async with _target(plan) as address, process("phaseline.bench.workers", address):
            async for result in ends.measure(address, seconds=plan.seconds, worker="external"):
                yield result
        if not plan.address:
            async with _target(plan, is_dev=True) as address:
                async for result in ends.measure(address, seconds=plan.seconds, worker="embedded"):
                    yield result
    if "memory" in plan.scenarios and not plan.address:
        async for result in _memory():
            yield result


@asynccontextmanager
async def _target(plan: Plan, *, is_dev: bool = False) -> AsyncIterator[str]:
    """Give the address to measure: the one of the plan, or of a server started for the block."""
    if plan.address:
        yield plan.address
        return
    options = ("--module", "phaseline.bench.workers", "--slots", "256") if is_dev else ()
    with tempfile.TemporaryDirectory() as directory:
        database = str(Path(directory) / "bench.db")
        async with server(database, is_dev=is_dev, options=options) as (address, _):
            yield address


async def _memory() -> AsyncIterator[Result]:
    """Yield what an idle server takes."""
    with tempfile.TemporaryDirectory() as directory:
        async with server(str(Path(directory) / "bench.db")) as (_, started):
            yield Result("memory, idle", memory(started.pid) / 1e6, "MB")
