"""Calls with a deadline, repeated while that helps."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Protocol, TypeVar
from uuid import uuid4

from phaseline.client.pace import Backoff, Clock, is_worth_repeating
from phaseline.client.rpcs import Request, Response, Rpc
from phaseline.client.transport import Transport
from phaseline.domain.errors import PhaselineError


class _Page(Protocol):
    next_page_token: str


Page = TypeVar("Page", bound=_Page)

DEFAULT_TIMEOUT = timedelta(seconds=30)


class Calls:
    """
    Makes calls that may be repeated: reads, and writes that carry a request_id.

    May be used concurrently.
    """

    def __init__(self, transport: Transport, clock: Clock, timeout: timedelta) -> None:
        self.transport = transport
        self.clock = clock
        self.timeout = timeout

    async def call(
        self, rpc: Rpc[Request, Response], request: Request, within: timedelta | None = None
    ) -> Response:
        """
        Return the answer, *within* that time over all attempts; the client's own if None.

        Raises what the last attempt raised, at once if the time left is too short for another.
        """
        backoff = Backoff()
        deadline = self.clock.now() + (self.timeout if within is None else within).total_seconds()
        while True:
            try:
                return await self.transport.unary(rpc, request, deadline - self.clock.now())
            except PhaselineError as error:
                if not is_worth_repeating(error):
                    raise
                delay = backoff.after(error)
                if self.clock.now() + delay >= deadline:
                    raise
            await self.clock.sleep(delay)


def new_request_id() -> str:
    """Return an idempotency key that nobody else has."""
    return uuid4().hex


async def pages(read: Callable[[str], Awaitable[Page]]) -> AsyncIterator[Page]:
    """Yield what *read* returns for each page token, the first of which is empty."""
    page = await read("")
    yield page
    while page.next_page_token:
        page = await read(page.next_page_token)
        yield page
