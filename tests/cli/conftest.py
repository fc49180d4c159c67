"""A command line that runs in the test's own process, against a scripted server."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from phaseline.cli import run
from tests.support.fake_service import FakeService


class Ended(NamedTuple):
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str


class Program:
    """The program, with the options that every call in a test shares."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str) -> Ended:
        """Run one command line."""
        self._capsys.readouterr()
        code = run(arguments)
        out, err = self._capsys.readouterr()
        return Ended(code, out, err)


@pytest.fixture(autouse=True)
def no_blocking_call_in_the_loop() -> None:
    """Let commands block their loop: it is theirs alone, so that they hold up nobody."""


@pytest.fixture(autouse=True)
def plain_surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Run in an empty directory, in UTC, on no terminal and with no settings of this machine."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    for variable in ("PHASELINE_CONFIG", "PHASELINE_TOKEN", "COLUMNS", "FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeService]:
    """A server that the program finds without being told."""
    with FakeService() as fake:
        monkeypatch.setenv("PHASELINE_SERVER", fake.address)
        yield fake


@pytest.fixture
def program(capsys: pytest.CaptureFixture[str]) -> Program:
    return Program(capsys)
