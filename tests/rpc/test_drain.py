"""A server that stops keeps nobody waiting, and says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from phaseline.serve import Server, running
from phaseline.settings import Settings
from phaseline.v1 import execution_service_pb2 as pb
from phaseline.v1 import watch_pb2
from phaseline.v1.worker_service_pb2 import LeasePhasesRequest
from phaseline.v1.workflow_service_pb2 import ApplyWorkflowRequest
from tests.rpc.callers import started
from tests.rpc.conftest import SURVEY
from tests.support.rpc import Api

MINUTE = Duration(seconds=60)
#: How long calls may go on; that nothing takes it is what is shown.
GRACE = 15.0


@pytest.fixture
async def server(settings: Settings) -> AsyncIterator[Server]:
    async with running(settings) as server:
        yield server


@pytest.fixture
async def api(server: Server) -> AsyncIterator[Api]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        api = Api(channel)
        await api.workflows.ApplyWorkflow(ApplyWorkflowRequest(workflow=SURVEY))
        yield api


async def begun(api: Api, call: Any) -> asyncio.Future[Any]:
    """Make *call*, and return once the server has taken it up."""
    waiting: asyncio.Future[Any] = asyncio.ensure_future(call)
    # The next call on the same connection is taken up after it, and looks into the store.
    await api.executions.List(pb.ListRequest())
    return waiting


async def test_a_poll_is_answered_without_a_lease(api: Api, server: Server) -> None:
    poll = LeasePhasesRequest(worker_id="w", request_id="r", wait=MINUTE)
    waiting = await begun(api, api.workers.LeasePhases(poll))
    await server.drain(GRACE)
    answer = await waiting
    assert not answer.leases
    assert answer.poll_delay.seconds == 1


async def test_a_wait_is_answered_with_what_there_is(api: Api, server: Server) -> None:
    request = pb.WaitRequest(execution_id=await started(api), timeout=MINUTE)
    waiting = await begun(api, api.executions.Wait(request))
    await server.drain(GRACE)
    answer = await waiting
    assert not answer.satisfied
    assert answer.execution.execution_id


async def test_a_watch_is_told_to_come_back(api: Api, server: Server) -> None:
    frames = api.executions.WatchActive(pb.WatchActiveRequest())
    await frames.read()
    draining = asyncio.ensure_future(server.drain(GRACE))
    frame = (await frames.read()).frame
    while frame.WhichOneof("kind") != "closing":
        frame = (await frames.read()).frame
    assert frame.closing.reason == watch_pb2.CLOSE_REASON_DRAINING
    assert not await frames.read()
    await draining


async def test_whoever_watches_its_health_hears_of_it(api: Api, server: Server) -> None:
    stub: Any = HealthStub(api.channel)
    statuses = stub.Watch(HealthCheckRequest())
    assert (await statuses.read()).status == HealthCheckResponse.SERVING
    draining = asyncio.ensure_future(server.drain(GRACE))
    assert (await statuses.read()).status == HealthCheckResponse.NOT_SERVING
    await draining
