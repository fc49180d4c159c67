"""SQLite as the store of one server process: its connections, its lock, and its transactions."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

from sqlalchemy import Connection, Engine, Executable, create_engine, event
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from phaseline.store.commit import Work
from phaseline.store.rows import Row
from phaseline.store.statements import Statements, statements_for
from phaseline.store.writer import StoreFailed

_BUSY_TIMEOUT_MS = 5_000
_READERS = 4


class DatabaseInUse(Exception):
    """Another process has this database open."""


class FileLock:
    """Keeps a second server off a database file, for as long as this process lives."""

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(database.name + ".lock")
        self._file: IO[str] | None = None

    def acquire(self) -> None:
        """Take the lock, or raise `DatabaseInUse` naming the process that has it."""
        # Opened to append: the holder's number must survive our attempt.
        file = self._path.open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            file.close()
            raise DatabaseInUse(
                f"{self._path.name} is held by process {holder}: one server at a time can use a "
                "SQLite file; stop that one, or move to PostgreSQL to run several"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        self._file = file

    def release(self) -> None:
        """Let others have it; the file stays, since removing it would race with them."""
        if self._file is not None:
            self._file.close()
            self._file = None


class SqliteDatabase:
    """
    One SQLite file.

    Writes go through one connection with a thread of its own, a whole transaction in one hop:
    a hop for each statement costs more than the statement. Reads have their own connections.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = FileLock(path)
        self.writing: Engine = _prepared(create_engine(f"sqlite:///{path}"), "IMMEDIATE")
        self.reading: AsyncEngine = create_async_engine(
            f"sqlite+aiosqlite:///{path}",
            pool_size=_READERS,
            max_overflow=0,
        )
        # Reads never take the write lock, so they neither wait for the writer nor hold it up.
        _prepared(self.reading.sync_engine, "DEFERRED")
        self.statements: Statements = statements_for(self.writing.dialect)
        self._thread = ThreadPoolExecutor(1, "phaseline-writer")
        self._connection: Connection | None = None

    async def apply(self, work: Work) -> None:
        """Run *work* in one durable transaction; raise `StoreFailed` if that is impossible now."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._apply, work)

    async def write(self, statement: Executable) -> int:
        """Run one statement in a transaction of its own, and return how many rows it changed."""

        def run() -> int:
            with self._writer().begin():
                return self._writer().execute(statement).rowcount

        return await asyncio.get_running_loop().run_in_executor(self._thread, run)

    async def close(self) -> None:
        """Close all connections and let go of the file."""
        await self.reading.dispose()
        await asyncio.get_running_loop().run_in_executor(self._thread, self._disconnect)
        self._thread.shutdown()
        self.writing.dispose()
        self.lock.release()

    def _apply(self, work: Work) -> None:
        try:
            with self._writer().begin():
                for statement, rows in work:
                    self._run(statement.sql, rows, exact=statement.changes_each)
        except OperationalError as error:
            # Full, locked, unreadable or gone: the connection may be what is broken.
            self._disconnect()
            raise StoreFailed(str(error.orig)) from error

    def _run(self, sql: str, rows: Sequence[Row], *, exact: bool) -> None:
        result = self._writer().exec_driver_sql(sql, list(rows))
        if exact and result.rowcount != len(rows):
            raise RuntimeError(
                f"{result.rowcount} of {len(rows)} rows changed: {sql.partition(' SET ')[0]}"
            )

    def _writer(self) -> Connection:
        if self._connection is None:
            self._connection = self.writing.connect()
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            try:
                connection.invalidate()
                connection.close()
            except DBAPIError:
                return


def _prepared(engine: Engine, begin: str) -> Engine:
    """Set up the connections of *engine*; its transactions start as *begin* says."""

    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, _record: object) -> None:
        # The driver would begin transactions by itself, and not in time for reads.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
        cursor.execute("PRAGMA cache_size = -65536")
        cursor.execute("PRAGMA temp_store = MEMORY")
        cursor.close()

    @event.listens_for(engine, "begin")
    def on_begin(connection: Connection) -> None:
        connection.exec_driver_sql(f"BEGIN {begin}")

    return engine
