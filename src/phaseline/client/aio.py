"""The client for asyncio."""

import os
from datetime import timedelta
from types import TracebackType
from typing import Self

from grpc_health.v1 import health_pb2

from phaseline.client import rpcs
from phaseline.client.artifacts import Artifacts
from phaseline.client.calls import DEFAULT_TIMEOUT, Calls
from phaseline.client.controls import Controls
from phaseline.client.executions import Executions
from phaseline.client.listing import Listing
from phaseline.client.pace import Clock, LoopClock
from phaseline.client.transport import AioTransport, Transport
from phaseline.client.watches import Watches
from phaseline.client.workflows import Workflows
from phaseline.wire.channel import DEFAULT_ADDRESS, Token, endpoint


class Client(Executions, Listing, Controls, Watches, Workflows, Artifacts):
    """
    Calls a Phaseline server from asyncio.

    Messages are those of `phaseline.v1`, errors those of `phaseline.domain.errors`. A call ends
    within *timeout*; the method `within` gives another. Until then it is repeated while the server
    is unavailable, a write with the same request_id, so that it happens once.

    *token* is a bearer token, or a function that returns the present one. *ca* is the PEM of the
    certificates to trust, as bytes or as the path of a file, and means TLS; *tls* alone trusts
    those of the system. May be used by many tasks of one event loop at once.
    """

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        *,
        token: Token | None = None,
        timeout: timedelta = DEFAULT_TIMEOUT,
        ca: bytes | str | os.PathLike[str] | None = None,
        tls: bool = False,
        transport: Transport | None = None,
        clock: Clock | None = None,
    ) -> None:
        transport = transport or AioTransport(endpoint(address, token, ca, tls))
        self._calls = Calls(transport, clock or LoopClock(), timeout)

    def within(self, timeout: timedelta) -> "Client":
        """Return a client with another timeout over the same connection, which stays this one's."""
        return Client(timeout=timeout, transport=self._calls.transport, clock=self._calls.clock)

    async def health(self, service: str = "") -> str:
        """
        Return "SERVING", "NOT_SERVING" or "UNKNOWN" for a service, or for the whole server.

        Asks once: a server that does not answer is the answer, and raises `Unavailable`.
        """
        request = health_pb2.HealthCheckRequest(service=service)
        seconds = self._calls.timeout.total_seconds()
        response = await self._calls.transport.unary(rpcs.CHECK_HEALTH, request, seconds)
        return health_pb2.HealthCheckResponse.ServingStatus.Name(response.status)

    async def aclose(self) -> None:
        """Cancel what goes on and hang up."""
        await self._calls.transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()
