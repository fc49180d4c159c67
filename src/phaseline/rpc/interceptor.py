"""
What stands around every RPC: callers are identified, and whatever goes wrong becomes a status.

It is put around the servicers when the server is built and not around each call as it comes in:
gRPC's own interceptors look for the handler anew with every call. Requests are parsed and answers
are written in here too, since what goes wrong there must not reach a client as an exception's text.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing
from typing import Any, NoReturn, Protocol, TypeAlias

import grpc
import structlog

from phaseline import tracing
from phaseline.domain.errors import Internal, PhaselineError, Reason, Unavailable, Unimplemented
from phaseline.faults import Points
from phaseline.rpc.auth import Authenticator
from phaseline.rpc.call import Call, Context, metadata_of
from phaseline.rpc.crashing import with_points
from phaseline.rpc.methods import Method
from phaseline.wire.status import DETAILS_KEY, status_of

log = structlog.stdlib.get_logger(__name__)

_CODES = {code.value[0]: code for code in grpc.StatusCode}


class Answer(Protocol):
    """A message that can be sent."""

    def SerializeToString(self) -> bytes: ...


Unary: TypeAlias = Callable[[Any, Call], Awaitable[Answer]]
#: Yields messages that are encoded already.
Stream: TypeAlias = Callable[[Any, Call], AsyncGenerator[bytes, None]]
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


class Interceptor:
    """Makes the handlers of RPCs."""

    def __init__(self, authenticator: Authenticator, points: Points | None = None) -> None:
        self._authenticator = authenticator
        self._points = points

    def handler(self, method: Method, servicers: Iterable[object]) -> Handler:
        """Return the handler of *method*, answered by the first servicer that has it."""
        for servicer in servicers:
            behaviour = getattr(servicer, method.name, None)
            if behaviour is None:
                continue
            if method.is_stream:
                return self._stream(method, behaviour)
            return self._unary(method, _traced(method, behaviour) if tracing.is_on() else behaviour)
        return missing(method.path)

    def _unary(self, method: Method, behaviour: Unary) -> Handler:
        identify = self._authenticator.identify

        async def handle(body: bytes, context: Context) -> bytes:
            try:
                call = Call(identify(metadata_of(context)), context)
                answer = await behaviour(method.read(body), call)
                return answer.SerializeToString()
            except asyncio.CancelledError as error:
                await _stop(method.path, context, error)
            except Exception as error:  # noqa: BLE001 - the edge: all that is raised ends here
                await _refuse(method.path, context, error)

        if self._points is not None:
            return grpc.unary_unary_rpc_method_handler(with_points(self._points, method, handle))
        return grpc.unary_unary_rpc_method_handler(handle)

    def _stream(self, method: Method, behaviour: Stream) -> Handler:
        identify = self._authenticator.identify

        async def handle(body: bytes, context: Context) -> None:
            try:
                call = Call(identify(metadata_of(context)), context)
                async with aclosing(behaviour(method.read(body), call)) as frames:
                    async for frame in frames:
                        await context.write(frame)
            except asyncio.CancelledError as error:
                await _stop(method.path, context, error)
            except Exception as error:  # noqa: BLE001 - the edge: all that is raised ends here
                await _refuse(method.path, context, error)

        return grpc.unary_stream_rpc_method_handler(handle)


def _traced(method: Method, behaviour: Unary) -> Unary:
    """Return *behaviour* with a span around each call; a stream is no work that has an end."""
    name = method.path[1:]

    async def call(request: Any, call: Call) -> Answer:
        with tracing.span(name, traceparent=call.callers_traceparent, is_call=True):
            return await behaviour(request, call)

    return call


def missing(path: str) -> Handler:
    """Return the handler of an RPC that this server does not have."""

    async def handle(body: bytes, context: Context) -> None:
        await _refuse(path, context, Unimplemented(f"this server has no {path}"))

    # A stream of no messages is what a refusal is, whatever the client expects.
    return grpc.unary_stream_rpc_method_handler(handle)


async def _stop(path: str, context: Context, error: asyncio.CancelledError) -> NoReturn:
    """Pass a cancellation on if it is this call's; else tell the client not to wait."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise error
    # Something that the call waited for was cancelled, and gRPC would leave the client waiting.
    await _refuse(
        path,
        context,
        Unavailable.for_now("the call was stopped, make it again", reason=Reason.DRAINING),
    )


async def _refuse(path: str, context: Context, error: Exception) -> NoReturn:
    request_id = ""
    if isinstance(error, PhaselineError) and not isinstance(error, Internal):
        log.debug("rpc_refused", rpc=path, reason=error.reason, error=error.message)
    else:
        request_id = secrets.token_hex(8)
        log.error("rpc_failed", rpc=path, request_id=request_id, exc_info=error)
    status = status_of(error, request_id=request_id)
    details = ((DETAILS_KEY, status.SerializeToString()),)
    await context.abort(_CODES[status.code], status.message, details)
    raise AssertionError("abort returned")
