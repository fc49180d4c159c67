"""The client for programs without asyncio."""

import os
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from functools import update_wrapper
from types import TracebackType
from typing import Concatenate, ParamSpec, Self, TypeVar

from phaseline.client.aio import Client
from phaseline.client.blocking import BlockingTransport, Items, ThreadClock, iterate, run
from phaseline.client.calls import DEFAULT_TIMEOUT
from phaseline.client.pace import Clock
from phaseline.client.transport import Transport
from phaseline.wire.channel import DEFAULT_ADDRESS, Token, endpoint

Given = ParamSpec("Given")
Result = TypeVar("Result")


def _blocking(
    method: Callable[Concatenate[Client, Given], Awaitable[Result]],
) -> Callable[Concatenate["SyncClient", Given], Result]:
    def call(client: "SyncClient", /, *args: Given.args, **kwargs: Given.kwargs) -> Result:
        return run(method(client._client, *args, **kwargs))

    update_wrapper(call, method)
    return call


def _iterating(
    method: Callable[Concatenate[Client, Given], Items[Result]],
) -> Callable[Concatenate["SyncClient", Given], Iterator[Result]]:
    def call(
        client: "SyncClient", /, *args: Given.args, **kwargs: Given.kwargs
    ) -> Iterator[Result]:
        return iterate(method(client._client, *args, **kwargs))

    update_wrapper(call, method)
    return call


class SyncClient:
    """
    Calls a Phaseline server from threads; see `Client`, whose methods these are.

    May be used by many threads at once, but each iterator by one at a time.
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
        self._client = Client(
            timeout=timeout,
            transport=transport or BlockingTransport(endpoint(address, token, ca, tls)),
            clock=clock or ThreadClock(),
        )

    def within(self, timeout: timedelta) -> "SyncClient":
        """Return a client with another timeout over the same connection, which stays this one's."""
        calls = self._client._calls
        return SyncClient(timeout=timeout, transport=calls.transport, clock=calls.clock)

    execute = _blocking(Client.execute)
    execute_batch = _blocking(Client.execute_batch)
    get_status = _blocking(Client.get_status)
    get = _blocking(Client.get)
    wait = _blocking(Client.wait)
    list = _blocking(Client.list)
    iter_executions = _iterating(Client.iter_executions)
    list_active = _blocking(Client.list_active)
    list_operations = _blocking(Client.list_operations)
    iter_operations = _iterating(Client.iter_operations)
    get_nesting = _blocking(Client.get_nesting)
    watch = _iterating(Client.watch)
    watch_active = _iterating(Client.watch_active)
    cancel = _blocking(Client.cancel)
    pause = _blocking(Client.pause)
    resume = _blocking(Client.resume)
    retry = _blocking(Client.retry)
    purge = _blocking(Client.purge)
    apply_workflow = _blocking(Client.apply_workflow)
    get_workflow = _blocking(Client.get_workflow)
    list_workflows = _blocking(Client.list_workflows)
    iter_workflows = _iterating(Client.iter_workflows)
    get_artifact = _blocking(Client.get_artifact)
    list_artifacts = _blocking(Client.list_artifacts)
    iter_artifacts = _iterating(Client.iter_artifacts)
    health = _blocking(Client.health)
    close = _blocking(Client.aclose)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
