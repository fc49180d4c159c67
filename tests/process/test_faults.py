"""Load while servers and workers are killed: what was acknowledged ends once, as it should."""

from __future__ import annotations

from pathlib import Path

import pytest

from phaseline.bench.faults import Tally, tally_of


def nothing_is_lost(tally: Tally) -> None:
    assert (tally.lost, tally.completed) == ([], len(tally.acknowledged))


@pytest.mark.timeout(900)
@pytest.mark.parametrize("kills", [1, pytest.param(50, marks=pytest.mark.long)])
async def test_nothing_acknowledged_is_lost_under_kills(tmp_path: Path, kills: int) -> None:
    tally = await tally_of(
        str(tmp_path / "phaseline.db"), lambda tally: tally.deaths.total() >= kills, seed=kills
    )
    nothing_is_lost(tally)
    assert len(tally.acknowledged) >= kills * 20
