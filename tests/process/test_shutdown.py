"""SIGTERM drains: nothing that was begun is cut off, and everybody is told."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from phaseline.v1 import execution_service_pb2 as pb
from phaseline.v1 import worker_service_pb2
from tests.support.program import Program, ServerProgram, Stubs

_QUICK = ("--drain-timeout", "5s")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_an_idle_server_with_0(tmp_path: Path, number: signal.Signals) -> None:
    with ServerProgram(tmp_path / "phaseline.db", *_QUICK) as server:
        server.channel().close()
        server.signal(number)
        assert server.end() == 0


def test_a_waiting_poll_is_answered_empty_when_the_server_drains(tmp_path: Path) -> None:
    with (
        ServerProgram(tmp_path / "phaseline.db", *_QUICK) as server,
        server.channel() as channel,
    ):
        request = worker_service_pb2.LeasePhasesRequest(worker_id="worker", request_id="poll")
        poll = Stubs(channel).workers.LeasePhases.future(request, timeout=30)
        # Answered after the poll was taken in, on the same connection.
        Stubs(channel).executions.List(pb.ListRequest())
        server.signal(signal.SIGTERM)
        answer = poll.result()
        assert (len(answer.leases), answer.HasField("poll_delay")) == (0, True)
        assert server.end() == 0


def test_a_drained_server_lets_another_have_its_database(tmp_path: Path) -> None:
    for _ in range(2):
        with ServerProgram(tmp_path / "phaseline.db", *_QUICK) as server:
            server.channel().close()
            server.signal(signal.SIGTERM)
            assert server.end() == 0


def test_a_second_server_on_the_same_file_says_who_has_it(tmp_path: Path) -> None:
    with ServerProgram(tmp_path / "phaseline.db") as server:
        server.channel().close()
        with ServerProgram(tmp_path / "phaseline.db") as second:
            assert second.end() != 0
            assert f"in use by process {server.pid}" in "".join(second.log)


def test_a_second_server_on_the_same_port_is_refused(tmp_path: Path) -> None:
    with ServerProgram(tmp_path / "one.db") as server:
        server.channel().close()
        port = int(server.address.rpartition(":")[2])
        with ServerProgram(tmp_path / "two.db", port=port) as second:
            assert second.end() != 0
            assert f"cannot listen on {server.address}" in "".join(second.log)


def test_a_server_that_strangers_could_reach_wants_credentials(tmp_path: Path) -> None:
    database = str(tmp_path / "phaseline.db")
    with Program("serve", "--listen", "0.0.0.0:0", "--db", database) as server:
        assert server.end() == 4
        assert "credentials_file" in "".join(server.log)


def test_a_file_that_is_no_database_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("these are notes, and nothing that a database would hold\n")
    with Program("serve", "--db", str(tmp_path / "notes.txt"), "--listen", "127.0.0.1:0") as server:
        assert server.end() == 4
        assert [line.split(":")[0] for line in server.log] == ["error"]


def test_a_database_in_a_directory_that_is_not_there_is_refused(tmp_path: Path) -> None:
    database = tmp_path / "mistyped" / "phaseline.db"
    with Program("serve", "--db", str(database), "--listen", "127.0.0.1:0") as server:
        assert server.end() == 4
        assert f"there is no directory '{database.parent}'" in "".join(server.log)
    assert not database.parent.exists()


def test_the_directory_of_this_user_is_made(tmp_path: Path) -> None:
    environment = {"XDG_DATA_HOME": str(tmp_path / "data")}
    with Program("db", "upgrade", environment=environment) as upgrading:
        assert upgrading.end() == 0
    assert (tmp_path / "data" / "phaseline" / "phaseline.db").exists()
