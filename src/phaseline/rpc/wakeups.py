"""Reading many at a time of the bytes that gRPC wakes the event loop with."""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_MOST = 4096
#: Looking is two calls of the system. A socket that one long turn has filled is empty again after
#: so many.
_EVERY = 8


@contextmanager
def read_at_once() -> Iterator[None]:
    """
    Let what is made of gRPC within the block read its wake-ups many at a time.

    A thread of gRPC writes a byte to a socket for each event, and the loop handles all events
    there are, but reads one byte in each turn. Some hundred unread bytes fill the socket. Then the
    thread waits, each turn brings one event, and a call that comes in stands behind all writes to
    all watchers: after a pause of seconds beside a thousand of them that never ended by itself.
    """
    loop = asyncio.get_running_loop()
    add_reader = loop.add_reader

    def add(reader: Any, callback: Callable[..., object], *args: Any) -> None:
        if isinstance(reader, socket.socket):
            callback = _emptying(reader, callback)
        add_reader(reader, callback, *args)

    loop.add_reader = add  # type: ignore[assignment,method-assign]
    try:
        yield
    finally:
        del loop.add_reader


def _emptying(reader: socket.socket, callback: Callable[..., object]) -> Callable[..., object]:
    """Return *callback*, called now and then with one byte left to read in *reader*."""
    turns = itertools.count()

    def call(*args: Any) -> None:
        if next(turns) % _EVERY == 0:
            # An event is there before its byte is. So none is missed, whatever comes meanwhile.
            waiting = len(reader.recv(_MOST, socket.MSG_PEEK))
            if waiting > 1:
                reader.recv(waiting - 1)
        callback(*args)

    return call
