"""A real server is measured, in a process of its own."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from phaseline.bench.plan import Plan
from phaseline.bench.results import Result
from phaseline.bench.run import run


@pytest.fixture(autouse=True)
def no_blocking_call_in_the_loop() -> None:
    """Let measuring block its loop between measurements: it is its alone."""


def test_a_server_is_measured_beside_the_ceiling(tmp_path: Path) -> None:
    told: list[Result] = []
    plan = Plan(scenarios=("status",), rounds=1, seconds=0.1, db=str(tmp_path))
    report = asyncio.run(run(plan, told.append))
    assert report.failed == {}
    rate, *times = report.lines
    assert (rate.name, rate.unit) == ("status, 64 callers", "/s")
    assert rate.share is not None
    assert 0 < rate.share < 5
    assert [line.name for line in report.lines] == [result.name for result in told]
    assert {line.unit for line in times} == {"us", "ms"}
    assert all(line.median > 0 for line in times if line.unit == "ms")
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_measured_is_told_and_not_tried_again(tmp_path: Path) -> None:
    database = "postgresql://nobody@127.0.0.1:1/nothing"
    plan = Plan(scenarios=("memory",), rounds=2, seconds=0.1, db=database)
    report = asyncio.run(run(plan, lambda result: None))
    assert list(report.failed) == ["memory"]
    assert report.failed["memory"].startswith("phaseline serve ended: ")
    assert report.lines == []
