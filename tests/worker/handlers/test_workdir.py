"""The directory of an attempt goes with it, or with the next worker."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from phaseline.worker.handlers.workdir import WorkDir, remove_orphans

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no /proc")

#: A worker that is killed while a directory of its is in use.
_WORKER = """
import os, signal, sys
from pathlib import Path
from phaseline.worker.handlers.workdir import WorkDir

directory = WorkDir(Path(sys.argv[1]))
directory.work.mkdir(parents=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_killed_workers_have_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    used = WorkDir(tmp_path)
    used.work.mkdir(parents=True)
    (tmp_path / "phaseline-cache").mkdir()
    kept = set(tmp_path.iterdir())

    worker = subprocess.run([sys.executable, "-c", _WORKER, str(tmp_path)], check=False)
    assert worker.returncode == -signal.SIGKILL
    (left,) = set(tmp_path.iterdir()) - kept
    link = tmp_path / f"{left.name}-too"
    link.symlink_to(tmp_path / "phaseline-cache")

    remove_orphans(tmp_path)
    assert set(tmp_path.iterdir()) - {link} == kept

    used.remove()
    assert not used.work.exists()
