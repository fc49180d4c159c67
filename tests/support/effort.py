"""How much a database looks at to do what it is asked, whatever the time that this takes."""

from __future__ import annotations

from collections import Counter
from typing import Any, Protocol

import asyncpg
from sqlalchemy import Connection, event

from phaseline.store.postgres import PostgresDatabase
from phaseline.store.sqlite import SqliteDatabase

_STEPS_AT_ONCE = 10

_LOOKED_AT = """
    SELECT relname AS name, seq_tup_read AS looked_at FROM pg_stat_user_tables
    UNION ALL
    SELECT indexrelname, idx_tup_read FROM pg_stat_user_indexes
"""


class Effort(Protocol):
    """Counts what a database of a store does."""

    async def start(self) -> None:
        """Count from here on."""

    async def spent(self) -> Counter[str]:
        """Return what was done since, by what it was done to."""


class SqliteEffort:
    """Counts the steps of the machine that runs SQLite's statements."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._steps = 0
        for engine in (database.writing, database._reading):
            event.listen(engine, "checkout", self._count)

    async def start(self) -> None:
        self._steps = 0

    async def spent(self) -> Counter[str]:
        return Counter(steps=self._steps)

    def _count(self, connection: Any, *_: object) -> None:
        connection.set_progress_handler(self._step, _STEPS_AT_ONCE)

    def _step(self) -> int:
        self._steps += _STEPS_AT_ONCE
        return 0


class PostgresEffort:
    """Counts the rows of tables that are read one after the other, and the entries of indexes."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._url = database.url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._before: Counter[str] = Counter()
        for engine in (database._writing, database._reading):
            for end in ("commit", "rollback"):
                event.listen(engine.sync_engine, end, _told)

    async def start(self) -> None:
        self._before = await self._looked_at()

    async def spent(self) -> Counter[str]:
        return await self._looked_at() - self._before

    async def _looked_at(self) -> Counter[str]:
        connection = await asyncpg.connect(self._url)
        try:
            return Counter(dict(map(tuple, await connection.fetch(_LOOKED_AT))))
        finally:
            await connection.close()


def effort_of(database: object) -> Effort:
    """Return what counts the effort of *database*, from here on."""
    if isinstance(database, SqliteDatabase):
        return SqliteEffort(database)
    assert isinstance(database, PostgresDatabase)
    return PostgresEffort(database)


def _told(connection: Connection) -> None:
    """Have what was counted in this transaction told at its end, and not a second later."""
    if not connection.invalidated:
        connection.exec_driver_sql("SELECT pg_stat_force_next_flush()")
