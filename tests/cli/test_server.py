"""Servers are run with what the options say, and asked for their health."""

import json
import logging
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import structlog

from phaseline.client import Client
from phaseline.domain.errors import Unavailable
from phaseline.rpc.server import CannotListen
from phaseline.settings import Settings
from phaseline.worker.registry import Registry
from tests.cli.conftest import Program
from tests.support.fake_service import FakeService


class Serving:
    """Stands for the server, and keeps what it was run with."""

    def __init__(self) -> None:
        self.settings: Settings | None = None
        self.registry: Registry | None = None
        self.error: Exception | None = None

    async def __call__(
        self,
        settings: Settings,
        *,
        registry: Registry | None = None,
        on_serving: Callable[[int], None] | None = None,
        shares_port: bool = False,
    ) -> None:
        assert not shares_port, "nobody else was said to listen"
        if self.error is not None:
            raise self.error
        self.settings, self.registry = settings, registry
        if on_serving is not None:
            on_serving(int(settings.listen.rpartition(":")[2]) or 50_000)

    @property
    def given(self) -> Settings:
        assert self.settings is not None
        return self.settings


@pytest.fixture
def serving(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serving]:
    fake = Serving()
    monkeypatch.setattr("phaseline.serve.serve", fake)
    root = logging.getLogger()
    before = root.handlers, root.level
    yield fake
    root.handlers, root.level = before
    structlog.reset_defaults()


def test_serve_passes_on_every_option(program: Program, serving: Serving) -> None:
    ended = program(
        *("serve", "--listen", "0.0.0.0:7000", "--db", "x.db", "--drain-timeout", "5s"),
        *("--insecure", "--credentials-file", "tokens", "--tls-certificate", "c.pem"),
        *("--tls-key", "k.pem", "--log-level", "debug", "--log-format", "json"),
    )
    assert (ended.code, ended.err) == (0, "")
    given = serving.given
    assert serving.registry is None
    assert (given.listen, given.db, given.insecure) == ("0.0.0.0:7000", "x.db", True)
    assert given.drain_timeout == timedelta(seconds=5)
    assert given.credentials_file == Path("tokens")
    assert (given.tls_certificate, given.tls_key) == (Path("c.pem"), Path("k.pem"))
    assert (given.log_level, given.log_format) == ("debug", "json")


def test_what_is_not_given_is_left_to_the_other_sources(
    program: Program, serving: Serving, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "phaseline.toml").write_text('db = "file.db"\ninsecure = true\n')
    monkeypatch.setenv("PHASELINE_LISTEN", "127.0.0.1:1")
    program("serve")
    assert serving.given.db == "file.db"
    assert serving.given.listen == "127.0.0.1:1"
    assert serving.given.insecure


def test_dev_has_a_worker_inside(program: Program, serving: Serving) -> None:
    ended = program(
        *("dev", "--slots", "4", "--queue", "a", "--queue-name", "b", "-m", "colorsys"),
    )
    assert ended.code == 0
    assert serving.registry is not None
    assert "command" in serving.registry.names
    worker = serving.given.worker
    assert (worker.slots, worker.queues, worker.modules) == (4, ("a", "b"), ("colorsys",))
    assert ended.err.splitlines() == [
        "starting on 127.0.0.1:7171; stop it with Ctrl-C",
        "try: phaseline apply --example repo-survey",
    ]


@pytest.mark.parametrize(
    ("listen", "server"),
    [("127.0.0.1:7000", "127.0.0.1:7000"), ("0.0.0.0:0", "127.0.0.1:50000")],
)
def test_dev_that_listens_elsewhere_says_how_commands_find_it(
    program: Program, serving: Serving, listen: str, server: str
) -> None:
    ended = program("dev", "--listen", listen)
    assert ended.err.endswith(f"try: phaseline apply --example repo-survey --server {server}\n")


def test_dev_that_cannot_start_invites_nobody(program: Program, serving: Serving) -> None:
    serving.error = ExceptionGroup("", [CannotListen("127.0.0.1:7171 is taken")])
    assert "try:" not in program("dev").err


def test_a_setting_that_is_wrong_ends_it_before_it_begins(
    program: Program, serving: Serving
) -> None:
    ended = program("serve", "--tls-key", "k.pem")
    assert ended.code == 2
    assert ended.err == "error: tls_certificate and tls_key must be given together\n"
    assert serving.settings is None


