"""Each execution has a directory for its agents, as long as somebody works on it."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from phaseline.worker.handlers.agent.directory import default_root, directory_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_it_is_the_same_for_all_phases_and_for_nobody_else(tmp_path: Path) -> None:
    first = directory_of(tmp_path, "default", "e-1", NOW)
    assert directory_of(tmp_path, "default", "e-1", NOW) == first
    assert directory_of(tmp_path, "default", "e-2", NOW) != first
    assert directory_of(tmp_path, "other", "e-1", NOW) != first
    assert first.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("execution_id", ["..", "a/b", ".hidden", "a:b", "x" * 200])
def test_no_id_leads_elsewhere(tmp_path: Path, execution_id: str) -> None:
    path = directory_of(tmp_path, "default", execution_id, NOW)
    assert path.parent == tmp_path / "default"
    assert path.name not in ("..", ".")
    assert len(path.name) <= 128


def test_those_that_nobody_works_in_any_more_are_removed(tmp_path: Path) -> None:
    old = directory_of(tmp_path, "default", "old", NOW)
    (old / "file").touch()
    os.utime(old, (NOW.timestamp(), NOW.timestamp()))
    later = NOW + timedelta(days=8)
    kept = directory_of(tmp_path, "default", "kept", later - timedelta(days=6))

    directory_of(tmp_path, "default", "new", later)
    assert not old.exists()
    assert kept.exists()


def test_one_that_is_used_again_is_kept(tmp_path: Path) -> None:
    old = directory_of(tmp_path, "default", "old", NOW)
    os.utime(old, (0, 0))
    directory_of(tmp_path, "default", "old", NOW)
    directory_of(tmp_path, "default", "new", NOW)
    assert old.exists()


def test_they_are_where_programs_keep_their_state(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_root() == tmp_path / "phaseline" / "agents"
    monkeypatch.setenv("XDG_STATE_HOME", "not/absolute")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_root() == tmp_path / ".local" / "state" / "phaseline" / "agents"
