"""Connections to one address that take turns."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import grpc

# Else those of one process to one address would be one connection.
_OPTIONS = (("grpc.use_local_subchannel_pool", 1),)


class Channels:
    """
    So many connections, which look like one channel to a stub.

    Which of the processes that share a port gets a connection is decided when it is made, so
    that of a single one all calls would go to one process.
    """

    def __init__(self, channels: list[grpc.aio.Channel]) -> None:
        self._channels = channels

    def unary_unary(self, *arguments: Any, **options: Any) -> Callable[..., Any]:
        """Return the call, made on each connection in turn."""
        return self._in_turn("unary_unary", arguments, options)

    def unary_stream(self, *arguments: Any, **options: Any) -> Callable[..., Any]:
        """Return the same of a call that answers more than once."""
        return self._in_turn("unary_stream", arguments, options)

    def _in_turn(self, kind: str, arguments: Any, options: Any) -> Callable[..., Any]:
        calls = [getattr(channel, kind)(*arguments, **options) for channel in self._channels]
        turns = itertools.cycle(calls)
        return lambda *asked, **terms: next(turns)(*asked, **terms)


@asynccontextmanager
async def channel_to(address: str, connections: int) -> AsyncIterator[Any]:
    """Give the block a channel to *address* of so many connections."""
    async with AsyncExitStack() as stack:
        channels = [
            await stack.enter_async_context(
                grpc.aio.insecure_channel(address, options=_OPTIONS if connections > 1 else None)
            )
            for _ in range(connections)
        ]
        yield channels[0] if connections == 1 else Channels(channels)
