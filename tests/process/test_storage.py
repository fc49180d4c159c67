"""Storage that fails under a running server: nothing is acknowledged that is not stored."""

from __future__ import annotations

import resource
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from phaseline.v1 import execution_service_pb2 as pb
from phaseline.v1 import workflow_pb2, workflow_service_pb2
from tests.support.program import ServerProgram, Stubs

_FILES = ("", "-wal", "-shm")
#: More than any database that is full has left.
_MANY = 200
_LARGE = "x" * 100_000
_DISK = "size=8m"


class Callers:
    """Those who start executions, each once, and keep what was acknowledged."""

    def __init__(self, stubs: Stubs) -> None:
        self.stubs = stubs
        self.acknowledged: set[str] = set()
        self.refused: list[pb.ExecuteRequest] = []
        self._number = 0

    def start(self) -> bool:
        """Start another one; return whether it was acknowledged."""
        self._number += 1
        return self.repeat(
            pb.ExecuteRequest(workflow_id="one", task=_LARGE, request_id=f"r-{self._number}")
        )

    def repeat(self, request: pb.ExecuteRequest) -> bool:
        try:
            answer = self.stubs.executions.Execute(request, timeout=30)
        except grpc.RpcError as error:
            check_refusal(error)
            self.refused.append(request)
            return False
        self.acknowledged.add(answer.execution_id)
        return True

    def stored(self) -> list[str]:
        """Return all that a reader finds."""
        found = self.stubs.executions.List(pb.ListRequest(page_size=100))
        assert found.total_size == len(found.executions), "all on one page"
        return [execution.execution_id for execution in found.executions]


def check_refusal(error: grpc.RpcError) -> None:
    """It says that the store is away, and when to try again."""
    assert isinstance(error, grpc.Call)
    assert error.code() is grpc.StatusCode.UNAVAILABLE, error
    status = rpc_status.from_call(error)
    assert status is not None
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    for detail, kind in zip(status.details, (info, retry), strict=True):
        assert detail.Unpack(kind)
    assert info.reason == "STORAGE_UNAVAILABLE"
    assert retry.retry_delay.ToTimedelta() > timedelta()


@contextmanager
def full(server: ServerProgram, database: Path) -> Iterator[None]:
    """Let no file of the server grow, as a disk does that has no room."""
    log = database.with_name(database.name + "-wal").stat().st_size
    _, hard = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (log, hard))
    yield
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (hard, hard))


@contextmanager
def locked(server: ServerProgram, database: Path) -> Iterator[None]:
    """Let somebody else hold the lock on the database."""
    other = sqlite3.connect(database, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    yield
    other.execute("ROLLBACK")
    other.close()


@contextmanager
def vanished(server: ServerProgram, database: Path) -> Iterator[None]:
    """Take the files away, and bring them back."""
    away = database.parent / "away"
    away.mkdir()
    for suffix in _FILES:
        database.with_name(database.name + suffix).rename(away / f"db{suffix}")
    yield
    for suffix in _FILES:
        (away / f"db{suffix}").rename(database.with_name(database.name + suffix))


# The same in one process is in tests/store.
_TAKING_LONG = [pytest.param(trouble, marks=pytest.mark.long) for trouble in (locked, vanished)]


@pytest.mark.parametrize("trouble", [full, *_TAKING_LONG])
def test_what_cannot_be_stored_is_refused_until_it_can(tmp_path: Path, trouble: object) -> None:
    assert callable(trouble)
    database = tmp_path / "phaseline.db"
    with ServerProgram(database) as server, server.channel() as channel:
        callers = _callers(channel)
        assert callers.start()
        with trouble(server, database):
            refused = 0
            while refused < 2:
                refused += not callers.start()
        _heals(callers)
        server.kill()
    _is_all_there(database, callers)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk with room for little more than a database."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", _DISK, "none", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("needs the right to mount a file system")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.long
def test_a_full_disk_refuses_until_there_is_room(small_disk: Path) -> None:
    database = small_disk / "phaseline.db"
    with ServerProgram(database) as server, server.channel() as channel:
        callers = _callers(channel)
        ballast = small_disk / "ballast"
        _fill(ballast)
        refused = 0
        for _ in range(_MANY):
            refused += not callers.start()
            if refused == 3:
                break
        assert refused == 3, "the disk was never full"
        ballast.unlink()
        _heals(callers)
        server.kill()
    _is_all_there(database, callers)


def _callers(channel: grpc.Channel) -> Callers:
    stubs = Stubs(channel)
    workflow = workflow_pb2.Workflow(
        workflow_id="one", phases=[workflow_pb2.PhaseSpec(phase_id="p", handler="nobody")]
    )
    stubs.workflows.ApplyWorkflow(workflow_service_pb2.ApplyWorkflowRequest(workflow=workflow))
    return Callers(stubs)


def _fill(ballast: Path) -> None:
    """Leave no room on the disk of *ballast*."""
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError:
            return


def _heals(callers: Callers) -> None:
    """Without a restart, what was refused is taken when it is repeated, and then all is there."""
    refused, callers.refused = callers.refused, []
    for request in refused:
        # The first may come before the server has seen that it can write again.
        assert any(callers.repeat(request) for _ in range(3))
    assert callers.start()
    assert sorted(callers.stored()) == sorted(callers.acknowledged)


def _is_all_there(database: Path, callers: Callers) -> None:
    """After a kill, too."""
    with ServerProgram(database) as server, server.channel() as channel:
        callers.stubs = Stubs(channel)
        assert sorted(callers.stored()) == sorted(callers.acknowledged)
