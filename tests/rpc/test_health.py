"""The health of the server is what it is when somebody asks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub

from phaseline.domain.errors import NotFound
from phaseline.rpc.health import Health
from phaseline.rpc.methods import SERVICES
from tests.support.rpc import Api, refusal, serving

_PB: Any = health_pb2
SERVING, NOT_SERVING = _PB.HealthCheckResponse.SERVING, _PB.HealthCheckResponse.NOT_SERVING
EXECUTIONS = "phaseline.v1.ExecutionService"


class Store:
    """A store that is there, or not."""

    is_there = True

    def __call__(self) -> bool:
        return self.is_there


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def health(store: Store) -> Health:
    return Health(store)


@pytest.fixture
async def api(health: Health) -> AsyncIterator[Api]:
    async with serving({}, health=health) as served:
        yield served


async def check(api: Api, service: str = "") -> int:
    answer = await stub(api).Check(asked(service))
    return int(answer.status)


def stub(api: Api) -> Any:
    return HealthStub(api.channel)


def asked(service: str = "") -> Any:
    return _PB.HealthCheckRequest(service=service)


@pytest.mark.parametrize("service", ["", *SERVICES, "grpc.health.v1.Health"])
async def test_every_service_is_known(api: Api, service: str) -> None:
    assert await check(api, service) == SERVING


async def test_no_other_service_is(api: Api) -> None:
    error = await refusal(stub(api).Check(asked("phaseline.v1.Other")))
    assert isinstance(error, NotFound)


async def test_without_a_store_nothing_serves(api: Api, store: Store) -> None:
    store.is_there = False
    assert await check(api, EXECUTIONS) == NOT_SERVING
    store.is_there = True
    assert await check(api, EXECUTIONS) == SERVING


async def test_a_draining_server_does_not_serve(api: Api, health: Health) -> None:
    health.drain()
    assert await check(api) == NOT_SERVING


async def test_all_can_be_listed(api: Api) -> None:
    answer = await stub(api).List(_PB.HealthListRequest())
    assert set(answer.statuses) == {"", *SERVICES, "grpc.health.v1.Health"}
    assert {each.status for each in answer.statuses.values()} == {SERVING}


async def test_a_watch_tells_of_changes(api: Api, health: Health) -> None:
    statuses = stub(api).Watch(asked())
    assert (await statuses.read()).status == SERVING
    health.drain()
    assert (await statuses.read()).status == NOT_SERVING


async def test_a_watch_notices_by_itself_that_the_store_is_away(
    api: Api, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("phaseline.rpc.health._LOOK_EVERY", 0.001)
    statuses = stub(api).Watch(asked(EXECUTIONS))
    assert (await statuses.read()).status == SERVING
    store.is_there = False
    assert (await statuses.read()).status == NOT_SERVING


async def test_a_watch_of_an_unknown_service_says_so_and_goes_on(api: Api, health: Health) -> None:
    statuses = stub(api).Watch(asked("phaseline.v1.Other"))
    assert (await statuses.read()).status == _PB.HealthCheckResponse.SERVICE_UNKNOWN
    health.close()
    assert not await statuses.read()


async def test_a_watch_ends_with_the_last_status(api: Api, health: Health) -> None:
    statuses = stub(api).Watch(asked())
    assert (await statuses.read()).status == SERVING
    health.drain()
    health.close()
    assert (await statuses.read()).status == NOT_SERVING
    assert not await statuses.read()


async def test_many_watch_at_the_same_time(api: Api, health: Health) -> None:
    watches = [stub(api).Watch(asked()) for _ in range(20)]
    await asyncio.gather(*(watch.read() for watch in watches))
    health.drain()
    told = await asyncio.gather(*(watch.read() for watch in watches))
    assert {each.status for each in told} == {NOT_SERVING}
