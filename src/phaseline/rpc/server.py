"""The gRPC server: what it listens on, and which handler serves which path."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import grpc
import msgspec

from phaseline.faults import Points
from phaseline.rpc import health
from phaseline.rpc.auth import Anyone, Authenticator
from phaseline.rpc.health import Health
from phaseline.rpc.interceptor import Handler, Interceptor, missing
from phaseline.rpc.methods import METHODS, SERVICES
from phaseline.rpc.reflection import reflection_handlers
from phaseline.rpc.wakeups import read_at_once

_MIB = 1024 * 1024
_MOST_PENDING = 20_000
_OURS = "/phaseline."


class Tls(msgspec.Struct, frozen=True):
    """What proves to clients who the server is, PEM."""

    certificate: bytes
    key: bytes


class Options(msgspec.Struct, frozen=True):
    """How a server listens; a server's settings fill it in."""

    address: str
    tls: Tls | None = None
    #: Others may listen on the same port, and get some of the connections.
    shares_port: bool = False
    max_request_size: int = 16 * _MIB
    #: After this a connection is asked to close, so that new replicas get calls.
    max_connection_age: timedelta = timedelta(minutes=30)
    #: How long calls on it may then go on: at least as long as the longest stream.
    max_connection_grace: timedelta = timedelta(minutes=32)


class CannotListen(Exception):
    """The address is taken, or not one of this machine; the text says which."""


def build_server(
    servicers: Mapping[str, Sequence[object]],
    health_servicer: Health,
    options: Options,
    authenticator: Authenticator | None = None,
    points: Points | None = None,
) -> tuple[grpc.aio.Server, int]:
    """
    Return a server that is not started yet, and the port that it is bound to; 0 for a path.

    *servicers* are by the full name of their service, which several may share; *points* hear of
    their calls. Raises `CannotListen`.
    """
    ours = Interceptor(authenticator or Anyone(), points)
    with read_at_once():
        server = grpc.aio.server(
            handlers=(_Paths(_handlers(servicers, health_servicer, ours)),),
            options=_arguments(options),
            compression=grpc.Compression.NoCompression,
        )
    return server, _listen(server, options)


class _Paths(grpc.GenericRpcHandler):
    """Finds the handler of a call by its path."""

    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        self._handlers = handlers

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Handler | None:
        path = handler_call_details.method
        handler = self._handlers.get(path)
        if handler is None and path.startswith(_OURS):
            return missing(path)
        return handler


def _handlers(
    servicers: Mapping[str, Sequence[object]],
    health_servicer: Health,
    interceptor: Interceptor,
) -> Mapping[str, Handler]:
    anyone = Interceptor(Anyone())
    ours = {
        method.path: interceptor.handler(method, servicers.get(method.service, ()))
        for method in METHODS
    }
    standard = {
        method.path: anyone.handler(method, (health_servicer,)) for method in health.METHODS
    }
    return ours | standard | dict(reflection_handlers((*SERVICES, health.SERVICE)))


def _arguments(options: Options) -> Sequence[tuple[str, Any]]:
    return (
        # On by default: another server could take the same port and half of the calls, unseen.
        ("grpc.so_reuseport", int(options.shares_port)),
        ("grpc.max_receive_message_length", options.max_request_size),
        ("grpc.max_send_message_length", 16 * _MIB),
        # Calls that came in and had no turn yet. Past a thousand, which a pause of seconds may
        # leave behind, gRPC would by default tell more and more callers that they had cancelled.
        ("grpc.server.max_pending_requests", _MOST_PENDING),
        ("grpc.server.max_pending_requests_hard_limit", _MOST_PENDING),
        # Clients may ping while they have no call, and more often than every five minutes;
        # by default that is answered with GOAWAY.
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
        # Finds clients that are gone without a word, and ends their polls and watches.
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.max_connection_age_ms", _milliseconds(options.max_connection_age)),
        ("grpc.max_connection_age_grace_ms", _milliseconds(options.max_connection_grace)),
    )


def _milliseconds(span: timedelta) -> int:
    return span // timedelta(milliseconds=1)


def _listen(server: grpc.aio.Server, options: Options) -> int:
    try:
        if options.tls is None:
            return server.add_insecure_port(options.address)
        credentials = grpc.ssl_server_credentials([(options.tls.key, options.tls.certificate)])
        return server.add_secure_port(options.address, credentials)
    except RuntimeError as error:
        raise CannotListen(
            f"cannot listen on {options.address}: is it taken, or no address of this machine?"
        ) from error
