"""The processes of a measurement: servers, workers, watchers, and what they take of the machine."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

_READY_TIMEOUT = 60.0
_READY_LOOK = 0.002
_STOP_TIMEOUT = 20.0
# Where the system tells which sockets there are, and of those that take connections.
_SOCKETS, _LISTENS = (Path("/proc/net/tcp"), Path("/proc/net/tcp6")), "0A"
_LINE_LIMIT = 1 << 26


class ProcessFailed(Exception):
    """A process ended too soon or does not answer; the text ends with its last words."""


class Running:
    """A Python module that runs as a process."""

    def __init__(self, name: str, process: Process, log: IO[bytes]) -> None:
        self._name = name
        self._process = process
        self._log = log

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def memory(self) -> int:
        """The bytes of memory that it holds; Linux only."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise self.failed("ended")

    @property
    def processor_time(self) -> float:
        """The seconds of processor time that it and its children have used; Linux only."""
        return sum(_processor_time(pid) for pid in (self.pid, *_children(self.pid)))

    @property
    def has_ended(self) -> bool:
        return self._process.returncode is not None

    async def say(self, line: str) -> None:
        """Write a line to its stdin."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())
        await self._process.stdin.drain()

    async def hear(self) -> str:
        """Return the next line of its stdout; raise `ProcessFailed` if there are no more."""
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            await self._process.wait()
            raise self.failed("ended")
        return line.decode()

    async def ended(self) -> int:
        """Return its exit code, once it has ended however it came to."""
        return await self._process.wait()

    async def done(self) -> None:
        """Return once it has ended by itself; raise `ProcessFailed` if it says that it failed."""
        if await self._process.wait() != 0:
            raise self.failed("failed")

    async def kill(self) -> None:
        """End it as a power cut would."""
        self._process.kill()
        await self._process.wait()

    async def stop(self) -> None:
        """End it by SIGTERM, or by SIGKILL if that takes too long."""
        if not self.has_ended:
            self._process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_STOP_TIMEOUT):
                await self._process.wait()
        except TimeoutError:
            await self.kill()

    def failed(self, how: str) -> ProcessFailed:
        """Return the error that says *how* it failed, and the last line of its stderr."""
        self._log.seek(0)
        said = self._log.read().decode(errors="replace").split("\n")
        last = [line for line in said if line.strip(" |+-")][-1:] or ["it said nothing"]
        return ProcessFailed(f"{self._name} {how}: {last[0].strip()}")


@asynccontextmanager
async def process(
    *arguments: str, given: str | None = None, environment: Mapping[str, str] | None = None
) -> AsyncIterator[Running]:
    """
    Run a Python module with arguments beside the block.

    With *given*, that is all of its stdin; without, the block may talk with it. *environment* adds
    to what it has from here.
    """
    with tempfile.TemporaryFile() as log:
        started = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", *arguments),
            stdin=PIPE,
            stdout=PIPE if given is None else DEVNULL,
            stderr=log,
            limit=_LINE_LIMIT,
            env={**os.environ, "PHASELINE_LOG_LEVEL": "warning", **(environment or {})},
        )
        running = Running(" ".join(arguments[:2]), started, log)
        assert started.stdin is not None
        if given is not None:
            started.stdin.write(given.encode())
            started.stdin.close()
        try:
            yield running
        finally:
            await running.stop()


@asynccontextmanager
async def echo_server(answer: bytes) -> AsyncIterator[str]:
    """Run the ceiling in a process of its own; the block gets its address."""
    port = free_port()
    async with process("phaseline.bench.echo", str(port), given=answer.hex()) as echo:
        await listening(port, echo)
        yield f"127.0.0.1:{port}"


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def listening(port: int, server: Running, processes: int = 1) -> None:
    """
    Return once *server* takes connections, with so many *processes* if it has several.

    Raises `ProcessFailed` if it never does.
    """
    try:
        async with asyncio.timeout(_READY_TIMEOUT):
            while not await _accepts(port) or (processes > 1 and listeners(port) < processes):
                if server.has_ended:
                    raise server.failed("ended")
                await asyncio.sleep(_READY_LOOK)
    except TimeoutError:
        raise server.failed("does not listen") from None


def _processor_time(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _children(pid: int) -> list[int]:
    return [
        int(child)
        for thread in Path(f"/proc/{pid}/task").iterdir()
        for child in (thread / "children").read_text().split()
    ]


def listeners(port: int) -> int:
    """Return how many sockets listen on a port of this machine."""
    lines = [line.split() for path in _SOCKETS if path.exists() for line in _lines(path)]
    return sum(state == _LISTENS and _port_of(name) == port for _, name, _, state, *_ in lines)


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def _port_of(name: str) -> int:
    return int(name.rpartition(":")[2], 16)


async def _accepts(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
