"""Opening a store: from a URL to everything that reads and writes it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from sqlalchemy import Connection, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from phaseline.app.changes import Announcer
from phaseline.app.ports import Clock, Encoder, Needs
from phaseline.faults import Points
from phaseline.store import migrate, tables
from phaseline.store.batch import Loaded
from phaseline.store.commit import Work
from phaseline.store.failures import StoreFailed
from phaseline.store.load import is_known, load, read_active
from phaseline.store.log import TableLog
from phaseline.store.pieces import read_place
from phaseline.store.place import Place
from phaseline.store.pulse import Pulse
from phaseline.store.reads import Memory, Owned, Readable, TableReads
from phaseline.store.sqlite import SqliteDatabase
from phaseline.store.stale import TableStale, Tidying
from phaseline.store.working import Working
from phaseline.store.writer import Backend, GroupWriter

if TYPE_CHECKING:
    from phaseline.store.postgres import PostgresDatabase

T = TypeVar("T")

#: Connections for reads of PostgreSQL. The writer has one more, and so has the word of others.
POOL_SIZE = 8


class SqliteBackend:
    """`Backend` of the writer, over one SQLite file and the memory of the process that owns it."""

    # It writes an entry in each index of a column that is set, even where it stays as it was.
    sets_no_more = True

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    def turn(self) -> AbstractAsyncContextManager[None]:
        # Nobody else has the file.
        return nullcontext()

    async def load(self, needs: Needs, working: Working, loaded: Loaded) -> None:
        if not is_known(needs, working):
            await self._database.read_to_write(
                lambda connection: load(connection, needs, working, loaded)
            )

    async def apply(self, work: Work) -> None:
        await self._database.apply(work)

    async def place(self) -> Place:
        # On the connection that writes: it may have been made anew.
        return await self._database.write(read_place)

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


class Database(Readable, Protocol):
    """A database that can be read and written."""

    async def write(self, job: Callable[[Connection], T]) -> T:
        """Run *job* in a transaction of its own; raise `StoreFailed` if that is in doubt."""

    async def close(self) -> None:
        """Close all connections."""


class Neighbours(Memory, Protocol):
    """Others that use the same database."""

    def attach(self, announcer: Announcer, wake: Callable[[], None]) -> None:
        """Tell *announcer* what they commit, and *wake* the writer after it."""

    async def run(self) -> None:
        """Keep memory up with what they commit, until cancelled."""

    async def close(self) -> None:
        """Look for them no more."""


@dataclass(frozen=True, slots=True)
class Store:
    """An open store."""

    database: Database
    working: Working
    backend: Backend
    reads: TableReads
    log: TableLog
    stale: TableStale
    place: Place
    #: What its tokens are signed with.
    secret: bytes
    trimmed: int
    neighbours: Neighbours | None = None

    @property
    def epoch(self) -> str:
        """Which database this is."""
        return self.place.epoch

    @property
    def head(self) -> int:
        """The newest revision when it was opened."""
        return self.place.head

    def writer(
        self,
        announcer: Announcer,
        encoder: Encoder,
        clock: Clock,
        points: Points,
        *,
        pulse: Pulse | None = None,
    ) -> GroupWriter:
        """
        Return the writer, of which there may be one; its `run` must be made a task.

        With *pulse*, for which timers must run, no pause of the process costs a lease.
        """
        self.working.hold_leases(clock.now(), is_alone=self.neighbours is None)
        writer = GroupWriter(
            self.backend,
            self.working,
            announcer,
            encoder,
            clock,
            tidy=Tidying(self.working, encoder),
            points=points,
            pulse=pulse,
        )
        if self.neighbours is not None:
            self.neighbours.attach(announcer, writer.wake)
        return writer

    async def keep_up(self) -> None:
        """Take in what other processes commit, until cancelled; at once done if there are none."""
        if self.neighbours is not None:
            await self.neighbours.run()

    async def close(self) -> None:
        """Close it, and let others open it."""
        if self.neighbours is not None:
            await self.neighbours.close()
        await self.database.close()


async def open_store(
    url: str, *, pool_size: int = POOL_SIZE, listens: bool = True, prepares: bool = True
) -> Store:
    """
    Open the database of *url*, bring its schema up to date, and load what is active.

    All else is about PostgreSQL: connections for reads, whether all are this process's own and one
    more may wait for the word of others, and whether they keep what is prepared on them. Raises
    `DatabaseInUse` if another process has a file open, `SchemaUnknown` if a newer program wrote it,
    and `StoreFailed` if it cannot be opened.
    """
    if is_postgres(url):
        return await _open_postgres(
            _postgres(url, pool_size, is_shared=not listens, prepares=prepares), listens
        )
    database = SqliteDatabase(sqlite_path(url))
    try:
        await asyncio.to_thread(_make_ready, database)
        return await database.read(
            lambda connection: _opened(connection, database, SqliteBackend(database), Owned())
        )
    except BaseException:
        await database.close()
        raise


async def stored_version(url: str, *, listens: bool = True, prepares: bool = True) -> str:
    """Return the version of the tables; empty if there are none yet."""
    if is_postgres(url):
        postgres = _postgres(url, 1, is_shared=not listens, prepares=prepares)
        try:
            return await postgres.read(migrate.version_of) or ""
        finally:
            await postgres.close()
    path = sqlite_path(url)
    if not path.exists():
        return ""
    database = SqliteDatabase(path)
    try:
        return await database.read(migrate.version_of) or ""
    finally:
        await database.close()


def is_postgres(url: str) -> bool:
    """Whether *url* is that of a PostgreSQL database."""
    return url.startswith(("postgresql://", "postgresql+asyncpg://"))


def sqlite_path(url: str) -> Path:
    """Return the file that *url*, or a plain path, names."""
    if "://" not in url:
        return Path(url).expanduser()
    parsed = make_url(url)
    if not parsed.drivername.startswith("sqlite") or not parsed.database:
        raise ValueError(f"{url!r} is no SQLite database: give a path or sqlite:///PATH")
    return Path(parsed.database).expanduser()


def _make_ready(database: SqliteDatabase) -> None:
    if not database.path.parent.is_dir():
        raise StoreFailed(
            f"there is no directory {str(database.path.parent)!r}, where the database is to be"
        )
    database.lock.acquire()
    try:
        database.make()
        migrate.upgrade(database.writing)
    except DBAPIError as error:
        raise StoreFailed(f"{database.path} cannot be used as a database: {error.orig}") from error


def _postgres(url: str, pool_size: int, *, is_shared: bool, prepares: bool) -> PostgresDatabase:
    try:
        from phaseline.store.postgres import PostgresDatabase
    except ModuleNotFoundError as error:
        raise StoreFailed(
            f"PostgreSQL needs the package {error.name}: install phaseline[postgresql]"
        ) from error
    return PostgresDatabase(url, pool_size=pool_size, is_shared=is_shared, prepares=prepares)


async def _open_postgres(database: PostgresDatabase, listens: bool) -> Store:
    working = Working()
    from phaseline.store.following import Following
    from phaseline.store.turns import PostgresBackend

    following = Following(database, working, listens=listens)
    backend = PostgresBackend(database, following.replica, working, following.tell)
    try:
        await asyncio.to_thread(database.migrate)
        return await database.read(
            lambda connection: _opened(connection, database, backend, following, working)
        )
    except BaseException:
        await database.close()
        raise


def _opened(
    connection: Connection,
    database: Database,
    backend: Backend,
    memory: Owned | Neighbours,
    working: Working | None = None,
) -> Store:
    working = working or Working()
    row = connection.execute(select(tables.identity)).one()
    for execution in read_active(connection, working):
        working.adopt(execution)
    working.place = Place(row.epoch, row.head, row.commits)
    return Store(
        database,
        working,
        backend,
        TableReads(database, working, memory),
        TableLog(database, working, memory),
        TableStale(database),
        working.place,
        secret=row.secret,
        trimmed=row.trimmed,
        neighbours=None if isinstance(memory, Owned) else memory,
    )
