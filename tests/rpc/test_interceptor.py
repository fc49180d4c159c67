"""Whatever goes wrong in an RPC, its client gets a status that says no more than it should."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import timedelta

import grpc
import pytest
from structlog.testing import capture_logs

from phaseline.domain.errors import (
    Internal,
    InvalidArgument,
    NotFound,
    OutOfRange,
    PhaselineError,
    Unauthenticated,
    Unavailable,
    Unimplemented,
)
from phaseline.rpc.auth import Identity
from phaseline.rpc.call import Call
from phaseline.v1 import execution_service_pb2 as pb
from tests.support.rpc import Api, refusal, serving

NOT_FOUND = NotFound("execution", "x-1")


class Failing:
    """Ends every call as told, and knows how its own calls ended."""

    def __init__(self) -> None:
        self.error: BaseException = NOT_FOUND
        self.waiting, self.cancelled = asyncio.Event(), asyncio.Event()

    async def GetStatus(self, request: pb.GetStatusRequest, call: Call) -> pb.GetStatusResponse:
        raise self.error

    async def Get(self, request: pb.GetRequest, call: Call) -> pb.GetResponse:
        self.waiting.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()
        return pb.GetResponse()

    async def Watch(self, request: pb.WatchRequest, call: Call) -> AsyncGenerator[bytes, None]:
        yield pb.WatchResponse().SerializeToString()
        try:
            if request.include_descendants:
                await asyncio.Event().wait()
            raise self.error
        finally:
            self.cancelled.set()


@pytest.fixture
def servicer() -> Failing:
    return Failing()


@pytest.fixture
async def api(servicer: Failing) -> AsyncIterator[Api]:
    async with serving({"ExecutionService": servicer}) as served:
        yield served


async def test_our_errors_come_as_themselves(api: Api) -> None:
    error = await refusal(api.executions.GetStatus(pb.GetStatusRequest()))
    assert isinstance(error, NotFound)
    assert (error.reason, error.resource_name) == ("EXECUTION_NOT_FOUND", "x-1")


async def test_what_is_ours_is_no_news_for_the_log(api: Api) -> None:
    with capture_logs() as lines:
        await refusal(api.executions.GetStatus(pb.GetStatusRequest()))
    assert [line["log_level"] for line in lines] == ["debug"]


async def test_the_text_of_any_other_exception_stays_in_the_log(
    api: Api, servicer: Failing
) -> None:
    servicer.error = OSError("/srv/secret is full")
    with capture_logs() as lines:
        error = await refusal(api.executions.GetStatus(pb.GetStatusRequest()))
    assert isinstance(error, Internal)
    assert error.message == "internal error"
    assert [line["request_id"] for line in lines] == [error.metadata["request_id"]]
    assert lines[0]["exc_info"] is servicer.error
    assert lines[0]["rpc"] == "/phaseline.v1.ExecutionService/GetStatus"


async def test_an_error_after_some_frames_ends_the_stream_with_it(
    api: Api, servicer: Failing
) -> None:
    servicer.error = OutOfRange("gone")
    frames = api.executions.Watch(pb.WatchRequest())
    assert await frames.read() == pb.WatchResponse()
    assert isinstance(await refusal(frames.read()), OutOfRange)


async def test_a_wait_that_was_cancelled_here_does_not_hang_the_client(
    api: Api, servicer: Failing
) -> None:
    """gRPC takes a CancelledError for its own, and sends nothing."""
    servicer.error = asyncio.CancelledError()
    error = await refusal(api.executions.GetStatus(pb.GetStatusRequest(), timeout=10))
    assert isinstance(error, Unavailable)
    frames = api.executions.Watch(pb.WatchRequest(), timeout=10)
    await frames.read()
    assert isinstance(await refusal(frames.read()), Unavailable)


async def test_a_client_that_hangs_up_ends_the_call(api: Api, servicer: Failing) -> None:
    call = api.executions.Get(pb.GetRequest())
    waiting = asyncio.ensure_future(call)
    await servicer.waiting.wait()
    call.cancel()
    await servicer.cancelled.wait()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_client_that_hangs_up_ends_the_stream(api: Api, servicer: Failing) -> None:
    frames = api.executions.Watch(pb.WatchRequest(include_descendants=True))
    await frames.read()
    frames.cancel()
    await servicer.cancelled.wait()


async def test_bytes_that_are_no_request_are_the_callers_mistake(api: Api) -> None:
    call = api.raw("/phaseline.v1.ExecutionService/GetStatus")
    error = await refusal(call(b"\xff\xff"))
    assert isinstance(error, InvalidArgument)
    assert error.message == "the request is no phaseline.v1.GetStatusRequest"


@pytest.mark.parametrize(
    "path",
    [
        "/phaseline.v1.ExecutionService/Purge",
        "/phaseline.v1.ExecutionService/Improve",
        "/phaseline.v2.ExecutionService/Get",
    ],
)
async def test_what_this_server_lacks_is_unimplemented(api: Api, path: str) -> None:
    error = await refusal(api.raw(path)(b""))
    assert isinstance(error, Unimplemented)
    assert (error.reason, error.message) == ("UNIMPLEMENTED", f"this server has no {path}")


async def test_a_stream_that_this_server_lacks_is_unimplemented(api: Api) -> None:
    frames = api.executions.WatchActive(pb.WatchActiveRequest())
    assert isinstance(await refusal(frames.read()), Unimplemented)


async def test_services_of_others_are_left_to_grpc(api: Api) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await api.raw("/other.v1.Service/Method")(b"")
    assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED


class Refusing:
    """Takes nobody."""

    def identify(self, metadata: object) -> Identity:
        raise Unauthenticated("nobody is known")


async def test_a_stranger_is_told_so_before_anything_else(servicer: Failing) -> None:
    async with serving({"ExecutionService": servicer}, authenticator=Refusing()) as api:
        answers = [
            refusal(api.executions.GetStatus(pb.GetStatusRequest())),
            refusal(api.executions.Watch(pb.WatchRequest()).read()),
            refusal(api.raw("/phaseline.v1.ExecutionService/Get")(b"\xff")),
        ]
        errors = await asyncio.gather(*answers)
    assert {type(error) for error in errors} == {Unauthenticated}


async def test_an_error_tells_how_long_to_wait(api: Api, servicer: Failing) -> None:
    servicer.error = Unavailable("the store is away", retry_after=timedelta(seconds=2))
    error: PhaselineError = await refusal(api.executions.GetStatus(pb.GetStatusRequest()))
    assert error.retry_after == timedelta(seconds=2)
