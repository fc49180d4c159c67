"""Signals a program and all that it has started."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress

_PROCESSES = "/proc"
_HAS_PROCESSES = os.path.exists(f"{_PROCESSES}/self/stat")


#: The variable that holds the mark of a program.
MARK = "PHASELINE_PROCESS_MARK"


#: How often, and in what seconds, it is looked whether all have died that were killed.
_MOST_LOOKS = 50
_LOOK_EVERY = 0.01


class Session:
    """
    The processes in the session that a program leads, and those that left it.

    Some may have made groups of their own within it, as shells with job control and `timeout` do.
    Others begin a session of their own, as agents have their tools do: they are known by the *mark*
    that the program got as a variable. Where there is no /proc neither are found, and only the
    program's own group is signalled.
    """

    def __init__(self, leader: int, mark: str) -> None:
        self._leader = leader
        self._variable = f"{MARK}={mark}\0".encode()

    def kill_group(self) -> None:
        """Kill the program's own group, at once and without blocking."""
        _signal(self._leader, signal.SIGKILL)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to everything. Blocks."""
        for group in {self._leader, *self._groups()}:
            _signal(group, number)

    def kill(self) -> None:
        """Kill everything, also what is started meanwhile. Blocks."""
        self.signal(signal.SIGKILL)
        for _ in range(_MOST_LOOKS):
            if not _HAS_PROCESSES or not self.is_alive():
                return
            time.sleep(_LOOK_EVERY)
            self.signal(signal.SIGKILL)

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
                if state in ("Z", "X"):
                    continue
                if session == self._leader or self._is_marked(name):
                    yield group

    def _is_marked(self, pid: str) -> bool:
        with suppress(OSError), open(f"{_PROCESSES}/{pid}/environ", "rb") as file:
            return self._variable in file.read()
        return False


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
