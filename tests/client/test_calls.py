"""Deadlines and repeats."""

from datetime import timedelta

import grpc
import pytest

from phaseline.client import Client
from phaseline.domain.errors import (
    DeadlineExceeded,
    FieldViolation,
    Internal,
    InvalidArgument,
    NotFound,
    Reason,
    ResourceExhausted,
    Unavailable,
)
from phaseline.v1 import execution_service_pb2 as pb
from tests.client.scripted import AioScript, Hang, QuickClock, Script

DRAINING = Unavailable("the server is draining", reason=Reason.DRAINING)


async def test_a_read_is_repeated_while_the_server_is_unavailable(
    client: Client, script: Script, clock: QuickClock
) -> None:
    script.replying("GetStatus", DRAINING, grpc.StatusCode.UNAVAILABLE)
    script.replying("GetStatus", pb.GetStatusResponse(execution_id="x-1"))
    assert (await client.get_status("x-1")).execution_id == "x-1"
    assert script.methods == ["GetStatus"] * 3
    assert len(clock.sleeps) == 2


async def test_delays_grow_up_to_a_limit_and_differ(
    client: Client, script: Script, clock: QuickClock
) -> None:
    script.replying("GetStatus", *[DRAINING] * 9)
    await client.get_status("x-1")
    longest = [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0]
    assert all(
        limit / 2 <= slept <= limit for slept, limit in zip(clock.sleeps, longest, strict=True)
    )
    assert len(set(clock.sleeps)) == 9


async def test_a_delay_is_no_shorter_than_the_server_asks_for(
    client: Client, script: Script, clock: QuickClock
) -> None:
    wait = timedelta(seconds=7)
    script.replying("GetStatus", Unavailable("the disk is full", retry_after=wait))
    await client.get_status("x-1")
    assert 7.0 <= clock.sleeps[0] <= 7.1


async def test_repeats_end_with_the_deadline(
    client: Client, script: Script, clock: QuickClock
) -> None:
    """The last error is raised as soon as another attempt would come too late."""
    script.replying("GetStatus", *[DRAINING] * 100)
    began = clock.now()
    with pytest.raises(Unavailable) as caught:
        await client.get_status("x-1")
    assert caught.value.reason == "DRAINING"
    assert 25 < clock.now() - began < 30


async def test_a_wait_beyond_the_deadline_is_not_begun(
    client: Client, script: Script, clock: QuickClock
) -> None:
    script.replying("GetStatus", Unavailable("away", retry_after=timedelta(minutes=5)))
    with pytest.raises(Unavailable):
        await client.get_status("x-1")
    assert clock.sleeps == []


async def test_each_attempt_has_what_is_left_of_the_deadline(
    client: Client, script: Script
) -> None:
    script.replying("GetStatus", Unavailable("away", retry_after=timedelta(seconds=10)))
    await client.get_status("x-1")
    first, second = script.seconds_left
    assert 8 < first - second < 12


async def test_another_timeout_goes_over_the_same_connection(
    client: Client, script: Script
) -> None:
    await client.within(timedelta(seconds=5)).get_status("x-1")
    assert 1 < script.seconds_left[0] < 6


async def test_a_server_that_does_not_answer_is_given_up(client: Client, script: Script) -> None:
    script.replying("GetStatus", Hang())
    with pytest.raises(DeadlineExceeded) as caught:
        await client.within(timedelta(milliseconds=20)).get_status("x-1")
    assert caught.value.reason == "DEADLINE_EXCEEDED"


@pytest.mark.parametrize(
    "error",
    [
        NotFound("execution", "x-1"),
        Internal("internal error"),
        InvalidArgument.of("execution_id", "must not be empty"),
        ResourceExhausted("too many", reason=Reason.TOO_MANY_EXECUTIONS),
    ],
)
async def test_what_a_repeat_cannot_cure_is_raised_at_once(
    client: Client, script: Script, error: Exception
) -> None:
    script.replying("GetStatus", error)  # type: ignore[arg-type]
    with pytest.raises(type(error)):
        await client.get_status("x-1")
    assert len(script.requests) == 1


