"""Runs a program in a session of its own, and leaves nothing of it behind."""

from __future__ import annotations

import asyncio
import errno
import os
import secrets
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen
from typing import IO, Self

from phaseline.worker.failures import HandlerError
from phaseline.worker.handlers.session import MARK, Session, signed
from phaseline.worker.threads import in_thread, to_its_end

Sink = Callable[[bytes], object]

#: How often it is looked whether the last of a session has ended.
_LOOK_EVERY = 0.05
#: How long pipes may stay open once the program has ended and its group is killed: something that
#: left the group may hold them for ever.
_LAST_OUTPUT = 0.5
_CHUNK = 64 * 1024


class Process:
    """A program that runs, with all that it starts."""

    # Not asyncio's: it starts programs on the event loop, which that blocks for milliseconds; its
    # `wait` waits for pipes that a child in the background can hold open for ever; and cancelled
    # in its first moment it can hang, or leave running what the program has started.

    def __init__(
        self, popen: Popen[bytes], mark: str, stdout: Sink, stderr: Sink, grace: float
    ) -> None:
        assert popen.stdout is not None
        assert popen.stderr is not None
        self._popen = popen
        self._session = Session(popen.pid, mark)
        self._stdout = _Pipe(popen.stdout, stdout)
        self._pipes = (self._stdout, _Pipe(popen.stderr, stderr))
        self._exited = _exit_of(popen)
        self._grace = grace

    @classmethod
    async def start(
        cls,
        argv: Sequence[str],
        *,
        cwd: Path,
        environment: Mapping[str, str],
        stdout: Sink,
        stderr: Sink,
        grace: float,
        stdin: Path | None = None,
    ) -> Self:
        """
        Start a program whose output goes to the sinks. Its input is the file *stdin*, or empty.

        Told to stop, it gets *grace* seconds. Raises `OSError` if it cannot be started.
        """
        mark = secrets.token_hex(16)

        def popen() -> Popen[bytes]:
            with ExitStack() as files:
                return Popen(
                    argv,
                    bufsize=0,
                    stdin=DEVNULL if stdin is None else files.enter_context(stdin.open("rb")),
                    stdout=PIPE,
                    stderr=PIPE,
                    cwd=cwd,
                    env={**environment, MARK: signed(mark)},
                    # A group of its own, so that signals reach what it starts, and only that.
                    start_new_session=True,
                )

        starting = asyncio.get_running_loop().run_in_executor(None, popen)
        try:
            return cls(await to_its_end(starting), mark, stdout, stderr, grace)
        except asyncio.CancelledError:
            if starting.exception() is None:
                await cls(starting.result(), mark, stdout, stderr, grace)._stop()
            raise

    def hold_stdout(self) -> None:
        """Read no more of what it prints, so that it has to wait once the pipe is full."""
        self._stdout.hold()

    def go_on_with_stdout(self) -> None:
        """Read again what it prints."""
        self._stdout.go_on()

    @property
    def exit_code(self) -> int | None:
        """How it ended, negative for a signal; None while it runs."""
        return self._popen.returncode

    async def wait(self, *, thoroughly: bool = False) -> int:
        """
        Return the exit code, negative for a signal, once the program has ended.

        What it left running in its group is killed, or if that is to be done *thoroughly* all that
        it has started. Cancelled, it sends everything SIGTERM, and kills it after the grace;
        cancelled once more, it kills it at once.
        """
        try:
            await asyncio.wait([self._exited])
        except asyncio.CancelledError:
            await self._stop()
            raise
        await self._settle(thoroughly=thoroughly)
        return self._exited.result()

    async def _stop(self) -> None:
        gone = asyncio.create_task(self._gone())
        try:
            await in_thread(lambda: self._session.signal(signal.SIGTERM))
            # Not `asyncio.timeout`: this task is being cancelled already, and a second
            # cancellation must not look like the end of the time.
            await asyncio.wait([gone], timeout=0 if _is_cancelled_again() else self._grace)
        finally:
            gone.cancel()
            await self._settle(thoroughly=True)

    async def _gone(self) -> None:
        """Return once nothing runs any more."""
        await asyncio.wait([self._exited])
        while await in_thread(self._session.is_alive):  # noqa: ASYNC110 - nobody tells of the last
            await asyncio.sleep(_LOOK_EVERY)

    async def _settle(self, *, thoroughly: bool) -> None:
        """Kill what still runs, take the last output, and let go of the pipes."""
        self._session.kill_group()
        self._stdout.go_on()
        try:
            if thoroughly:
                await in_thread(self._session.kill)
            await asyncio.wait([self._exited])
            ends = [pipe.end for pipe in self._pipes]
            _, still_open = await asyncio.wait(ends, timeout=_LAST_OUTPUT)
            if still_open:
                await in_thread(self._session.kill)
        finally:
            for pipe in self._pipes:
                pipe.close()


def _is_cancelled_again() -> bool:
    # While the program started, a second cancellation has had nothing to interrupt.
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 1


def not_started(program: str, error: OSError) -> HandlerError:
    """Return why *program* could not be started, as the failure of an attempt."""
    match error.errno:
        case errno.ENOENT:
            return _never(f"there is no program {program!r}", "PROGRAM_NOT_FOUND")
        case errno.EACCES | errno.ENOEXEC | errno.ENOTDIR:
            return _never(f"{program!r} is no program: {error}", "PROGRAM_NOT_EXECUTABLE")
        case errno.E2BIG:
            return _never("arguments and variables are too long", "ARGUMENTS_TOO_LONG")
        case _:
            return HandlerError(str(error), code="PROGRAM_NOT_STARTED")


def _never(message: str, code: str) -> HandlerError:
    return HandlerError(message, code=code, retryable=False)


class _Pipe:
    """The end of a pipe at which a program writes, until nobody has the other end any more."""

    def __init__(self, file: IO[bytes], sink: Sink) -> None:
        self._loop = asyncio.get_running_loop()
        self._file = file
        self._sink = sink
        self.end: asyncio.Future[None] = self._loop.create_future()
        os.set_blocking(file.fileno(), False)
        self.go_on()

    def hold(self) -> None:
        """Leave what is written in the pipe."""
        if not self.end.done():
            self._loop.remove_reader(self._file.fileno())

    def go_on(self) -> None:
        """Take what is written."""
        if not self.end.done():
            self._loop.add_reader(self._file.fileno(), self._read)

    def close(self) -> None:
        """Read no more."""
        if not self.end.done():
            self._loop.remove_reader(self._file.fileno())
            self._file.close()
            self.end.set_result(None)

    def _read(self) -> None:
        with suppress(BlockingIOError):
            chunk = os.read(self._file.fileno(), _CHUNK)
            if chunk:
                self._sink(chunk)
            else:
                self.close()


def _exit_of(popen: Popen[bytes]) -> asyncio.Future[int]:
    """Return how a program ends, once it does."""
    loop = asyncio.get_running_loop()
    exited: asyncio.Future[int] = loop.create_future()

    def reap() -> None:
        if not exited.done():
            exited.set_result(popen.wait())

    def wait() -> None:
        popen.wait()
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(reap)

    try:
        descriptor = os.pidfd_open(popen.pid)
    except (AttributeError, OSError):
        # A kernel without.
        threading.Thread(target=wait, name=f"wait-{popen.pid}", daemon=True).start()
    else:
        loop.add_reader(descriptor, reap)
        exited.add_done_callback(lambda _: _let_go(loop, descriptor))
    return exited


def _let_go(loop: asyncio.AbstractEventLoop, descriptor: int) -> None:
    loop.remove_reader(descriptor)
    os.close(descriptor)
