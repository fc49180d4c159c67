"""What the tests of handlers start from."""

from pathlib import Path

import pytest

from tests.support.command import Command, Ran


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    directory = tmp_path / "attempts"
    directory.mkdir()
    return directory


@pytest.fixture
def command(directory: Path) -> Command:
    def make(config: dict[str, object] | None = None, **fields: object) -> Ran:
        return Ran(directory, config or {}, **fields)

    return make


@pytest.fixture
def sh(directory: Path) -> Command:
    def make(script: str, config: dict[str, object] | None = None, **fields: object) -> Ran:
        return Ran(directory, {"script": script, **(config or {})}, **fields)

    return make
