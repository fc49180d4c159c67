"""The standard health service, computed whenever it is asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from typing import Any

from grpc_health.v1 import health_pb2

from phaseline.domain.errors import NotFound
from phaseline.rpc.call import Call
from phaseline.rpc.interceptor import Answer
from phaseline.rpc.methods import SERVICES, methods_of

# The stubs are of a version without List.
_pb2: Any = health_pb2
_Status = _pb2.HealthCheckResponse

METHODS = tuple(methods_of(_pb2.DESCRIPTOR.services_by_name["Health"]))
SERVICE = METHODS[0].service
# What makes a store available again tells nobody, so a watch looks.
_LOOK_EVERY = 1.0


class Health:
    """
    Says whether the server, or one of its services, takes calls.

    All are well as long as `is_well` says so and nobody has called `drain`.
    """

    def __init__(
        self, is_well: Callable[[], bool], *, services: Iterable[str] = (*SERVICES, SERVICE)
    ) -> None:
        self._is_well = is_well
        self._names = ("", *services)
        self._draining = False
        self._closed = False
        self._news = asyncio.Event()

    def drain(self) -> None:
        """Tell everybody who asks or watches that this server takes no more calls."""
        self._draining = True
        self._tell()

    def close(self) -> None:
        """End all watches, once they have told the last status."""
        self._closed = True
        self._tell()

    async def Check(self, request: health_pb2.HealthCheckRequest, call: Call) -> Answer:
        """Return the status of one service, or of the server as a whole."""
        if request.service not in self._names:
            raise NotFound("service", request.service)
        checked: Answer = _Status(status=self._status())
        return checked

    async def List(self, request: Answer, call: Call) -> Answer:
        """Return the status of every service."""
        status = _Status(status=self._status())
        listed: Answer = _pb2.HealthListResponse(statuses=dict.fromkeys(self._names, status))
        return listed

    async def Watch(
        self, request: health_pb2.HealthCheckRequest, call: Call
    ) -> AsyncGenerator[bytes, None]:
        """Yield the status of one service, now and after each change."""
        is_known, last = request.service in self._names, -1
        while True:
            news = self._news
            status: int = self._status() if is_known else _Status.SERVICE_UNKNOWN
            if status != last:
                message: Answer = _Status(status=status)
                yield message.SerializeToString()
                last = status
            if self._closed:
                return
            await _until(news)

    def _status(self) -> int:
        serving = self._is_well() and not self._draining
        return int(_Status.SERVING if serving else _Status.NOT_SERVING)

    def _tell(self) -> None:
        # A new event each time: one who was writing meanwhile still finds the old one set.
        news, self._news = self._news, asyncio.Event()
        news.set()


async def _until(news: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(_LOOK_EVERY):
            await news.wait()
    except TimeoutError:
        return
