"""A server that answers as a test wrote down beforehand, and a clock that takes no time."""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import grpc
from google.protobuf.message import Message

from phaseline.client import rpcs
from phaseline.domain.errors import PhaselineError
from phaseline.v1 import execution_service_pb2, watch_pb2
from phaseline.wire.status import DETAILS_KEY, status_of

RPCS = {each.path: each for each in vars(rpcs).values() if isinstance(each, rpcs.Rpc)}
CODES: dict[int, grpc.StatusCode] = {each.value[0]: each for each in grpc.StatusCode}


class Hang:
    """Where nothing more is said, without an end."""


Reply = Message | PhaselineError | grpc.StatusCode | Hang
Frame = watch_pb2.WatchFrame
#: Of a stream; at an event it waits for the test.
Step = Reply | asyncio.Event


class QuickClock:
    """A clock that a sleep moves at once."""

    def __init__(self, on_sleep: Callable[[], Awaitable[object]] | None = None) -> None:
        self.time = 1000.0
        self.sleeps: list[float] = []
        self._on_sleep = on_sleep

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds
        self.sleeps.append(seconds)
        if self._on_sleep is not None:
            await self._on_sleep()


class Script:
    """What is answered, by name of the RPC, and what was asked."""

    def __init__(self) -> None:
        #: Answers in order; without any left, an empty one.
        self.replies: defaultdict[str, deque[Reply]] = defaultdict(deque)
        #: One list for each stream; without any left, it hangs.
        self.streams: deque[list[Step]] = deque()
        self.requests: list[Any] = []
        self.methods: list[str] = []
        self.metadata: list[dict[str, str | bytes]] = []
        self.seconds_left: list[float] = []

    def replying(self, method: str, *replies: Reply) -> None:
        """Answer *method* so, from now on."""
        self.replies[method].extend(replies)

    def streaming(self, *steps: Step) -> None:
        """Answer the next watch so, and end it well unless the last step says otherwise."""
        self.streams.append(list(steps))

    def asked(self, method: str, request: Message, context: Any) -> None:
        self.methods.append(method)
        self.requests.append(request)
        self.metadata.append(dict(context.invocation_metadata()))
        self.seconds_left.append(context.time_remaining() or 0.0)

    def next_reply(self, method: str, empty: type[Message]) -> Reply:
        return self.replies[method].popleft() if self.replies[method] else empty()

    def next_stream(self) -> list[Step]:
        return self.streams.popleft() if self.streams else [Hang()]


def failure(reply: Step) -> tuple[grpc.StatusCode, str, tuple[tuple[str, bytes], ...]] | None:
    """Return what to abort a call with; None for a reply that is no failure."""
    if isinstance(reply, grpc.StatusCode):
        return reply, "said the proxy", ()
    if isinstance(reply, PhaselineError):
        status = status_of(reply, request_id="r-1")
        trailer = (DETAILS_KEY, status.SerializeToString())
        return CODES[status.code], status.message, (trailer,)
    return None


class AioScript(grpc.GenericRpcHandler):
    """Plays a script on a grpc.aio server."""

    def __init__(self, script: Script) -> None:
        self._script = script

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        rpc = RPCS[details.method]
        name = details.method.rpartition("/")[2]

        async def answer(request: Message, context: grpc.aio.ServicerContext[Any, Any]) -> Message:
            self._script.asked(name, request, context)
            reply = self._script.next_reply(name, rpc.response)
            if isinstance(reply, Hang):
                await asyncio.Event().wait()
            if failed := failure(reply):
                await context.abort(*failed)
            assert isinstance(reply, Message)
            return reply

        async def watch(
            request: Message, context: grpc.aio.ServicerContext[Any, Any]
        ) -> AsyncIterator[Message]:
            self._script.asked(name, request, context)
            for step in self._script.next_stream():
                if isinstance(step, Hang):
                    await asyncio.Event().wait()
                elif isinstance(step, asyncio.Event):
                    await step.wait()
                elif isinstance(step, Frame):
                    yield framed(name, step)
                elif failed := failure(step):
                    await context.abort(*failed)

        return handler_of(rpc, unary=answer, stream=watch)


class ThreadScript(grpc.GenericRpcHandler):
    """Plays a script on a server of threads."""

    def __init__(self, script: Script) -> None:
        self._script = script

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        rpc = RPCS[details.method]
        name = details.method.rpartition("/")[2]

        def answer(request: Message, context: grpc.ServicerContext) -> Message:
            self._script.asked(name, request, context)
            reply = self._script.next_reply(name, rpc.response)
            if isinstance(reply, Hang):
                until_ended(context)
            if failed := failure(reply):
                code, message, trailers = failed
                context.set_trailing_metadata(trailers)
                context.abort(code, message)
            return reply if isinstance(reply, Message) else rpc.response()

        def watch(request: Message, context: grpc.ServicerContext) -> Iterator[Message]:
            self._script.asked(name, request, context)
            for step in self._script.next_stream():
                if isinstance(step, Hang):
                    until_ended(context)
                elif isinstance(step, Frame):
                    yield framed(name, step)
                elif failed := failure(step):
                    code, message, trailers = failed
                    context.set_trailing_metadata(trailers)
                    context.abort(code, message)

        return handler_of(rpc, unary=answer, stream=watch)


def until_ended(context: grpc.ServicerContext) -> None:
    """Return once the client has given the call up."""
    ended = threading.Event()
    if context.add_callback(ended.set):
        ended.wait()


def handler_of(
    rpc: rpcs.Rpc[Any, Any], *, unary: Callable[..., Any], stream: Callable[..., Any]
) -> grpc.RpcMethodHandler[Any, Any]:
    """Return the handler of *rpc*, a stream for the two watches."""
    make, behaviour = grpc.unary_unary_rpc_method_handler, unary
    if rpc in (rpcs.WATCH, rpcs.WATCH_ACTIVE):
        make, behaviour = grpc.unary_stream_rpc_method_handler, stream
    return make(
        behaviour,
        request_deserializer=rpc.request.FromString,
        response_serializer=rpc.response.SerializeToString,
    )


def framed(method: str, frame: Frame) -> Message:
    """Return the answer of a watch that carries *frame*."""
    if method == "Watch":
        return execution_service_pb2.WatchResponse(frame=frame)
    return execution_service_pb2.WatchActiveResponse(frame=frame)
