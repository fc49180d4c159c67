"""
Many watchers, as a process of their own.

They watch the active executions; those "watching" each watch one of those that are named, in the
full view. Says "synced" once all have the present state. Those that are "seeing" then say of each
execution that was started when each of them saw it; those "following" and "watching" say on the
line "end" what came since "begin"; those "ignoring" read nothing more.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

import grpc
import msgspec

from phaseline.v1 import execution_pb2, watch_pb2
from phaseline.v1 import execution_service_pb2 as pb2

#: Watchers that share a connection, as those of one client process would.
_TO_A_CONNECTION = 20
_SERVICE = "/phaseline.v1.ExecutionService"
#: Of the watchers that follow, one in so many reads what the frames say: reading them all would
#: measure this process.
_ONE_IN = 20

Stream = grpc.aio.UnaryStreamCall[bytes, bytes]


class WatchEnded(Exception):
    """A watch ended that should go on."""


class Sight(msgspec.Struct, frozen=True):
    """When each watcher saw an execution change, by the clock that all processes share."""

    execution_id: str
    seen: list[float]


class Came(msgspec.Struct, frozen=True):
    """What came to watchers that follow."""

    frames: int
    size: int
    #: Of the part that reads what the frames say: versions left out, and the seconds from each
    #: commit until a watcher had it.
    folded: int
    lags: list[float]


class Watchers:
    """The watchers of this process."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._synced = 0
        self._seen: dict[str, list[float]] = {}
        self._frames = self._size = self._folded = 0
        self._lags: list[float] = []

    async def see(self, stream: Stream) -> None:
        """Read every frame, and note when each execution was seen."""
        await self._sync(stream)
        while raw := await _next(stream):
            now = time.monotonic()
            for change in _frame(raw).change_set.changes:
                self._saw(change.execution.execution_id, now)

    async def follow(self, stream: Stream, *, is_reader: bool) -> None:
        """Receive every frame, and read it if *is_reader*."""
        await self._sync(stream)
        while raw := await _next(stream):
            self._frames += 1
            self._size += len(raw)
            if is_reader:
                self._read(_frame(raw).change_set)

    async def ignore(self, stream: Stream) -> None:
        """Read until in sync, and then nothing more."""
        await self._sync(stream)
        await asyncio.Event().wait()

    def begin(self) -> None:
        """Forget what came so far."""
        self._frames = self._size = self._folded = 0
        self._lags = []

    def end(self) -> Came:
        """Return what came since `begin`."""
        return Came(self._frames, self._size, self._folded, self._lags)

    async def _sync(self, stream: Stream) -> None:
        while not _frame(await _next(stream)).bookmark.synced:
            pass
        self._synced += 1
        if self._synced == self._count:
            say("synced")

    def _saw(self, execution_id: str, now: float) -> None:
        seen = self._seen.setdefault(execution_id, [])
        seen.append(now)
        if len(seen) == self._count:
            say(Sight(execution_id, self._seen.pop(execution_id)))

    def _read(self, changes: watch_pb2.ChangeSet) -> None:
        now = time.time()
        self._folded += changes.folded_count
        for change in changes.changes:
            at = change.changed_at
            self._lags.append(now - at.seconds - at.nanos / 1e9)


async def main(address: str, count: int, manner: str, ids: Sequence[str]) -> None:
    """Watch until stdin is closed."""
    watchers = Watchers(count)
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        channels = [
            await stack.enter_async_context(_channel(address))
            for _ in range(0, count, _TO_A_CONNECTION)
        ]
        watching = [
            tasks.create_task(
                _watch(watchers, _stream(channels[at // _TO_A_CONNECTION], at, ids), at, manner)
            )
            for at in range(count)
        ]
        await _obey(watchers)
        for task in watching:
            task.cancel()


async def _watch(watchers: Watchers, stream: Stream, at: int, manner: str) -> None:
    match manner:
        case "seeing":
            await watchers.see(stream)
        case "following":
            await watchers.follow(stream, is_reader=at % _ONE_IN == 0)
        case "watching":
            await watchers.follow(stream, is_reader=True)
        case _:
            await watchers.ignore(stream)


def _stream(channel: grpc.aio.Channel, at: int, ids: Sequence[str]) -> Stream:
    """Open the watch of one of *ids*, or of what is active if there are none."""
    if ids:
        method, body = "Watch", _full(ids[at % len(ids)])
    else:
        method, body = "WatchActive", pb2.WatchActiveRequest().SerializeToString()
    call: Any = channel.unary_stream(
        f"{_SERVICE}/{method}", request_serializer=None, response_deserializer=None
    )
    stream: Stream = call(body)
    return stream


def _full(execution_id: str) -> bytes:
    request = pb2.WatchRequest(execution_id=execution_id, view=execution_pb2.EXECUTION_VIEW_FULL)
    return request.SerializeToString()


async def _obey(watchers: Watchers) -> None:
    """Do what the lines of stdin say, until it is closed."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    async for line in reader:
        if line.strip() == b"begin":
            watchers.begin()
        else:
            say(watchers.end())


def say(what: object) -> None:
    """Write a line for whoever started this process."""
    sys.stdout.write(msgspec.json.encode(what).decode() + "\n")
    sys.stdout.flush()


async def _next(stream: Stream) -> bytes:
    raw = await stream.read()
    if not isinstance(raw, bytes):
        raise WatchEnded("the server closed a watch")
    return raw


def _frame(raw: bytes) -> watch_pb2.WatchFrame:
    return pb2.WatchActiveResponse.FromString(raw).frame


def _channel(address: str) -> grpc.aio.Channel:
    # Channels of one process would otherwise share one connection.
    return grpc.aio.insecure_channel(address, (("grpc.use_local_subchannel_pool", 1),))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4:]))
