"""The client as a whole."""

import grpc
import pytest
from grpc_health.v1 import health_pb2

from phaseline.client import Client
from phaseline.domain.errors import NotFound, Unavailable
from tests.client.scripted import QuickClock, Script


async def test_health_is_told_in_a_word(client: Client, script: Script) -> None:
    serving = health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.NOT_SERVING)
    script.replying("Check", serving)
    assert await client.health("phaseline.v1.ExecutionService") == "NOT_SERVING"
    assert script.requests[0].service == "phaseline.v1.ExecutionService"


async def test_health_does_not_wait_for_better_times(
    client: Client, script: Script, clock: QuickClock
) -> None:
    script.replying("Check", Unavailable("away"))
    with pytest.raises(Unavailable):
        await client.health()
    assert clock.sleeps == []


async def test_an_unknown_service_has_no_health(client: Client, script: Script) -> None:
    script.replying("Check", NotFound("service", "moon"))
    with pytest.raises(NotFound):
        await client.health("moon")


def test_a_client_can_be_made_outside_of_a_loop() -> None:
    assert isinstance(Client("127.0.0.1:1"), Client)


async def test_a_closed_client_refuses_calls(client: Client) -> None:
    await client.get_status("x-1")
    await client.aclose()
    with pytest.raises(grpc.aio.UsageError, match="closed"):
        await client.get_status("x-1")


async def test_a_client_that_never_called_can_be_closed() -> None:
    await Client("127.0.0.1:1").aclose()
