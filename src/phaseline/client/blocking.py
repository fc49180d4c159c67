"""Runs the client without an event loop: a transport for threads, and what drives coroutines."""

import threading
import time
from collections.abc import Awaitable, Iterator
from typing import Any, Generic, Protocol, TypeVar, cast

import grpc

from phaseline.client.rpcs import Request, Response, Rpc
from phaseline.client.transport import silent
from phaseline.domain.errors import PhaselineError
from phaseline.wire.channel import Endpoint
from phaseline.wire.status import error_of

Answer = TypeVar("Answer", covariant=True)
Result = TypeVar("Result")
Item = TypeVar("Item", covariant=True)

# Not a loop in a thread of its own: grpc.aio serves one event loop for each process, and the
# program may have it. Over this transport nothing ever suspends, so a coroutine runs to its end
# like a function.


class Items(Protocol[Item]):
    """What yields items and can be ended early."""

    def __anext__(self) -> Awaitable[Item]:
        """Return the next item, or raise StopAsyncIteration."""

    def aclose(self) -> Awaitable[None]:
        """End it."""


def run(awaitable: Awaitable[Result]) -> Result:
    """Return what *awaitable* returns, which must not wait for anything but this transport."""
    steps = awaitable.__await__()
    try:
        next(steps)
    except StopIteration as end:
        return cast("Result", end.value)
    steps.close()
    raise RuntimeError("a blocking call must not suspend")


def iterate(items: Items[Result]) -> Iterator[Result]:
    """Yield the *items*, which must not wait for anything but this transport."""
    try:
        while True:
            yield run(anext(items))
    except StopAsyncIteration:
        return
    finally:
        run(items.aclose())


class ThreadClock:
    """The time of a thread, which sleeps in it."""

    def now(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        time.sleep(seconds)  # noqa: ASYNC251 - there is no loop to hold up


class BlockingTransport:
    """Carries calls in whatever thread makes them; any number at once."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._channel = endpoint.blocking_channel()

    async def unary(
        self, rpc: Rpc[Request, Response], request: Request, seconds: float
    ) -> Response:
        method = self._channel.unary_unary(
            rpc.path,
            request_serializer=rpc.request.SerializeToString,
            response_deserializer=rpc.response.FromString,
        )
        try:
            return method(request, timeout=seconds, metadata=self._endpoint.metadata())
        except grpc.RpcError as error:
            failure = error_of(error)
        raise failure

    def stream(self, rpc: Rpc[Request, Response], request: Request) -> "BlockingStream[Response]":
        method = self._channel.unary_stream(
            rpc.path,
            request_serializer=rpc.request.SerializeToString,
            response_deserializer=rpc.response.FromString,
        )
        return BlockingStream(method(request, metadata=self._endpoint.metadata()))

    async def close(self) -> None:
        self._channel.close()


class BlockingStream(Generic[Answer]):
    """The answers of one streaming call, read by a thread."""

    def __init__(self, call: Any) -> None:
        self._call = call

    async def read(self, silence: float) -> Answer | None:
        was_silent = threading.Event()

        def give_up() -> None:
            was_silent.set()
            self._call.cancel()

        watchdog = threading.Timer(silence, give_up)
        watchdog.daemon = True
        watchdog.start()
        try:
            return cast("Answer | None", next(self._call, None))
        except grpc.RpcError as error:
            failure: PhaselineError = silent(silence) if was_silent.is_set() else error_of(error)
        finally:
            watchdog.cancel()
        raise failure

    def cancel(self) -> None:
        self._call.cancel()
