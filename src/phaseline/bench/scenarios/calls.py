"""How fast single calls are answered, beside the ceiling of the same message sizes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

import grpc
import msgspec

from phaseline.bench.channels import channel_to
from phaseline.bench.load import Counted, Load, load, side_by_side
from phaseline.bench.processes import echo_server
from phaseline.bench.results import Goal, Result
from phaseline.bench.stage import Stage
from phaseline.bench.target import Message, Rpc, Target
from phaseline.v1 import execution_service_pb2 as pb2

CALLERS = 64
_SEED = 200
_ACTIVE = 5000

Request = Callable[[], Message]


class Call(msgspec.Struct, frozen=True):
    """A call to measure."""

    remote: Rpc
    request: Request


async def execute(stage: Stage) -> AsyncGenerator[Result]:
    """Yield the figures of Execute: each call is one more execution."""
    async with stage.target() as target:
        request = pb2.ExecuteRequest(
            workflow_id=await target.workflow(3), queue_name=target.queues.idle
        )
        call = Call(Rpc.of("Execute", pb2.ExecuteResponse), lambda: request)
        async for result in _figures(stage, target, "execute", call, Goal(0.5, 0.8)):
            yield result


async def status(stage: Stage) -> AsyncGenerator[Result]:
    """Yield the figures of GetStatus."""
    async with stage.target() as target:
        request = _in_turn(pb2.GetStatusRequest, await target.start_idle(_SEED))
        call = Call(Rpc.of("GetStatus", pb2.GetStatusResponse), request)
        async for result in _figures(stage, target, "status", call, Goal(0.6, 0.9)):
            yield result


async def get(stage: Stage) -> AsyncGenerator[Result]:
    """Yield the figures of Get: three phases, nothing left out."""
    async with stage.target() as target:
        request = _in_turn(pb2.GetRequest, await target.start_idle(_SEED))
        call = Call(Rpc.of("Get", pb2.GetResponse), request)
        async for result in _figures(stage, target, "get", call):
            yield result


async def list_(stage: Stage) -> AsyncGenerator[Result]:
    """Yield the figures of List: the first 50 of a few."""
    async with stage.target() as target:
        await target.start_idle(_SEED)
        call = Call(Rpc.of("List", pb2.ListResponse), pb2.ListRequest)
        async for result in _figures(stage, target, "list", call):
            yield result


async def active(stage: Stage) -> AsyncGenerator[Result]:
    """Yield the figures of ListActive: the first 20 of thousands."""
    async with stage.target() as target:
        await target.start_idle(_ACTIVE)
        call = Call(Rpc.of("ListActive", pb2.ListActiveResponse), pb2.ListActiveRequest)
        name = f"list of {_ACTIVE} active"
        goal = Goal(15, 5, is_most=True)
        async for result in _figures(stage, target, name, call, alone=goal):
            yield result


def _in_turn(request: Callable[..., Message], ids: Sequence[str]) -> Request:
    turn = iter(range(10**9))
    return lambda: request(execution_id=ids[next(turn) % len(ids)])


async def _figures(
    stage: Stage,
    target: Target,
    name: str,
    call: Call,
    share: Goal | None = None,
    alone: Goal | None = None,
) -> AsyncGenerator[Result]:
    """Yield the rate with its share of the ceiling, and times under load and of one caller."""
    seconds = stage.plan.seconds
    counted = Counted(_on(target.channel, call))
    used = target.server.processor_time if target.is_ours else 0
    ceiling, ours = await _beside_ceiling(stage, target.channel, call, counted)
    yield Result(f"{name}, {CALLERS} callers", ours.rate, "/s", ceiling.rate, share)
    if target.is_ours:
        each = (target.server.processor_time - used) / counted.calls * 1e6
        yield Result(f"{name}, {CALLERS} callers, processor time of each", each, "us")
    yield Result(f"{name}, {CALLERS} callers, p50", ours.p50, "ms")
    yield Result(f"{name}, {CALLERS} callers, p99", ours.p99, "ms")
    yield Result(f"{name}, {CALLERS} callers, longest", ours.longest, "ms")
    one = await load(_on(target.channel, call), callers=1, seconds=seconds / 2)
    yield Result(f"{name}, 1 caller, p50", one.p50, "ms")
    yield Result(f"{name}, 1 caller, p99", one.p99, "ms", goal=alone)
    yield Result(f"{name}, 1 caller, longest", one.longest, "ms")


async def _beside_ceiling(
    stage: Stage, channel: grpc.aio.Channel, call: Call, ours: Counted
) -> tuple[Load, Load]:
    """Return what a server reaches that always sends one such answer, and what *ours* reaches."""
    answer = await Rpc(call.remote.path, bytes).on(channel)(call.request())
    seconds, connections = stage.plan.seconds, stage.plan.connections
    async with echo_server(answer) as address, channel_to(address, connections) as echo:
        return await side_by_side(
            _on(echo, call),
            ours,
            callers=CALLERS,
            seconds=seconds,
            warm_up=min(0.5, seconds),
        )


def _on(channel: grpc.aio.Channel, call: Call) -> Callable[[], Awaitable[object]]:
    on_channel = call.remote.on(channel)
    return lambda: on_channel(call.request())
