"""What carries the client's calls: a port, and the asyncio side of it."""

import asyncio
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar, cast

import grpc

from phaseline.client.rpcs import Request, Response, Rpc
from phaseline.domain.errors import PhaselineError, Unavailable
from phaseline.wire.channel import Endpoint
from phaseline.wire.status import error_of

Answer = TypeVar("Answer", covariant=True)


class Stream(Protocol[Answer]):
    """The answers of one streaming call. Errors are ours, never gRPC's."""

    async def read(self, silence: float) -> Answer | None:
        """Return the next answer, or None at a good end; `Unavailable` after *silence* seconds."""

    def cancel(self) -> None:
        """End the call if it still goes on."""


class Transport(Protocol):
    """Carries calls. Errors are ours, never gRPC's."""

    async def unary(
        self, rpc: Rpc[Request, Response], request: Request, seconds: float
    ) -> Response:
        """Call once, for that many *seconds* at most."""

    def stream(self, rpc: Rpc[Request, Response], request: Request) -> Stream[Response]:
        """Call for a stream of answers."""

    async def close(self) -> None:
        """Cancel what goes on and hang up."""


class AioTransport:
    """Carries calls in one event loop. Connects with the first of them."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._channel: grpc.aio.Channel | None = None
        self._methods: dict[str, Callable[..., Any]] = {}

    async def unary(
        self, rpc: Rpc[Request, Response], request: Request, seconds: float
    ) -> Response:
        method = self._methods.get(rpc.path) or self._unary_method(rpc)
        try:
            return cast(
                "Response",
                await method(request, timeout=seconds, metadata=self._endpoint.metadata()),
            )
        except grpc.RpcError as error:
            failure = error_of(error)
        raise failure

    def stream(self, rpc: Rpc[Request, Response], request: Request) -> "AioStream[Response]":
        method = self._open().unary_stream(
            rpc.path,
            request_serializer=rpc.request.SerializeToString,
            response_deserializer=rpc.response.FromString,
        )
        return AioStream(method(request, metadata=self._endpoint.metadata()))

    async def close(self) -> None:
        if self._channel is not None:
            await self._channel.close()

    def _unary_method(self, rpc: Rpc[Request, Response]) -> Callable[..., Any]:
        method = self._open().unary_unary(
            rpc.path,
            request_serializer=rpc.request.SerializeToString,
            response_deserializer=rpc.response.FromString,
        )
        self._methods[rpc.path] = method
        return method

    def _open(self) -> grpc.aio.Channel:
        # Not in the constructor: a channel belongs to the loop that runs when it is made.
        if self._channel is None:
            self._channel = self._endpoint.aio_channel()
        return self._channel


class AioStream(Generic[Answer]):
    """The answers of one streaming call, read in an event loop."""

    def __init__(self, call: grpc.aio.UnaryStreamCall[Any, Answer]) -> None:
        self._call = call

    async def read(self, silence: float) -> Answer | None:
        try:
            async with asyncio.timeout(silence):
                answer = await self._call.read()
        except TimeoutError:
            failure: PhaselineError = silent(silence)
        except grpc.RpcError as error:
            failure = error_of(error)
        else:
            return None if answer is grpc.aio.EOF else cast("Answer", answer)
        raise failure

    def cancel(self) -> None:
        self._call.cancel()


def silent(seconds: float) -> Unavailable:
    """Return the error of a stream that is dead, since it said nothing for too long."""
    return Unavailable(f"the stream was silent for {seconds:g} s", reason="UNAVAILABLE")
