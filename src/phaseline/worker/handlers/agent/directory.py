"""The directory that the agents of one execution work in, kept from phase to phase."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

#: Directories in which nothing began for so long are removed when another one is made.
_KEPT = timedelta(days=7)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)


def default_root() -> Path:
    """Return where the directories are, unless the worker is told otherwise."""
    state = os.environ.get("XDG_STATE_HOME", "")
    home = Path(state) if state.startswith("/") else Path.home() / ".local" / "state"
    return home / "phaseline" / "agents"


def directory_of(root: Path, workspace_id: str, execution_id: str, now: datetime) -> Path:
    """
    Return the directory of an execution below *root*, for nobody else to see. Blocks.

    Those of executions that nobody works on any more are removed.
    """
    parent = root / _name(workspace_id)
    path = parent / _name(execution_id)
    if not path.is_dir():
        parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _remove_old(parent, now)
        path.mkdir(mode=0o700, exist_ok=True)
    os.utime(path, (now.timestamp(), now.timestamp()))
    return path


def _remove_old(parent: Path, now: datetime) -> None:
    oldest = (now - _KEPT).timestamp()
    for each in parent.iterdir():
        with suppress(OSError):
            if each.stat(follow_symlinks=False).st_mtime < oldest:
                shutil.rmtree(each)


def _name(text: str) -> str:
    """Return a name for a file that no other text has."""
    if _NAME.fullmatch(text):
        return text
    return hashlib.sha256(text.encode()).hexdigest()
