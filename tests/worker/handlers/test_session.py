"""What a killed worker has left running is found, and nothing else."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from phaseline.worker.handlers import session
from phaseline.worker.handlers.process import Process
from phaseline.worker.handlers.session import MARK, kill_orphans, signed
from phaseline.worker.threads import in_thread
from tests.support.process import is_alive, until_gone

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no /proc")

#: A worker that starts a program, tells its pid, and is killed.
_WORKER = """
import asyncio, os, signal
from pathlib import Path
from phaseline.worker.handlers.process import Process

async def main():
    process = await Process.start(
        ["sh", "-c", "setsid sleep 600 & echo $!; exec sleep 600"], cwd=Path("/"),
        environment={**os.environ, "TEST_PHASE": "1"}, stdout=told, stderr=print, grace=5)
    await process.wait()

def told(data):
    print(data.decode(), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


def test_what_a_killed_worker_has_started_is_killed() -> None:
    worker = subprocess.run([sys.executable, "-c", _WORKER], capture_output=True, check=False)
    assert worker.returncode == -signal.SIGKILL
    orphan = int(worker.stdout)
    assert is_alive(orphan)

    kill_orphans({"TEST_PHASE": "2"})
    assert is_alive(orphan)
    kill_orphans({"TEST_PHASE": "1"})
    asyncio.run(until_gone(orphan))


async def test_what_a_living_worker_has_started_lives(tmp_path: Path) -> None:
    process = await Process.start(
        ["sleep", "600"],
        cwd=tmp_path,
        environment=dict(os.environ),
        stdout=lambda _: None,
        stderr=lambda _: None,
        grace=5,
    )
    await in_thread(lambda: kill_orphans({}))
    assert process.exit_code is None

    waiting = asyncio.create_task(process.wait())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


@pytest.mark.parametrize(
    "mark",
    ["", "of something else", "a-b", "0-1-2.elsewhere", signed("x").partition(".")[0]],
    ids=["empty", "another's", "no numbers", "of another machine", "of one that lives"],
)
def test_marks_that_say_nothing_of_a_dead_worker_are_left_alone(mark: str) -> None:
    assert not session.is_orphan(mark)


def test_a_number_that_another_process_has_now_is_no_sign_of_life() -> None:
    namespace, pid, began = signed("x").partition(".")[0].split("-")
    assert session.is_orphan(f"{namespace}-{pid}-{int(began) - 1}.x")
    assert session.is_orphan(f"{namespace}-999999999-1.x")


def test_a_mark_is_found_in_the_environment_of_a_process() -> None:
    mark = signed("x")
    with subprocess.Popen(
        ["cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"A": "b", MARK: mark, "C": "d"},
        bufsize=0,
    ) as process:
        # Only once it runs is its environment there to be read.
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"!")
        assert process.stdout.read(1) == b"!"
        assert session._mark_of(str(process.pid)) == mark
        process.communicate()
    assert session._mark_of(str(process.pid)) == ""
