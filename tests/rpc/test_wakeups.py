"""How gRPC wakes the event loop."""

from __future__ import annotations

import asyncio
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from phaseline.rpc.wakeups import read_at_once

_MAKES_A_SERVER = """
import asyncio
from phaseline.rpc.health import Health
from phaseline.rpc.server import Options, build_server

async def main():
    read, loop = [], asyncio.get_running_loop()
    loop._add_reader = lambda reader, call, *args: read.append(call)
    build_server({}, Health(bool), Options("127.0.0.1:0"))
    print(*(call.__module__ for call in read))

asyncio.run(main())
"""


def _readable(ours: socket.socket) -> list[int]:
    return [each.fileno() for each in select.select([ours], [], [], 0)[0]]


@contextmanager
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        yield ours, theirs


@pytest.mark.parametrize("waiting", [1, 2, 500])
async def test_all_but_the_byte_that_its_reader_reads_are_taken(waiting: int) -> None:
    loop = asyncio.get_running_loop()
    woken: asyncio.Queue[bytes] = asyncio.Queue()
    with pair() as (ours, theirs):
        with read_at_once():
            loop.add_reader(ours, lambda: woken.put_nowait(ours.recv(1000)))
        theirs.send(b"." * waiting)
        assert await woken.get() == b"."
        loop.remove_reader(ours)


async def test_what_gathers_later_is_taken_within_a_few_turns() -> None:
    loop = asyncio.get_running_loop()
    woken: asyncio.Queue[bytes] = asyncio.Queue()
    with pair() as (ours, theirs):
        with read_at_once():
            loop.add_reader(ours, lambda: woken.put_nowait(ours.recv(1)))
        theirs.send(b".")
        await woken.get()
        theirs.send(b"." * 200)
        read = [await woken.get()]
        # One is left to read each time, and only what comes next ends the wait.
        while ours.fileno() in _readable(ours):
            read.append(await woken.get())
        loop.remove_reader(ours)
    assert 1 < len(read) <= 9


async def test_readers_of_others_are_left_alone() -> None:
    loop = asyncio.get_running_loop()
    woken: asyncio.Queue[bytes] = asyncio.Queue()
    with read_at_once():
        pass
    with pair() as (ours, theirs):
        loop.add_reader(ours, lambda: woken.put_nowait(ours.recv(1000)))
        theirs.send(b"..")
        assert await woken.get() == b".."
        loop.remove_reader(ours)


def test_a_server_reads_so() -> None:
    """In a process of its own, since gRPC adds its reader to a loop once."""
    made = subprocess.run(
        [sys.executable, "-c", _MAKES_A_SERVER], capture_output=True, text=True, check=True
    )
    assert made.stdout.split() == ["phaseline.rpc.wakeups"]
