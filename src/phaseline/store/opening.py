"""Opening a store: from a URL to everything that reads and writes it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import select, text
from sqlalchemy.engine import make_url

from phaseline.app.changes import Announcer
from phaseline.app.ports import Clock, Encoder, Needs
from phaseline.domain.execution import Execution
from phaseline.domain.ids import Key
from phaseline.store import migrate, tables
from phaseline.store.batch import Loaded
from phaseline.store.commit import Work
from phaseline.store.faults import Points
from phaseline.store.load import load, read_executions
from phaseline.store.log import TableLog
from phaseline.store.reads import TableReads
from phaseline.store.sqlite import SqliteDatabase
from phaseline.store.statements import Statements
from phaseline.store.tables import IS_ACTIVE
from phaseline.store.working import Working
from phaseline.store.writer import GroupWriter


class SqliteBackend:
    """`Backend` of the writer, over one SQLite file and the memory of the process that owns it."""

    def __init__(self, database: SqliteDatabase, reads: TableReads) -> None:
        self._database, self._reads = database, reads

    @property
    def statements(self) -> Statements:
        return self._database.statements

    async def load(self, needs: Needs, working: Working, loaded: Loaded) -> None:
        if not _is_known(needs, working):
            async with self._reads.snapshot() as connection:
                await load(connection, needs, working, loaded)

    async def apply(self, work: Work) -> None:
        await self._database.apply(work)


class MemoryAlarm:
    """`Alarm` of app/timers.py: the executions in memory know when time changes them next."""

    def __init__(self, working: Working, clock: Clock) -> None:
        self._working, self._clock = working, clock
        self._moved = asyncio.Event()

    async def next_due(self) -> float | None:
        due = self._working.indexes.next_due()
        if due is None:
            return None
        return max((due - self._clock.now()).total_seconds(), 0.0)

    async def sooner(self) -> None:
        before: datetime | None = self._working.indexes.next_due()
        while True:
            self._moved.clear()
            await self._moved.wait()
            due = self._working.indexes.next_due()
            if due is not None and (before is None or due < before):
                return

    def rung(self) -> None:
        """Look again: a commit may have set an earlier time."""
        self._moved.set()


@dataclass(frozen=True, slots=True)
class Store:
    """An open store."""

    database: SqliteDatabase
    working: Working
    reads: TableReads
    log: TableLog
    #: Which database this is, and what its tokens are signed with.
    epoch: str
    secret: bytes
    head: int
    trimmed: int

    def writer(
        self, announcer: Announcer, encoder: Encoder, clock: Clock, points: Points
    ) -> GroupWriter:
        """Return the writer; its `run` must be made a task."""
        return GroupWriter(
            SqliteBackend(self.database, self.reads),
            self.working,
            announcer,
            encoder,
            clock,
            head=self.head,
            points=points,
        )

    async def close(self) -> None:
        """Close it, and let others open it."""
        await self.database.close()


async def open_store(url: str) -> Store:
    """
    Open the database of *url*, bring its schema up to date, and load what is active.

    Raises `DatabaseInUse` if another process has it open.
    """
    database = SqliteDatabase(sqlite_path(url))
    await asyncio.to_thread(_make_ready, database)
    working = Working()
    reads = TableReads(database.reading, working)
    table = tables.identity
    async with reads.snapshot() as connection:
        row = (
            await connection.execute(
                select(table.c.epoch, table.c.secret, table.c.head, table.c.trimmed)
            )
        ).one()
    await _load_active(reads, working)
    return Store(
        database,
        working,
        reads,
        TableLog(reads, working),
        epoch=row.epoch,
        secret=row.secret,
        head=row.head,
        trimmed=row.trimmed,
    )


def sqlite_path(url: str) -> Path:
    """Return the file that *url*, or a plain path, names."""
    if "://" not in url:
        return Path(url).expanduser()
    parsed = make_url(url)
    if not parsed.drivername.startswith("sqlite") or not parsed.database:
        raise ValueError(f"{url!r} is no SQLite database: give a path or sqlite:///PATH")
    return Path(parsed.database).expanduser()


def _make_ready(database: SqliteDatabase) -> None:
    database.path.parent.mkdir(parents=True, exist_ok=True)
    database.lock.acquire()
    try:
        migrate.upgrade(database.writing)
    except BaseException:
        database.lock.release()
        raise


async def _load_active(reads: TableReads, working: Working) -> None:
    e = tables.executions.c
    statement = select(e.workspace_id, e.execution_id).where(text(IS_ACTIVE))
    async with reads.snapshot() as connection:
        keys = [Key(*row) for row in await connection.execute(statement)]
        for execution in await read_executions(connection, keys, working):
            _adopt(working, execution)


def _adopt(working: Working, execution: Execution) -> None:
    working.put(execution)
    working.indexes.replace(None, execution)


def _is_known(needs: Needs, working: Working) -> bool:
    """Whether memory holds all that *needs* names."""
    if needs.requests or needs.children or needs.operations:
        return False
    if any(working.workflow(ref) is None for ref in needs.workflows):
        return False
    for key in needs.executions:
        execution = working.get(key)
        if execution is None:
            return False
        workspace_id = key.workspace_id
        for ancestor in execution.spec.ancestor_execution_ids:
            if working.get(Key(workspace_id, ancestor)) is None:
                return False
    return True
