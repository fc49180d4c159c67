"""A program ends when it is told to, with all that it has started."""

import asyncio
import os
import signal
import time
from datetime import timedelta
from pathlib import Path

import pytest

from phaseline.domain.failure import FailureKind
from phaseline.domain.payload import Payload
from phaseline.worker.handlers.command import CommandHandler
from tests.support.command import Command, Ran, python
from tests.support.process import is_alive, until_gone, until_there
from tests.support.worker import Rig


class TestStopping:
    async def begun(self, ran: Ran, pid_file: Path) -> tuple[asyncio.Task[Payload], list[int]]:
        """Run a script that writes pids, and return those."""
        task = asyncio.create_task(ran.run())
        return task, [int(pid) for pid in (await until_there(pid_file)).split()]

    async def stopped(self, task: asyncio.Task[Payload]) -> None:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    async def test_cancelling_ends_the_program_and_all_that_it_has_started(
        self, sh: Command, tmp_path: Path, directory: Path
    ) -> None:
        pids = tmp_path / "pids"
        ran = sh(f"sleep 600 & sh -c 'sleep 600 & echo $$ $! ; wait' > {pids} & wait")
        task, started = await self.begun(ran, pids)
        assert all(is_alive(pid) for pid in started)

        await self.stopped(task)

        for pid in started:
            await until_gone(pid)
        assert os.listdir(directory) == []
        assert ran.operation.success is False

    async def test_a_program_that_is_told_to_stop_may_clean_up(
        self, sh: Command, tmp_path: Path
    ) -> None:
        pids, cleaned = tmp_path / "pids", tmp_path / "cleaned"
        task, _ = await self.begun(sh(_cleaning_up(pids, cleaned)), pids)

        await self.stopped(task)

        assert cleaned.read_text() == "yes\n"

    async def test_so_may_what_it_has_started_when_it_ends_at_once_itself(
        self, sh: Command, tmp_path: Path
    ) -> None:
        """Killed with its shell, an agent could not tell what it had used up."""
        pids, cleaned = tmp_path / "pids", tmp_path / "cleaned"
        child = {"env": {"CHILD": _cleaning_up(pids, cleaned)}}
        task, _ = await self.begun(sh('sh -c "$CHILD" & wait', child), pids)

        await self.stopped(task)

        assert cleaned.read_text() == "yes\n"

    async def test_a_program_that_does_not_stop_is_killed_after_the_grace(
        self, sh: Command, tmp_path: Path
    ) -> None:
        pids = tmp_path / "pids"
        task, (pid,) = await self.begun(sh(_stubborn(pids), {"grace_seconds": 0.2}), pids)
        before = time.monotonic()

        await self.stopped(task)

        assert time.monotonic() - before >= 0.2
        await until_gone(pid)

    async def test_cancelled_again_it_is_killed_at_once(self, sh: Command, tmp_path: Path) -> None:
        pids = tmp_path / "pids"
        task, (pid,) = await self.begun(sh(_stubborn(pids), {"grace_seconds": 300}), pids)

        task.cancel()
        await asyncio.sleep(0)
        await self.stopped(task)

        await until_gone(pid)

    async def test_what_a_program_leaves_running_is_killed_when_it_ends(
        self, sh: Command, tmp_path: Path
    ) -> None:
        """The pipe that a child in the background inherits was read until the child's end."""
        pids = tmp_path / "pids"
        output = await sh(f"sleep 600 & echo $! > {pids}; echo over").run()

        assert output.data == b"over\n"
        await until_gone(int(pids.read_text()))

    async def test_a_daemon_that_left_the_group_does_not_hold_the_phase(
        self, command: Command
    ) -> None:
        ran = command(
            python(
                "import subprocess as s;"
                "print(s.Popen(['sleep', '600'], start_new_session=True).pid)"
            )
        )
        output = await ran.run()

        os.kill(int(output.text()), signal.SIGKILL)

    async def test_a_runner_that_is_told_to_cancel_ends_the_program(
        self, directory: Path, tmp_path: Path
    ) -> None:
        rig, pids = Rig(slots=1), tmp_path / "pids"
        rig.registry.add("command", CommandHandler(directory=directory))

        async with rig.running() as runner:
            await rig.runs(handler="command", config={"script": f"echo $$ > {pids}; sleep 600"})
            pid = int(await until_there(pids))
            runner.stop()
            runner.stop()
            await rig.ended

        await until_gone(pid)

    async def test_a_phase_that_takes_too_long_has_timed_out(
        self, directory: Path, tmp_path: Path
    ) -> None:
        rig, pids = Rig(slots=1), tmp_path / "pids"
        rig.registry.add("command", CommandHandler(directory=directory))

        async with rig.running():
            await rig.runs(
                handler="command",
                config={"script": f"echo $$ > {pids}; sleep 600"},
                timeout=timedelta(seconds=10),
            )
            await until_there(pids)
            await rig.passes(9.6)
            await rig.source.concluded(1)

        assert rig.failed().failure.kind is FailureKind.TIMEOUT

    async def test_what_has_made_a_group_of_its_own_ends_too(
        self, sh: Command, tmp_path: Path
    ) -> None:
        """`timeout` and what it ran went on for hours after the phase was cancelled."""
        pids = tmp_path / "pids"
        task, (pid,) = await self.begun(
            sh(f"timeout 600 sh -c 'echo $$ > {pids}; sleep 600'"), pids
        )

        await self.stopped(task)

        await until_gone(pid)

    async def test_cancelled_while_it_starts_it_leaves_nothing_behind(
        self, sh: Command, directory: Path
    ) -> None:
        """A program that was stopped in its first moment left running what it had started."""
        for turns in range(40):
            task = asyncio.create_task(sh("sleep 600 & echo $! >> pids; wait").run())
            for _ in range(turns):
                await asyncio.sleep(0)
            await self.stopped(task)

        assert os.listdir(directory) == []

    async def test_cancelled_twice_while_it_starts_it_gets_no_grace(
        self, sh: Command, tmp_path: Path, directory: Path
    ) -> None:
        """Both cancellations came before there was anything to wait for, and it got the grace."""
        for turns in range(20):
            ran = sh(_stubborn(tmp_path / "pids"), {"grace_seconds": 300})
            task = asyncio.create_task(ran.run())
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.sleep(0)
            await self.stopped(task)

        assert os.listdir(directory) == []


def _stubborn(pids: Path) -> str:
    """Return a script that cannot be told to stop."""
    return f"trap '' TERM; echo $$ > {pids}; while :; do sleep 0.01; done"


def _cleaning_up(pids: Path, cleaned: Path) -> str:
    """Return a script that takes a moment to stop."""
    at_the_end = f"sleep 0.1; echo yes > {cleaned}; exit 0"
    return f"trap '{at_the_end}' TERM; echo $$ > {pids}; while :; do sleep 0.01 || :; done"
