"""A worker runs the handlers that ship and those of the modules it is given."""

import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import structlog

from phaseline import settings
from phaseline.cli.failures import Refused
from phaseline.cli.worker import handlers
from phaseline.worker import registry
from phaseline.worker.registry import Registry
from phaseline.worker.runner import RunnerOptions
from phaseline.worker.source import GrpcSource, Source
from tests.cli.conftest import Program
from tests.support.fake_service import FakeService


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Forget the modules and handlers of a test at its end."""
    monkeypatch.setattr(registry, "default_registry", Registry())
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("my_"):
            del sys.modules[name]
    structlog.reset_defaults()


def found(*modules: str) -> Registry:
    return handlers(settings.load(worker={"modules": modules}))


def test_the_handlers_that_ship_are_always_there() -> None:
    assert set(found().names) == {"agent", "command"}


def test_modules_are_found_in_the_working_directory(tmp_path: Path) -> None:
    (tmp_path / "my_handlers.py").write_text(
        "from phaseline.worker import registry\n"
        "@registry.default_registry.handler('greet')\n"
        "def greet(context): return 'hi'\n"
    )
    assert set(found("my_handlers").names) == {"greet", "agent", "command"}


def test_a_handler_of_a_module_replaces_one_that_ships(tmp_path: Path) -> None:
    (tmp_path / "my_command.py").write_text(
        "from phaseline.worker import registry\n"
        "@registry.default_registry.handler('command')\n"
        "def mine(context): return 'mine'\n"
    )
    mine = found("my_command").get("command")
    assert mine is not None
    assert getattr(mine.function, "__name__", "") == "mine"


@pytest.mark.parametrize("name", ["my_missing", "my_missing.inner"])
def test_a_module_that_is_not_there_is_named(name: str) -> None:
    with pytest.raises(Refused, match=f"there is no module '{name}'"):
        found(name)


def test_a_module_that_lacks_another_says_which(tmp_path: Path) -> None:
    (tmp_path / "my_handlers.py").write_text("import no_such_thing\n")
    with pytest.raises(Refused, match="module 'my_handlers' needs 'no_such_thing'"):
        found("my_handlers")


class Working:
    """Stands for the worker, and keeps what it was run with."""

    def __init__(self) -> None:
        self.source: Source | None = None
        self.registry = Registry()
        self.options = RunnerOptions()

    async def __call__(
        self, source: Source, registry: Registry, options: RunnerOptions | None = None
    ) -> None:
        self.source, self.registry = source, registry
        self.options = options or self.options


@pytest.fixture
def working(monkeypatch: pytest.MonkeyPatch) -> Working:
    fake = Working()
    monkeypatch.setattr("phaseline.worker.standalone.work", fake)
    monkeypatch.setattr("phaseline.telemetry.set_up_logging", lambda *_: None)
    return fake


def test_every_option_reaches_the_worker(
    program: Program, service: FakeService, working: Working, tmp_path: Path
) -> None:
    (tmp_path / "my_handlers.py").write_text("")
    ended = program(
        *("worker", "--module", "my_handlers", "--queue", "gpu", "--queue", "cpu", "--slots", "3"),
        *("--worker-id", "w-1", "--deployment-id", "v2", "--drain-timeout", "5s"),
    )
    assert (ended.code, ended.err) == (0, "")
    assert isinstance(working.source, GrpcSource)
    options = working.options
    assert (options.queue_names, options.slots) == (("gpu", "cpu"), 3)
    assert (options.worker_id, options.deployment_id) == ("w-1", "v2")
    assert options.drain_timeout == timedelta(seconds=5)
    assert "command" in working.registry.names


def test_settings_reach_the_worker(
    program: Program, working: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PHASELINE_WORKER_QUEUES", "a,b")
    monkeypatch.setenv("PHASELINE_LEASES_DURATION", "10s")
    assert program("worker").code == 0
    assert working.options.queue_names == ("a", "b")
    assert working.options.lease_duration == timedelta(seconds=10)


def test_a_module_that_is_missing_is_wrong_usage(program: Program, working: Working) -> None:
    ended = program("worker", "-m", "my_missing")
    assert ended.code == 2
    assert ended.err.splitlines() == [
        "error: there is no module 'my_missing'",
        "hint: it is looked for in the working directory and among installed packages",
    ]


def test_programs_see_the_variables_that_are_named(
    program: Program, working: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, object] = {}

    def made(**options: object) -> object:
        given.update(options)
        return lambda context: None

    monkeypatch.setattr("phaseline.worker.handlers.command.CommandHandler", made)
    assert program("worker", "--pass-environment", "A", "--pass-environment", "B").code == 0
    assert given == {"pass_environment": ("A", "B")}
