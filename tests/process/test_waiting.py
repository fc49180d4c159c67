"""Nobody waits longer for PostgreSQL than was said, and nobody makes others wait."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import asyncpg
import grpc
import pytest

from phaseline.v1 import execution_service_pb2 as pb
from phaseline.v1 import workflow_service_pb2
from tests.process.test_processes import WORKFLOW
from tests.support.databases import Databases
from tests.support.program import ServerProgram, Stubs

_SOON = 0.5
# The database itself would end it after thirty seconds.
_LONG_BEFORE = 10
_TURN_SECONDS = 5
_SLACK = 3
_PATIENCE = 20
_CALLERS = 8

_AT_WORK = """
    SELECT query FROM pg_stat_activity
    WHERE datname = current_database() AND state = 'active' AND wait_event_type = 'Lock'
"""
_IN_ITS_TURN = """
    SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND state = 'idle in transaction'
        AND now() - state_change > interval '200 ms'
"""


@pytest.fixture
async def own(database: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of the test's own."""
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


@pytest.fixture
def database(postgresql: Databases) -> Iterator[str]:
    url = postgresql.take()
    yield url
    postgresql.give_back(url)


@pytest.mark.long
@pytest.mark.timeout(60)
async def test_a_read_ends_in_the_database_with_the_deadline_of_its_caller(
    database: str, own: asyncpg.Connection
) -> None:
    # What a transaction sees of others does not change for as long as it lasts.
    locking = await asyncpg.connect(database)
    with ServerProgram(database) as server, server.channel() as channel:
        executions = Stubs(channel).executions
        requests: list[Any] = [
            lambda: executions.List(pb.ListRequest(), timeout=_SOON),
            lambda: executions.Get(pb.GetRequest(execution_id="e1"), timeout=_SOON),
            lambda: executions.GetStatus(pb.GetStatusRequest(execution_id="e1"), timeout=_SOON),
        ]
        for request in requests:
            async with locking.transaction():
                await locking.execute("LOCK TABLE executions IN ACCESS EXCLUSIVE MODE")
                with pytest.raises(grpc.RpcError) as refused:
                    request()
                assert refused.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
                over = time.monotonic()
                while at_work := await own.fetch(_AT_WORK):
                    assert time.monotonic() - over < _LONG_BEFORE, at_work
        executions.List(pb.ListRequest())
    await locking.close()


@contextmanager
def _called(server: ServerProgram) -> Iterator[threading.Event]:
    """Have executions started on a server for the block; give when one was."""
    answered, is_over = threading.Event(), threading.Event()

    def call(executions: Any) -> None:
        while not is_over.is_set():
            try:
                executions.Execute(pb.ExecuteRequest(workflow_id="flow"), timeout=_PATIENCE)
            except grpc.RpcError as error:
                # What was being decided when it was cut off.
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise
            else:
                answered.set()

    with server.channel() as channel:
        stubs = Stubs(channel).executions
        callers = [threading.Thread(target=call, args=(stubs,)) for _ in range(_CALLERS)]
        for caller in callers:
            caller.start()
        try:
            yield answered
        finally:
            is_over.set()
            for caller in callers:
                caller.join()


@pytest.mark.long
@pytest.mark.timeout(120)
async def test_a_server_that_freezes_in_its_turn_is_cut_off_and_comes_back(
    database: str, own: asyncpg.Connection
) -> None:
    with ServerProgram(database) as frozen, ServerProgram(database) as other:
        with frozen.channel() as channel:
            Stubs(channel).workflows.ApplyWorkflow(
                workflow_service_pb2.ApplyWorkflowRequest(workflow=WORKFLOW)
            )
        with _called(frozen):
            await _freeze_in_its_turn(frozen, own)
            began = time.monotonic()
            with _called(other) as answered:
                assert await asyncio.to_thread(answered.wait, _PATIENCE)
                assert time.monotonic() - began < _TURN_SECONDS + _SLACK
                frozen.signal(signal.SIGCONT)
        with frozen.channel() as channel:
            Stubs(channel).executions.Execute(pb.ExecuteRequest(workflow_id="flow"))


async def _freeze_in_its_turn(server: ServerProgram, own: asyncpg.Connection) -> None:
    """Stop *server* while it holds what all wait for; that it does not wait for the database."""
    while True:
        server.signal(signal.SIGSTOP)
        stopped = time.monotonic()
        while time.monotonic() - stopped < 0.5:
            if await own.fetch(_IN_ITS_TURN):
                return
        server.signal(signal.SIGCONT)
        await asyncio.sleep(0.01)
