"""DBOS, a library, on SQLite or PostgreSQL: a workflow of three steps, called by many threads."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from dbos import DBOS, DBOSConfig
from driver import CALLERS, drive_threads, report


@DBOS.step()
def step(number: int) -> str:
    return "done"


@DBOS.workflow()
def three_steps() -> str:
    for number in range(3):
        step(number)
    return "done"


def measure(url: str, pool: int | None) -> None:
    config: DBOSConfig = {"name": "peer", "system_database_url": url, "log_level": "ERROR"}
    if pool:
        config["sys_db_pool_size"] = pool
    DBOS(config=config)
    DBOS.launch()
    report(drive_threads(three_steps), "dbos", "sqlalchemy")
    DBOS.destroy()


if sys.argv[2] == "sqlite":
    with tempfile.TemporaryDirectory() as directory:
        measure(f"sqlite:///{Path(directory, 'dbos.sqlite')}", None)
else:
    from postgres import postgres

    with postgres("dbos") as url:
        measure(url.replace("postgresql://", "postgresql+psycopg://"), CALLERS)
