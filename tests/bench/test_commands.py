"""The commands say what they measure, and refuse what they cannot."""

from __future__ import annotations

from pathlib import Path

import pytest

from phaseline.bench.plan import GROUPS, SCENARIOS, Plan
from phaseline.bench.report import Report
from phaseline.bench.results import Result, summed_up
from phaseline.cli import run
from phaseline.cli.failures import ExitCode

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def no_blocking_call_in_the_loop() -> None:
    """Let commands block their loop, which is theirs alone."""


def test_help_names_every_scenario(capsys: Captured) -> None:
    assert run(["bench", "--help"]) == ExitCode.OK
    words = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert [name for name in (*SCENARIOS, *GROUPS) if name not in words] == []


def test_options_become_the_plan(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured, tmp_path: Path
) -> None:
    plans: list[Plan] = []

    async def measured(plan: Plan, told: object) -> Report:
        plans.append(plan)
        return Report({}, plan, summed_up([Result("memory, idle", 70, "MB")]), {})

    monkeypatch.setattr("phaseline.bench.run.run", measured)
    arguments = [
        *("bench", "memory", "--rounds", "5", "--seconds", "0.5", "--phases", "2"),
        *("--worker", "embedded", "--executions", "20", "--executions", "10"),
        *("--db", "postgresql://here/it", "--processes", "1", "--connections", "4"),
        *("--json", str(tmp_path / "figures.json")),
    ]
    assert run(arguments) == ExitCode.OK
    assert plans == [
        Plan(("memory",), 5, 0.5, "", "postgresql://here/it", 1, 4, (2,), ("embedded",), (10, 20)),
    ]
    assert "memory, idle      70     70    70  MB" in capsys.readouterr().out
    assert '"memory, idle"' in (tmp_path / "figures.json").read_text()


def test_what_could_not_be_measured_is_an_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    async def failed(plan: Plan, told: object) -> Report:
        return Report({}, plan, [], {"memory": "it ended"})

    monkeypatch.setattr("phaseline.bench.run.run", failed)
    assert run(["bench", "memory"]) == ExitCode.OTHER


def test_an_unknown_scenario_is_wrong_usage(capsys: Captured) -> None:
    assert run(["bench", "speed"]) == ExitCode.USAGE
    assert "there is no scenario 'speed'" in capsys.readouterr().err


def test_a_database_is_filled_with_executions_that_have_ended(tmp_path: Path) -> None:
    database = tmp_path / "filled.db"
    assert run(["fill", "--db", str(database), "--executions", "20"]) == ExitCode.OK
    assert database.stat().st_size > 0
