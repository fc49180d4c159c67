"""What calls cost when there are many executions already."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import AsyncGenerator, Sequence

from phaseline.bench.filters import filters
from phaseline.bench.load import Call, Load, load
from phaseline.bench.results import Goal, Result
from phaseline.bench.scenarios.ends import CALLERS, ending, rate
from phaseline.bench.stage import Stage
from phaseline.bench.target import Target
from phaseline.v1 import execution_pb2
from phaseline.v1 import execution_service_pb2 as pb2

#: Executions that are active beside the many that have ended.
ACTIVE = 5000

_PAGE = 100
_PHASES = 3
#: From so many executions on, what must hold of a list holds.
_LARGE = 1_000_000
_LIST = Goal(15, 5, is_most=True)
_GROWTH = Goal(1.5, 1.2, is_most=True)
_ACTIVE = Goal(15, 5, is_most=True)
_WARM_UP = 0.1


async def history(stage: Stage) -> AsyncGenerator[Result]:
    """Yield, for each number of executions and in all rounds, times of reads, rates of writes."""
    worst: dict[int, list[float]] = {size: [] for size in stage.plan.executions}
    for size in stage.plan.executions:
        for _ in range(stage.plan.rounds):
            async for result in _round(stage, size):
                yield result
                if result.name == _worst(size):
                    worst[size].append(result.value)
    least, most = min(worst), max(worst)
    if least < most:
        growth = statistics.median(worst[most]) / statistics.median(worst[least])
        yield Result(
            f"list by any one filter or order, worst p99, {most:,} over {least:,} executions",
            growth,
            "x",
            goal=_GROWTH,
        )


async def _round(stage: Stage, size: int) -> AsyncGenerator[Result]:
    seconds = stage.plan.seconds
    async with stage.grown(size) as target:
        await target.keep_idle(ACTIVE)
        old = await _old(target, size)
        for name, call, goal in _reads(target, old):
            figures = await _alone(call, seconds / 3)
            yield Result(f"{name}, {size:,} executions, p50", figures.p50, "ms")
            yield Result(f"{name}, {size:,} executions, p99", figures.p99, "ms", goal=goal)
        lists = []
        for name, call in _lists(target, old):
            figures = await _alone(call, seconds / 3)
            yield Result(f"list {name}, {size:,} executions, p99", figures.p99, "ms")
            lists.append(figures.p99)
        yield Result(_worst(size), max(lists), "ms", goal=_LIST if size >= _LARGE else None)
        request = pb2.ExecuteRequest(
            workflow_id=await target.workflow(_PHASES), queue_name=target.queues.working
        )
        started = await load(
            lambda: target.executions.Execute(request), callers=CALLERS, seconds=seconds
        )
        yield Result(f"execute, {size:,} executions, {CALLERS} callers", started.rate, "/s")
        await target.cancel_all(target.queues.working)
    async with stage.grown(size, worker="external") as target:
        done = await rate(await ending(target, _PHASES), seconds)
        name = f"{_PHASES} phases, external worker, {size:,} executions, {CALLERS} callers"
        yield Result(name, done.rate, "/s")


def _worst(size: int) -> str:
    return f"list by any one filter or order, {size:,} executions, worst p99"


async def _old(target: Target, size: int) -> Sequence[execution_pb2.Execution]:
    """Return some executions from the middle of those that were filled in."""
    # They are the oldest, and those of the measurement itself have none of what filters ask for.
    request = pb2.ListRequest(
        page=max(size // _PAGE // 2, 1),
        page_size=_PAGE,
        order_by=pb2.ExecutionOrder.EXECUTION_ORDER_CREATED_AT_ASC,
    )
    return (await target.executions.List(request)).executions


def _reads(
    target: Target, old: Sequence[execution_pb2.Execution]
) -> list[tuple[str, Call, Goal | None]]:
    ids = itertools.cycle([one.execution_id for one in old])
    calls = target.executions
    return [
        ("status", lambda: calls.GetStatus(pb2.GetStatusRequest(execution_id=next(ids))), None),
        ("get", lambda: calls.Get(pb2.GetRequest(execution_id=next(ids))), None),
        (f"list of {ACTIVE} active", lambda: calls.ListActive(pb2.ListActiveRequest()), _ACTIVE),
    ]


def _lists(target: Target, old: Sequence[execution_pb2.Execution]) -> list[tuple[str, Call]]:
    """Return lists with one filter each, without any in each order, and of a late page."""
    requests = {f"by {name}": pb2.ListRequest(filter=one) for name, one in filters(old).items()}
    for order, number in pb2.ExecutionOrder.items():
        name = order.removeprefix("EXECUTION_ORDER_").lower()
        if number:
            requests[f"in order {name}"] = pb2.ListRequest(order_by=number)

    def call(request: pb2.ListRequest) -> Call:
        return lambda: target.executions.List(request)

    return [(name, call(request)) for name, request in requests.items()]


async def _alone(call: Call, seconds: float) -> Load:
    return await load(call, callers=1, seconds=seconds, warm_up=_WARM_UP)