def test_a_server_that_cannot_start_says_why(program: Program, serving: Serving) -> None:
    taken = CannotListen("127.0.0.1:7171 is taken")
    serving.error = ExceptionGroup("unhandled errors in a TaskGroup", [taken])
    ended = program("serve")
    assert (ended.code, ended.err) == (4, "error: 127.0.0.1:7171 is taken\n")


def test_a_server_that_serves_is_healthy(program: Program, service: FakeService) -> None:
    assert program("health") == (0, "SERVING\n", "")


def test_a_server_that_drains_is_not(program: Program, service: FakeService) -> None:
    service.drain()
    assert program("health") == (5, "NOT_SERVING\n", "")


def test_a_server_that_is_not_there_is_not(program: Program) -> None:
    ended = program("health", "--server", "127.0.0.1:1")
    assert ended.code == 5
    assert ended.err.startswith("error: ")


def test_health_has_a_form_for_programs(program: Program, service: FakeService) -> None:
    assert json.loads(program("health", "-o", "json").out) == {"status": "SERVING"}
    assert program("health", "-o", "yaml").out == "status: SERVING\n"


def test_a_server_that_does_not_serve_yet_is_waited_for(
    program: Program, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: Iterator[Exception | str] = iter([Unavailable("x"), "NOT_SERVING", "SERVING"])

    async def health(client: Client, service: str = "") -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(Client, "health", health)
    monkeypatch.setattr("phaseline.cli.server._PAUSE", 0.0)
    assert program("health", "--wait", "10s") == (0, "SERVING\n", "")


def test_waiting_for_a_server_ends(program: Program, service: FakeService) -> None:
    service.drain()
    assert program("health", "--wait", "10ms") == (5, "NOT_SERVING\n", "")


def test_waiting_for_a_server_that_never_comes_ends(program: Program) -> None:
    ended = program("health", "--server", "127.0.0.1:1", "--wait", "10ms")
    assert ended.code == 5
    assert ended.err.startswith("error: ")


def test_upgrading_the_database_says_what_it_then_is(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def upgrade(settings: Settings) -> str:
        assert settings.db == "x.db"
        return "0001"

    monkeypatch.setattr("phaseline.serve.upgrade_database", upgrade)
    assert program("db", "upgrade", "--db", "x.db") == (0, "0001\n", "")


def test_the_version_of_the_database_is_printed(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def version(settings: Settings) -> str:
        return "0001"

    monkeypatch.setattr("phaseline.serve.database_version", version)
    assert program("db", "version") == (0, "0001\n", "")
    assert json.loads(program("db", "version", "-o", "json").out) == {"version": "0001"}


def test_a_database_that_is_not_there_has_no_version(program: Program, tmp_path: Path) -> None:
    """An empty line looked like a defect."""
    ended = program("db", "version", "--db", "nowhere.db")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("no tables yet; `phaseline db upgrade` makes them")
    answered = program("db", "version", "--db", "nowhere.db", "-o", "json")
    assert json.loads(answered.out) == {"version": ""}
    assert not (tmp_path / "nowhere.db").exists()


def test_a_database_that_is_away_is_unavailable(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def version(settings: Settings) -> str:
        raise Unavailable("the database does not answer")

    monkeypatch.setattr("phaseline.serve.database_version", version)
    ended = program("db", "version")
    assert ended.code == 5
    assert ended.err.splitlines()[0] == "error: the database does not answer"


def test_several_processes_need_a_database_that_they_can_share(program: Program) -> None:
    ended = program("serve", "--processes", "2", "--db", "x.db")
    assert ended.code == 2
    assert "several need a PostgreSQL database" in ended.err


def test_a_copied_database_is_told_table_by_table(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def copy(source: Settings, target: Settings, told: Callable[[str, int], None]) -> None:
        assert (source.db, target.db) == ("x.db", "postgresql://h/d")
        told("executions", 1_000)

    monkeypatch.setattr("phaseline.serve.copy_database", copy)
    ended = program("db", "copy", "x.db", "postgresql://h/d")
    assert ended == (0, "       1,000 executions\n", "")


def test_what_cannot_be_copied_is_told(program: Program) -> None:
    ended = program("db", "copy", "nowhere.db", "other.db")
    assert ended.code == 4
    assert ended.err.startswith("error: there is no database at ")