async def test_a_rate_limit_is_waited_for(
    client: Client, script: Script, clock: QuickClock
) -> None:
    wait = timedelta(seconds=2)
    script.replying(
        "GetStatus", ResourceExhausted("slow down", reason=Reason.RATE_LIMITED, retry_after=wait)
    )
    await client.get_status("x-1")
    assert clock.sleeps[0] >= 2


async def test_a_write_is_repeated_with_the_same_request_id(client: Client, script: Script) -> None:
    script.replying("Execute", DRAINING)
    await client.execute("survey")
    first, second = script.requests
    assert first == second
    assert len(first.request_id) == 32


async def test_two_writes_have_two_request_ids(client: Client, script: Script) -> None:
    await client.execute("survey")
    await client.execute("survey")
    assert len({request.request_id for request in script.requests}) == 2


async def test_a_request_id_of_the_caller_is_kept(client: Client, script: Script) -> None:
    await client.cancel("x-1", request_id="mine")
    assert script.requests[0].request_id == "mine"


async def test_violations_come_back(client: Client, script: Script) -> None:
    violation = FieldViolation("inputs.topic", "is required", Reason.MISSING_INPUT)
    script.replying("Execute", InvalidArgument.all_of([violation]))
    with pytest.raises(InvalidArgument) as caught:
        await client.execute("survey")
    assert caught.value.violations == (violation,)
    assert caught.value.reason == "MISSING_INPUT"


async def test_an_error_is_raised_without_the_one_of_grpc(client: Client, script: Script) -> None:
    """A trace through the transport would hide where the caller went wrong."""
    script.replying("Get", NotFound("execution", "x-1"))
    with pytest.raises(NotFound) as caught:
        await client.get("x-1")
    assert caught.value.__context__ is None


async def test_an_answer_may_be_larger_than_grpc_allows_by_default(
    client: Client, script: Script
) -> None:
    response = pb.GetResponse()
    response.execution.task = "x" * 5 * 1024 * 1024
    script.replying("Get", response)
    assert len((await client.get("x-1")).execution.task) == 5 * 1024 * 1024


async def test_a_client_outlives_its_server(script: Script) -> None:
    async def serve(port: int) -> tuple[grpc.aio.Server, int]:
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((AioScript(script),))
        port = server.add_insecure_port(f"127.0.0.1:{port}")
        await server.start()
        return server, port

    server, port = await serve(0)
    async with Client(f"127.0.0.1:{port}") as client:
        await client.get_status("x-1")
        await server.stop(None)
        with pytest.raises((Unavailable, DeadlineExceeded)):
            await client.within(timedelta(milliseconds=50)).get_status("x-1")
        server, port = await serve(port)
        await client.get_status("x-1")
        await server.stop(None)
    assert len(script.requests) == 2


async def test_nobody_there_is_unavailable(clock: QuickClock) -> None:
    async with Client("127.0.0.1:1", clock=clock) as client:
        with pytest.raises(Unavailable) as caught:
            await client.get_status("x-1")
    assert caught.value.reason == "UNAVAILABLE"
    assert "127.0.0.1:1" in caught.value.message


async def test_a_token_goes_along(address: str, script: Script) -> None:
    async with Client(address, token="secret") as client:
        await client.get_status("x-1")
    assert script.metadata[0]["authorization"] == "Bearer secret"


async def test_a_token_that_changes_is_asked_for_each_call(address: str, script: Script) -> None:
    tokens = iter(["old", "new"])
    async with Client(address, token=lambda: next(tokens)) as client:
        await client.get_status("x-1")
        await client.get_status("x-1")
    assert [each["authorization"] for each in script.metadata] == ["Bearer old", "Bearer new"]


async def test_no_token_is_no_header(client: Client, script: Script) -> None:
    await client.get_status("x-1")
    assert "authorization" not in script.metadata[0]
    assert str(script.metadata[0]["user-agent"]).startswith("phaseline-python/")


@pytest.mark.parametrize("trust", [{"tls": True}, {"ca": b"-----BEGIN CERTIFICATE-----\n"}])
async def test_with_tls_nothing_goes_out_in_the_clear(
    address: str, script: Script, trust: dict[str, object]
) -> None:
    async with Client(address, timeout=timedelta(seconds=0.1), **trust) as client:  # type: ignore[arg-type]
        with pytest.raises((Unavailable, DeadlineExceeded)):
            await client.get_status("x-1")
    assert script.requests == []
