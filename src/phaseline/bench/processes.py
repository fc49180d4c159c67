"""The processes of a measurement: servers, workers, and what they take of the machine."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import grpc

_READY_TIMEOUT = 30.0
_STOP_TIMEOUT = 20.0


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def process(
    *arguments: str, given: str = "", environment: Mapping[str, str] | None = None
) -> AsyncIterator[Process]:
    """Run a Python module beside the block, and end it with SIGTERM."""
    started = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        *arguments,
        stdin=PIPE,
        stdout=DEVNULL,
        env={**os.environ, "PHASELINE_LOG_LEVEL": "warning", **(environment or {})},
    )
    assert started.stdin is not None
    started.stdin.write(given.encode())
    started.stdin.close()
    try:
        yield started
    finally:
        await stop(started)


async def stop(running: Process) -> None:
    """End a process, by SIGKILL if it does not end by itself."""
    if running.returncode is None:
        running.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(_STOP_TIMEOUT):
            await running.wait()
    except TimeoutError:
        running.kill()
        await running.wait()


@asynccontextmanager
async def echo_server(answer: bytes) -> AsyncIterator[str]:
    """Run the ceiling in a process of its own; the block gets its address."""
    port = free_port()
    async with process("phaseline.bench.echo", str(port), given=answer.hex()):
        await ready(f"127.0.0.1:{port}")
        yield f"127.0.0.1:{port}"


@asynccontextmanager
async def server(
    database: str, *, is_dev: bool = False, options: tuple[str, ...] = ()
) -> AsyncIterator[tuple[str, Process]]:
    """Run a server on *database*, with a worker inside if *is_dev*; the block gets its address."""
    address = f"127.0.0.1:{free_port()}"
    command = "dev" if is_dev else "serve"
    arguments = ("phaseline", command, "--listen", address, "--db", database, *options)
    async with process(*arguments) as started:
        await ready(address)
        yield address, started


async def ready(address: str) -> None:
    """Return once *address* takes connections."""
    async with grpc.aio.insecure_channel(address) as channel, asyncio.timeout(_READY_TIMEOUT):
        await channel.channel_ready()


def memory(pid: int) -> int:
    """Return the bytes of memory that a process holds for itself."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise ProcessLookupError(f"there is no process {pid}")


def processor_time(pid: int) -> float:
    """Return the seconds of processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
