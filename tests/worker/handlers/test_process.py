"""A process is waited for and stopped on every kernel."""

import asyncio
import os
from pathlib import Path

import pytest

from phaseline.worker.handlers import session
from phaseline.worker.handlers.process import Process
from tests.support.process import until_gone


class Program:
    """A program, and what it has said."""

    def __init__(self, tmp_path: Path) -> None:
        self._tmp_path = tmp_path
        self.said = bytearray()
        self._has_spoken = asyncio.Event()

    async def start(self, script: str, grace: float = 5, stdin: Path | None = None) -> Process:
        return await Process.start(
            ["sh", "-euc", script],
            cwd=self._tmp_path,
            environment=dict(os.environ),
            stdout=self._hear,
            stderr=self._hear,
            grace=grace,
            stdin=stdin,
        )

    async def says(self) -> int:
        """Return the pid that it says first."""
        await self._has_spoken.wait()
        return int(self.said)

    def _hear(self, data: bytes) -> None:
        self.said += data
        self._has_spoken.set()


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path)


@pytest.fixture(params=["everything", "no pidfd", "no /proc"])
def _kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(pid: int) -> int:
        raise OSError("function not implemented")

    if request.param == "no pidfd":
        monkeypatch.setattr(os, "pidfd_open", missing)
    if request.param == "no /proc":
        monkeypatch.setattr(session, "_HAS_PROCESSES", False)


@pytest.mark.usefixtures("_kernel")
async def test_it_ends_with_its_exit_code_and_all_that_it_said(program: Program) -> None:
    process = await program.start("echo out; echo err >&2; exit 7")

    assert await process.wait() == 7
    assert process.exit_code == 7
    assert sorted(program.said.split()) == [b"err", b"out"]


@pytest.mark.usefixtures("_kernel")
async def test_a_signal_is_a_negative_exit_code(program: Program) -> None:
    process = await program.start("kill -TERM $$")
    assert await process.wait() == -15


@pytest.mark.usefixtures("_kernel")
async def test_cancelled_it_stops_with_what_it_has_started(program: Program) -> None:
    process = await program.start("sleep 600 & echo $!; wait", grace=0.1)
    waiting = asyncio.create_task(process.wait())
    pid = await program.says()

    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    await until_gone(pid)


async def test_cancelled_it_stops_with_what_has_left_its_session(program: Program) -> None:
    process = await program.start("setsid sh -c 'echo $$; exec sleep 600' & wait")
    waiting = asyncio.create_task(process.wait())
    pid = await program.says()

    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    await until_gone(pid)


async def test_it_can_leave_nothing_at_all_behind(program: Program) -> None:
    tool = "echo $$; echo > begun; exec sleep 600 > /dev/null 2>&1"
    process = await program.start(f"mkfifo begun; setsid sh -c '{tool}' & read _ < begun")

    assert await process.wait(thoroughly=True) == 0
    await until_gone(int(program.said))


async def test_its_input_is_a_file(program: Program, tmp_path: Path) -> None:
    (tmp_path / "input").write_text("hello")
    process = await program.start("cat", stdin=tmp_path / "input")

    assert await process.wait() == 0
    assert program.said == b"hello"


async def test_what_is_held_back_is_read_in_the_end(program: Program) -> None:
    process = await program.start("echo held")
    process.hold_stdout()

    assert await process.wait() == 0
    assert program.said == b"held\n"


async def test_what_cannot_be_started_says_why(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await Process.start(
            ["no-such-program"],
            cwd=tmp_path,
            environment={},
            stdout=lambda _: None,
            stderr=lambda _: None,
            grace=5,
        )


async def test_no_descriptor_is_left_open(program: Program) -> None:
    process = await program.start("true")
    await process.wait()
    before = len(os.listdir("/proc/self/fd"))

    for _ in range(5):
        process = await program.start("echo x")
        await process.wait()
    await asyncio.sleep(0)

    assert len(os.listdir("/proc/self/fd")) == before
