"""Signals a program and all that it has started."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress

_PROCESSES = "/proc"
_HAS_PROCESSES = os.path.exists(f"{_PROCESSES}/self/stat")


class Session:
    """
    The processes in the session that a program leads.

    Some may have made groups of their own within it, as shells with job control and `timeout` do.
    Where there is no /proc those are not found, and only the program's own group is signalled.
    """

    def __init__(self, leader: int) -> None:
        self._leader = leader

    def kill_group(self) -> None:
        """Kill the program's own group, at once and without blocking."""
        _signal(self._leader, signal.SIGKILL)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to everything. Blocks."""
        for group in {self._leader, *self._groups()}:
            _signal(group, number)

    def is_alive(self) -> bool:
        """Whether anything runs. Blocks."""
        if _HAS_PROCESSES:
            return next(self._groups(), None) is not None
        return _signal(self._leader, 0)

    def _groups(self) -> Iterator[int]:
        """Yield the group of each process that runs."""
        for name in os.listdir(_PROCESSES) if _HAS_PROCESSES else ():
            if name.isdecimal():
                # One that has ended and that nobody has reaped is no process to us, but would be
                # to `kill`: in a container without init those stay for ever.
                state, group, session = _read(name)
                if session == self._leader and state not in ("Z", "X"):
                    yield group


def _read(pid: str) -> tuple[str, int, int]:
    """Return the state, the group and the session of a process, perhaps one just gone."""
    try:
        with open(f"{_PROCESSES}/{pid}/stat", "rb") as file:
            text = file.read().decode(errors="replace")
    except OSError:
        return "X", 0, 0
    # The name before may contain anything, blanks and parentheses included.
    state, _, group, session, *_ = text.rpartition(")")[2].split(maxsplit=4)
    return state, int(group), int(session)


def _signal(group: int, number: int) -> bool:
    """Send a signal to a group; return whether there is any."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
        return True
    return False
