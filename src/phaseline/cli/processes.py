"""Several servers on one port, as processes that are started again if they die."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress

import structlog

from phaseline.cli.failures import ExitCode, Refused

log = structlog.stdlib.get_logger(__name__)

#: Tells a process that it is one of several: it shares the port, and ends with its parent.
ONE_OF_MANY = "PHASELINE_ONE_OF_MANY"
_COMMAND = (sys.executable, "-m", "phaseline", "serve")

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
# One that lived so long did not die of how it was started.
_HEALTHY_SECONDS = 10.0


class Address:
    """A port that is kept for the processes to come, and that nobody else listens on."""

    def __init__(self, listen: str) -> None:
        host, _, port = listen.rpartition(":")
        self._socket = _bound(listen, host.strip("[]"), int(port))
        self.listen = f"{host}:{self._socket.getsockname()[1]}"

    def close(self) -> None:
        """Keep it no more."""
        self._socket.close()


class Processes:
    """So many servers; each that dies is started again until they are told to stop."""

    def __init__(
        self, count: int, settings: Mapping[str, str], command: Sequence[str] = _COMMAND
    ) -> None:
        self._count, self._command = count, command
        self._environment = {**os.environ, **settings, ONE_OF_MANY: "1"}
        self._running: set[asyncio.subprocess.Process] = set()
        self._stopping = asyncio.Event()
        self._were_healthy = False
        self._code = int(ExitCode.OK)

    async def run(self) -> int:
        """Return once they were told to stop and have, or could not be started: the exit code."""
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._stop, number)
        try:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(self._count):
                    tasks.create_task(self._keep())
        finally:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)
        return self._code

    async def _keep(self) -> None:
        """Keep one of them running."""
        loop = asyncio.get_running_loop()
        pause = _FIRST_PAUSE
        while not self._stopping.is_set():
            began = loop.time()
            code = await self._run_once()
            if self._stopping.is_set():
                return
            if loop.time() - began > _HEALTHY_SECONDS:
                self._were_healthy, pause = True, _FIRST_PAUSE
            if code == ExitCode.PRECONDITION and not self._were_healthy:
                # It has said why, and would say it again.
                self._code = code
                self._stop(signal.SIGTERM)
                return
            log.warning("server process ended", code=code, again_in_seconds=pause)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stopping.wait()
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _run_once(self) -> int:
        process = await asyncio.create_subprocess_exec(
            *self._command,
            env=self._environment,
            # Closed when this process ends, however that happens: they end with it.
            stdin=asyncio.subprocess.PIPE,
            # Of its own, as Ctrl-C reaches all of a group, and two signals end them at once.
            start_new_session=True,
        )
        self._running.add(process)
        if self._stopping.is_set():
            process.terminate()
        try:
            return await process.wait()
        finally:
            self._running.discard(process)

    def _stop(self, number: signal.Signals) -> None:
        """Pass a signal on; after the first one none is started again."""
        self._stopping.set()
        for process in self._running:
            with suppress(ProcessLookupError):
                process.send_signal(number)


def _bound(listen: str, host: str, port: int) -> socket.socket:
    if not hasattr(socket, "SO_REUSEPORT"):
        raise Refused("processes cannot share a port on this system")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            # Those that share a port would let us in, whoever they are.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
        kept = socket.socket(family)
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        kept.bind((host, port))
    except OSError as error:
        raise Refused(
            f"cannot listen on {listen}: {error.strerror}", code=ExitCode.PRECONDITION
        ) from None
    return kept


def is_one_of_many() -> bool:
    """Whether this process is one of several that a parent runs."""
    return bool(os.environ.get(ONE_OF_MANY))


def end_with_parent() -> None:
    """Have this process told to stop once the parent that runs it and others is gone."""
    loop, stdin = asyncio.get_running_loop(), sys.stdin.fileno()

    def end() -> None:
        # Once: a second signal would not let running calls end.
        loop.remove_reader(stdin)
        os.kill(os.getpid(), signal.SIGTERM)

    loop.add_reader(stdin, end)
