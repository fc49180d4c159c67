"""How clients and workers reach a server: address, credentials and channel options."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import grpc

from phaseline import __version__

DEFAULT_ADDRESS: Final = "127.0.0.1:7171"

Token = str | Callable[[], str]

_OPTIONS: Final[tuple[tuple[str, int | str], ...]] = (
    # An answer stays below 4 MiB, gRPC's default; more room costs nothing and outlives that rule.
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
    # Finds a dead connection below a call. Without calls there is nothing to lose, and a ping
    # would earn a GOAWAY from servers and proxies that count those.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 0),
    # gRPC's own are 1 s and 120 s: leases would end before it noticed that the server is back.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # One name may stand for several replicas. Not the service config that we ship: it would repeat
    # calls below our repeats, and hide from `health` the server that says it is not serving.
    ("grpc.service_config", json.dumps({"loadBalancingConfig": [{"round_robin": {}}]})),
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server, and what it takes to talk to it."""

    address: str = DEFAULT_ADDRESS
    #: Bearer token of each call; a function is asked for each.
    token: Token | None = field(default=None, repr=False)
    #: PEM of the certificates to trust, instead of those of the system. Means TLS.
    ca: bytes | None = None
    tls: bool = False
    #: What the server is told of who calls.
    agent: str = "phaseline-python"

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Return the headers of a call."""
        token = self.token() if callable(self.token) else self.token
        return (("authorization", f"Bearer {token}"),) if token else ()

    def aio_channel(self) -> grpc.aio.Channel:
        """Open a channel for the running event loop."""
        credentials = self._credentials()
        if credentials is None:
            return grpc.aio.insecure_channel(self.address, self._options)
        return grpc.aio.secure_channel(self.address, credentials, self._options)

    def blocking_channel(self) -> grpc.Channel:
        """Open a channel for threads."""
        credentials = self._credentials()
        if credentials is None:
            return grpc.insecure_channel(self.address, self._options)
        return grpc.secure_channel(self.address, credentials, self._options)

    @property
    def _options(self) -> tuple[tuple[str, int | str], ...]:
        return (("grpc.primary_user_agent", f"{self.agent}/{__version__}"), *_OPTIONS)

    def _credentials(self) -> grpc.ChannelCredentials | None:
        if self.ca is None and not self.tls:
            return None
        return grpc.ssl_channel_credentials(self.ca)


def endpoint(
    address: str, token: Token | None, ca: bytes | str | os.PathLike[str] | None, tls: bool
) -> Endpoint:
    """Return the endpoint; *ca* is the PEM itself as bytes, or the path of its file."""
    pem = ca if isinstance(ca, bytes) or ca is None else Path(ca).read_bytes()
    return Endpoint(address, token, pem, tls)
