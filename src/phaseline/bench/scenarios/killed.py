"""What becomes of acknowledged executions while a server and its workers are killed."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from phaseline.bench.faults import SERVER, WORKERS, tally_of
from phaseline.bench.results import Goal, Result
from phaseline.bench.stage import Stage

_NOTHING = Goal(0, 0, is_most=True)


async def faults(stage: Stage) -> AsyncGenerator[Result]:
    """Yield how many executions were acknowledged, completed, retried, and lost."""
    seconds = stage.plan.seconds
    tally = await tally_of(stage.fresh(), lambda tally: tally.seconds >= seconds)
    for name, value in {
        "acknowledged": len(tally.acknowledged),
        "completed": tally.completed,
        "phases retried": tally.retried,
        "kills of the server": tally.deaths[SERVER],
        "kills of workers": sum(tally.deaths[name] for name in WORKERS),
    }.items():
        yield Result(f"under kills, {name}", value, "")
    yield Result("under kills, lost", len(tally.lost), "", goal=_NOTHING)
