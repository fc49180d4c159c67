"""PgBouncer in front of a PostgreSQL server, sharing its connections by transaction."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from tests.support.postgres import as_other
from tests.support.program import free_port

#: Names the program to use.
VARIABLE = "PHASELINE_TEST_PGBOUNCER"

# As README says.
_PREPARED = 300
_PASSES_ON = (1, 21)
_READY_SECONDS = 10


def program() -> str | None:
    """Return PgBouncer, if it is installed."""
    return os.environ.get(VARIABLE) or shutil.which("pgbouncer")


def passes_on_what_is_prepared() -> bool:
    """Whether that program knows which statement was prepared on which connection."""
    name = program()
    assert name is not None
    told = subprocess.run([name, "--version"], check=True, capture_output=True, text=True).stdout
    found = re.search(r"PgBouncer (\d+)\.(\d+)", told)
    assert found is not None, told
    return tuple(map(int, found.groups())) >= _PASSES_ON


class Pooler:
    """PgBouncer before the server of *url*; *prepares* as it must be set for that."""

    def __init__(self, url: str, *, prepares: bool) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="phaseline-pooler-"))
        self._directory.chmod(0o755)
        self._port = free_port()
        server = url.rpartition(":")[2]
        lines = [
            "[databases]",
            f"* = host=127.0.0.1 port={server} user=postgres",
            "[pgbouncer]",
            "listen_addr = 127.0.0.1",
            f"listen_port = {self._port}",
            "unix_socket_dir =",
            "auth_type = any",
            "pool_mode = transaction",
            "default_pool_size = 5",
            "max_client_conn = 300",
        ]
        if passes_on_what_is_prepared():
            lines.append(f"max_prepared_statements = {_PREPARED if prepares else 0}")
        self._settings = self._directory / "pgbouncer.ini"
        self._settings.write_text("\n".join(lines) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self._port}"

    def start(self) -> None:
        """Return once it takes connections."""
        name = program()
        assert name is not None
        self._process = subprocess.Popen(
            [*as_other(), name, "-q", str(self._settings)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + _READY_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", self._port), 1).close()
                return
            except OSError:
                assert self._process.poll() is None, "it runs"
                assert time.monotonic() < deadline, "it takes connections"
                time.sleep(0.02)

    def kill(self) -> None:
        """End it, with all connections."""
        assert self._process is not None, "it runs"
        self._process.kill()
        self._process.wait()
        self._process = None

    def remove(self) -> None:
        """End it, and leave nothing of it."""
        if self._process is not None:
            self.kill()
        shutil.rmtree(self._directory)
