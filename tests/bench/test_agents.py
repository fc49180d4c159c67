"""Events of agents are measured alone, and with all that they go through."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from phaseline.bench.plan import Plan
from phaseline.bench.run import run


@pytest.fixture(autouse=True)
def no_blocking_call_in_the_loop() -> None:
    """Let measuring block its loop between measurements: it is its alone."""


@pytest.mark.long
def test_events_of_agents_are_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("phaseline.bench.scenarios.agents.set_up_logging", lambda _: None)
    plan = Plan(scenarios=("agents",), rounds=1, seconds=0.05, db=str(tmp_path))
    report = asyncio.run(run(plan, lambda _: None))

    assert report.failed == {}
    assert [(line.name, line.unit) for line in report.lines] == [
        ("agent events, adapter alone", "/s"),
        ("agent events, adapter, worker and server", "/s"),
    ]
    assert all(line.median > 0 for line in report.lines)
