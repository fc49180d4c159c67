"""Signals a program and all that it has started."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress

_PROCESSES = "/proc"
_HAS_PROCESSES = os.path.exists(f"{_PROCESSES}/self/stat")

#: The variable that holds the mark of a program.
MARK = "PHASELINE_PROCESS_MARK"
_VARIABLE = f"{MARK}=".encode()

#: States of processes that have ended.
_DEAD = ("Z", "X")

#: How often, and in what seconds, it is looked whether all have died that were killed.
_MOST_LOOKS = 50
_LOOK_EVERY = 0.01


def signed(mark: str) -> str:
    """Return *mark* with the name of this process, which runs what has the mark. Blocks."""
    return f"{_owner()}.{mark}"


def kill_orphans(variables: Mapping[str, str]) -> None:
    """
    Kill what was started with *variables* by a worker that died without ending it. Blocks.

    It is at work on something that is run again.
    """
    wanted = {f"{name}={value}".encode() for name, value in variables.items()}
    for pid in os.listdir(_PROCESSES) if _HAS_PROCESSES else ():
        if pid.isdecimal() and wanted <= set(_environment(pid)) and is_orphan(_mark_of(pid)):
            state, group, _ = _read(pid)
            if state not in _DEAD:
                _signal(group, signal.SIGKILL)


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
        self._mark = mark

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
                if state in _DEAD:
                    continue
                if session == self._leader or _mark_of(name).rpartition(".")[2] == self._mark:
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


def _environment(pid: str) -> list[bytes]:
    """Return the variables that a process began with, none of one that is not ours."""
    with suppress(OSError), open(f"{_PROCESSES}/{pid}/environ", "rb") as file:
        return file.read().split(b"\0")
    return []


def _mark_of(pid: str) -> str:
    """Return the mark that a process has, or an empty one."""
    for variable in _environment(pid):
        if variable.startswith(_VARIABLE):
            return variable.removeprefix(_VARIABLE).decode(errors="replace")
    return ""


def is_orphan(mark: str) -> bool:
    """Return whether the worker is gone that has given a mark, as far as that can be told here."""
    owner = mark.partition(".")[0]
    # A process of another container, seen from outside of it, calls its worker by another number.
    if owner.count("-") != 2 or not owner.startswith(f"{_namespace()}-"):
        return False
    _, pid, began = owner.split("-")
    return _began(pid) != began


def _owner() -> str:
    pid = str(os.getpid())
    return f"{_namespace()}-{pid}-{_began(pid)}"


def _namespace() -> str:
    """Return a name for the numbers that processes have here."""
    with suppress(OSError):
        return os.readlink(f"{_PROCESSES}/self/ns/pid").strip("pid:[]")
    return ""


def _began(pid: str) -> str:
    """Return when a process began, which tells it from others that had its number before."""
    with suppress(OSError, IndexError), open(f"{_PROCESSES}/{pid}/stat", "rb") as file:
        state, *fields = file.read().decode(errors="replace").rpartition(")")[2].split()
        return "" if state in _DEAD else fields[18]
    return ""


def _signal(group: int, number: int) -> bool:
    """Send a signal to a group; return whether there is any."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
        return True
    return False
