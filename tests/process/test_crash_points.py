"""The server dies at each named point, under load: nothing acknowledged is lost or done twice."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from phaseline.bench.faults import SERVER, tally_of
from phaseline.faults import Point
from phaseline.serve import CRASH_VARIABLE

#: So often each server comes to its point; the last time it dies there.
_VISITS = {
    Point.COMMIT_BEFORE: 30,
    Point.COMMIT_AFTER: 30,
    Point.ANSWER_BEFORE: 60,
    Point.ANSWER_AFTER: 60,
    Point.REPORT_BEFORE: 10,
}


def test_there_is_a_death_at_every_point() -> None:
    assert set(_VISITS) == set(Point)


@pytest.mark.timeout(180)
async def test_nothing_acknowledged_is_lost_wherever_servers_die(tmp_path: Path) -> None:
    await _die(tmp_path, list(Point))


@pytest.mark.long
@pytest.mark.timeout(400)
@pytest.mark.parametrize("point", Point)
async def test_nothing_is_lost_where_one_dies_again_and_again(tmp_path: Path, point: Point) -> None:
    await _die(tmp_path, [point] * 8)


async def _die(directory: Path, points: Sequence[Point]) -> None:
    """Let one server after the other die under load, each at its point, and look what is left."""
    tally = await tally_of(
        str(directory / "phaseline.db"),
        lambda tally: tally.deaths[SERVER] == len(points),
        kills=False,
        lives=[{CRASH_VARIABLE: f"{point}:{_VISITS[point]}"} for point in points],
    )
    assert (tally.lost, tally.completed) == ([], len(tally.acknowledged))
    assert dict(tally.exit_codes) == {SERVER: {70}}
