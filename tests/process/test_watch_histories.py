"""What a watch promises holds over gRPC, with cuts, kills, slow readers and writers at once."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import grpc
import pytest

from phaseline.bench.faults import PATIENCE, SERVER, WORKFLOW, Crew, workflow
from phaseline.client import Client
from phaseline.v1 import execution_service_pb2 as pb
from phaseline.v1 import execution_service_pb2_grpc
from tests.support import guarantees
from tests.support.guarantees import Frame, Version, frame_of

Call: TypeAlias = "grpc.aio.UnaryStreamCall[Any, Any]"
Stub: TypeAlias = "execution_service_pb2_grpc.ExecutionServiceAsyncStub"

_WRITERS = 6
_CUT = 0.05
_AWAY = 0.05
_PASSING = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)


class Watcher:
    """Watches one thing, stream after stream, each resumed from the last token before it."""

    def __init__(self, open_: Callable[[str], Call], token: str, chance: random.Random) -> None:
        self._open, self._token, self._chance = open_, token, chance
        self.history: list[list[Frame]] = []
        #: While this is not set, nothing is read.
        self.reads = asyncio.Event()
        self.reads.set()

    async def follow(self, is_last: Callable[[Frame], bool]) -> None:
        """Read until a frame is the last one that is of interest."""
        while not (self.history and self.history[-1] and is_last(self.history[-1][-1])):
            stream: list[Frame] = []
            self.history.append(stream)
            try:
                await self._read(stream, is_last)
            except grpc.aio.AioRpcError as error:
                if error.code() not in _PASSING:
                    raise
                await asyncio.sleep(_AWAY)

    async def _read(self, stream: list[Frame], is_last: Callable[[Frame], bool]) -> None:
        call = self._open(self._token)
        async for response in call:
            await self.reads.wait()
            stream.append(frame_of(response.frame, time.monotonic()))
            self._token = stream[-1].token
            if is_last(stream[-1]) or self._chance.random() < _CUT:
                call.cancel()
                return


@dataclass
class Story:
    """What was started, and who watched it."""

    started: list[pb.ExecuteResponse] = field(default_factory=list)
    #: Of single executions, by when they were started.
    watchers: list[tuple[pb.ExecuteResponse, Watcher]] = field(default_factory=list)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("kills", "seed"),
    [(1, 1), *(pytest.param(12, seed, marks=pytest.mark.long) for seed in range(3, 8))],
)
async def test_the_guarantees_hold_over_grpc(tmp_path: Path, kills: int, seed: int) -> None:
    crew = Crew(str(tmp_path / "phaseline.db"), ())
    async with (
        crew.at_work(),
        grpc.aio.insecure_channel(crew.address) as channel,
        Client(crew.address, timeout=PATIENCE) as client,
    ):
        await client.apply_workflow(workflow())
        stub: Stub = execution_service_pb2_grpc.ExecutionServiceStub(channel)
        await _live(crew, client, stub, kills, random.Random(seed))


async def _live(crew: Crew, client: Client, stub: Stub, kills: int, chance: random.Random) -> None:
    began = (await client.list_active()).resume_token
    crowd = [Watcher(lambda token: _active(stub, token), began, chance) for _ in range(6)]
    slow = crowd[:2]
    story = Story()
    async with asyncio.TaskGroup() as tasks:
        last: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        for watcher in crowd:
            tasks.create_task(watcher.follow(lambda frame: _removes(frame, last)))
        for reader in slow:
            reader.reads.clear()
        await _write(crew, client, stub, kills, chance, story, tasks)
        for reader in slow:
            reader.reads.set()
        ended = await client.execute(WORKFLOW)
        story.started.append(ended)
        last.set_result(ended.execution_id)
    log = [version for one in story.started for version in await _log(stub, one)]
    for watcher in crowd:
        _check_active(watcher, log)
    for one, watcher in story.watchers:
        _check_one(watcher, one, log)
    stored = {version.id: version.revision for version in log}
    for watcher in [*crowd, *(watcher for _, watcher in story.watchers)]:
        guarantees.durable(watcher.history, stored)


async def _write(
    crew: Crew,
    client: Client,
    stub: Stub,
    kills: int,
    chance: random.Random,
    story: Story,
    tasks: asyncio.TaskGroup,
) -> None:
    """Start executions from many callers, watch some of each, and kill the server in between."""

    async def start(count: int) -> None:
        for at in range(count):
            one = await client.execute(WORKFLOW)
            story.started.append(one)
            if at % 3 == 0:
                opening = _watching(stub, one.execution_id)
                watcher = Watcher(opening, one.resume_token, chance)
                story.watchers.append((one, watcher))
                tasks.create_task(watcher.follow(lambda frame: frame.kind == "closing"))

    for _ in range(kills + 1):
        async with asyncio.TaskGroup() as starting:
            for _ in range(_WRITERS):
                starting.create_task(start(4))
            if kills:
                await start(1)
                await crew.kill(SERVER)
    for one in story.started:
        await client.wait(one.execution_id)


def _active(stub: Stub, token: str) -> Call:
    return stub.WatchActive(pb.WatchActiveRequest(resume_token=token), wait_for_ready=True)


def _watching(stub: Stub, execution_id: str) -> Callable[[str], Call]:
    def open_(token: str) -> Call:
        request = pb.WatchRequest(execution_id=execution_id, resume_token=token)
        return stub.Watch(request, wait_for_ready=True)

    return open_


def _removes(frame: Frame, last: asyncio.Future[str]) -> bool:
    """Whether *frame* tells the end of the execution that was started last."""
    return last.done() and any(
        change.kind == "REMOVED" and change.id == (last.result(),) for change in frame.changes
    )


async def _log(stub: Stub, one: pb.ExecuteResponse) -> list[Version]:
    """Return every version of an execution that has ended, as the database tells it afterwards."""
    log: list[Version] = []
    async for response in _watching(stub, one.execution_id)(one.resume_token):
        for change in frame_of(response.frame).changes:
            is_execution, is_new = len(change.id) == 1, change.kind == "ADDED"
            version = Version(
                change.id,
                change.revision,
                is_new,
                was_wanted=is_execution and not is_new,
                is_wanted=is_execution and not change.is_terminal,
            )
            log.append(version)
    return log


def _check_active(watcher: Watcher, log: list[Version]) -> None:
    executions = [version for version in log if len(version.id) == 1]
    guarantees.ordered(watcher.history)
    guarantees.unique(watcher.history)
    guarantees.kinds_fit(watcher.history)
    guarantees.newest_versions(watcher.history, executions, after=0)
    guarantees.counted(watcher.history, executions, after=0)
    _check_streams(watcher)


def _check_one(watcher: Watcher, one: pb.ExecuteResponse, log: list[Version]) -> None:
    own = [version for version in log if version.id[0] == one.execution_id]
    # Its token is from before it, so that its first version is told, too.
    guarantees.resumable(watcher.history, own, after=one.revision - 1)
    guarantees.in_commit_order(watcher.history)
    guarantees.closes_after_the_last_version(watcher.history, (one.execution_id,))
    _check_streams(watcher)


def _check_streams(watcher: Watcher) -> None:
    for stream in watcher.history:
        guarantees.well_formed(stream)
        guarantees.bounded(stream)
        assert sum(frame.synced for frame in stream) <= 1
