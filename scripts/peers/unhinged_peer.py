"""unhinged, a library on SQLite without server or network: tasks of three steps."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from driver import CALLERS, figures, report, seconds
from unhinged import TaskContext, Unhinged

_WARM_UP = 1.0


def run(app: Unhinged, at_once: int, length: float) -> tuple[list[float], float]:
    """Start so many and do them, again and again; return the time of each, and of all."""
    taken: list[float] = []
    began = time.perf_counter()
    while (start := time.perf_counter()) < began + length:
        for _ in range(at_once):
            app.spawn("three-steps", {})
        left = at_once
        while left:
            left -= app.work_batch(batch_size=left)
        # Nobody waits for one of them: those that wait look every 50 ms, and would hide its speed.
        taken += [time.perf_counter() - start] * at_once
    return taken, time.perf_counter() - began


with tempfile.TemporaryDirectory() as directory:
    app = Unhinged(str(Path(directory, "unhinged.db")))

    @app.register_task("three-steps")
    def three_steps(params: object, context: TaskContext) -> str:
        for number in range(3):
            context.step(f"step-{number}", lambda: "done")
        return "done"

    run(app, CALLERS, _WARM_UP)
    many, took = run(app, CALLERS, seconds())
    report(figures(many, took, run(app, 1, seconds() / 2)[0]), "unhinged")
    app.close()
