"""Opening a store: from a URL to everything that reads and writes it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from phaseline.app.changes import Announcer
from phaseline.app.ports import Clock, Encoder, Needs
from phaseline.domain.advance import hold_leases
from phaseline.domain.ids import Key
from phaseline.store import migrate, tables
from phaseline.store.batch import Loaded
from phaseline.store.commit import Place, Work
from phaseline.store.failures import StoreFailed
from phaseline.store.faults import Points
from phaseline.store.load import load, read_active
from phaseline.store.log import TableLog
from phaseline.store.reads import TableReads
from phaseline.store.sqlite import SqliteDatabase
from phaseline.store.stale import TableStale, Tidying
from phaseline.store.working import Working
from phaseline.store.writer import GroupWriter

T = TypeVar("T")


class SqliteBackend:
    """`Backend` of the writer, over one SQLite file and the memory of the process that owns it."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def load(self, needs: Needs, working: Working, loaded: Loaded) -> None:
        if not _is_known(needs, working):
            await self._database.read(lambda connection: load(connection, needs, working, loaded))

    async def apply(self, work: Work) -> None:
        await self._database.apply(work)

    async def place(self) -> Place:
        # On the connection that writes: it may have been made anew.
        return await self._database.write(_place)

    async def write(self, job: Callable[[Connection], T]) -> T:
        return await self._database.write(job)


class MemoryAlarm:
    """`Alarm` of app/timers.py: the executions in memory know when time changes them next."""

    def __init__(self, working: Working, clock: Clock) -> None:
        self._working, self._clock = working, clock
        self._moved = asyncio.Event()
        working.listeners.append(self._moved.set)

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


@dataclass(frozen=True, slots=True)
class Store:
    """An open store."""

    database: SqliteDatabase
    working: Working
    reads: TableReads
    log: TableLog
    stale: TableStale
    place: Place
    #: What its tokens are signed with.
    secret: bytes
    trimmed: int

    @property
    def epoch(self) -> str:
        """Which database this is."""
        return self.place.epoch

    @property
    def head(self) -> int:
        """The newest revision when it was opened."""
        return self.place.head

    def writer(
        self, announcer: Announcer, encoder: Encoder, clock: Clock, points: Points
    ) -> GroupWriter:
        """Return the writer, of which there may be one; its `run` must be made a task."""
        # In memory only: were this process to end before a report renews them, the next would hold
        # them again.
        for execution in list(self.working.executions.values()):
            held = hold_leases(execution, clock.now())
            if held is not execution:
                self.working.put(held)
                self.working.indexes.replace(execution, held)
        return GroupWriter(
            SqliteBackend(self.database),
            self.working,
            announcer,
            encoder,
            clock,
            place=self.place,
            tidy=Tidying(self.working, encoder),
            points=points,
        )

    async def close(self) -> None:
        """Close it, and let others open it."""
        await self.database.close()


async def open_store(url: str) -> Store:
    """
    Open the database of *url*, bring its schema up to date, and load what is active.

    Raises `DatabaseInUse` if another process has it open, `SchemaUnknown` if a newer program wrote
    it, and `StoreFailed` if it cannot be opened.
    """
    database = SqliteDatabase(sqlite_path(url))
    try:
        await asyncio.to_thread(_make_ready, database)
        return await database.read(lambda connection: _opened(database, connection))
    except BaseException:
        await database.close()
        raise


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
        database.make()
        migrate.upgrade(database.writing)
    except DBAPIError as error:
        raise StoreFailed(f"{database.path} cannot be used as a database: {error.orig}") from error


def _opened(database: SqliteDatabase, connection: Connection) -> Store:
    working = Working()
    row = connection.execute(select(tables.identity)).one()
    for execution in read_active(connection, working):
        working.adopt(execution)
    working.head = row.head
    return Store(
        database,
        working,
        TableReads(database, working),
        TableLog(database, working),
        TableStale(database),
        Place(row.epoch, row.head, row.commits),
        secret=row.secret,
        trimmed=row.trimmed,
    )


def _place(connection: Connection) -> Place:
    c = tables.identity.c
    return Place(*connection.execute(select(c.epoch, c.head, c.commits)).one())


def _is_known(needs: Needs, working: Working) -> bool:
    """Whether memory holds all that *needs* names."""
    if needs.requests or needs.children or needs.closings:
        return False
    if any(working.attempts.get((one.slot, one.epoch)) is None for one in needs.operations):
        return False
    if any(working.workflow(ref) is None for ref in needs.workflows):
        return False
    for key in (*needs.executions, *needs.trees, *needs.purges):
        execution = working.get(key)
        if execution is None:
            return False
        workspace_id = key.workspace_id
        for ancestor in execution.spec.ancestor_execution_ids:
            if working.get(Key(workspace_id, ancestor)) is None:
                return False
    return True
