"""Running scenarios in rounds, against a server of their own or one at any address."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from pathlib import Path

import grpc

from phaseline.bench.machine import machine
from phaseline.bench.plan import Plan
from phaseline.bench.processes import ProcessFailed
from phaseline.bench.report import Report
from phaseline.bench.results import Result, summed_up
from phaseline.bench.scenarios import calls
from phaseline.bench.scenarios.agents import agents
from phaseline.bench.scenarios.catch_up import ReportRefused, catch_up
from phaseline.bench.scenarios.ends import NotCompleted, ends
from phaseline.bench.scenarios.fan_out import fan_out
from phaseline.bench.scenarios.full import full
from phaseline.bench.scenarios.history import history
from phaseline.bench.scenarios.idle import idle
from phaseline.bench.scenarios.killed import faults
from phaseline.bench.scenarios.lag import lag
from phaseline.bench.scenarios.memory import held
from phaseline.bench.scenarios.restart import restart
from phaseline.bench.stage import Stage

Scenario = Callable[[Stage], AsyncGenerator[Result]]

SCENARIOS: dict[str, Scenario] = {
    "execute": calls.execute,
    "status": calls.status,
    "get": calls.get,
    "list": calls.list_,
    "active": calls.active,
    "end-to-end": ends,
    "agents": agents,
    "watch-fan-out": fan_out,
    "watch-lag": lag,
    "watch-full": full,
    "watch-catch-up": catch_up,
    "watch-idle": idle,
    "memory": held,
    "faults": faults,
    "restart": restart,
    "history": history,
}
#: They share a database that grows, and so come once all rounds of the others are over.
_ON_GROWN = ("history", "restart")
#: Makes all rounds for one size of it before it goes on to the next.
_OWN_ROUNDS = "history"

#: How measuring fails, by itself or in the group of a task's callers.
_FAILURES = (grpc.RpcError, ProcessFailed, NotCompleted, ReportRefused, TimeoutError)


async def run(plan: Plan, told: Callable[[Result], None]) -> Report:
    """
    Measure what *plan* says, tell of each figure as it comes, and return all of them.

    A scenario that fails is told in the report, and not tried in later rounds.
    """
    with tempfile.TemporaryDirectory(dir=_parent(plan)) as directory:
        measured_on = machine(Path(directory))
        stage, results, failed = Stage(plan, Path(directory)), list[Result](), dict[str, str]()
        for name in turns(plan):
            if name not in failed:
                try:
                    await _measure(stage, name, results, told)
                except (*_FAILURES, ExceptionGroup) as error:
                    failed[name] = _said(error)
    return Report(measured_on, plan, summed_up(results), failed)


async def _measure(
    stage: Stage, name: str, results: list[Result], told: Callable[[Result], None]
) -> None:
    async with aclosing(SCENARIOS[name](stage)) as measuring:
        async for result in measuring:
            told(result)
            results.append(result)


def turns(plan: Plan) -> Iterator[str]:
    """Yield the scenarios in the order in which they are measured, each for each of its rounds."""
    ordinary = [name for name in plan.scenarios if name not in _ON_GROWN]
    for _ in range(plan.rounds):
        yield from ordinary
    for name in _ON_GROWN:
        if name in plan.scenarios:
            yield from [name] * (1 if name == _OWN_ROUNDS else plan.rounds)


def _parent(plan: Plan) -> str | None:
    """Return the directory for what is kept for the time of the measurement."""
    return plan.db if plan.db and not plan.is_on_postgresql else None


def _said(error: BaseException) -> str:
    """Return what the first error in *error* says; raise *error* if it is one of our own making."""
    first = error
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    if not isinstance(first, _FAILURES):
        raise error
    if isinstance(first, grpc.aio.AioRpcError):
        return f"{first.code().name}: {first.details()}"
    return str(first) or type(first).__name__
