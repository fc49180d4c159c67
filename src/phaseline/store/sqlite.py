"""SQLite as the store of one server process: its connections, and its transactions."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from phaseline.store.commit import Work
from phaseline.store.failures import DatabaseInUse, StoreFailed
from phaseline.store.files import FileLock, OpenFiles
from phaseline.store.gate import Gate
from phaseline.store.rows import Row
from phaseline.store.sqlite_text import sizes, text_for
from phaseline.store.statements import Statement

__all__ = ["DatabaseInUse", "SqliteDatabase"]

T = TypeVar("T")

_BUSY_TIMEOUT = 5.0
_READERS = 4
# Every statement of a commit, in every number of rows, stays prepared.
_PREPARED = 512
# A log that a burst has made large gives its room back.
_KEPT_LOG = 64 * 1024 * 1024

_PRAGMAS = (
    "synchronous = FULL",
    # Elsewhere the same as above; on macOS only this reaches the disk.
    "fullfsync = ON",
    "cache_size = -16384",
    "temp_store = MEMORY",
    f"journal_size_limit = {_KEPT_LOG}",
)

# The statement itself is wrong, or what it was given: not the fault of the database.
_OUR_FAULTS = (
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.ProgrammingError,
    sqlite3.InterfaceError,
    sqlite3.NotSupportedError,
)


class SqliteDatabase:
    """
    One SQLite file.

    Writes go through one connection with a thread of its own, a whole transaction in one hop:
    a hop for each statement costs more than the statement. So does every read, on connections of
    which there are few.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = FileLock(path)
        self.writing: Engine = _engine(path, "IMMEDIATE", connections=1)
        # Reads never take the write lock, so they neither wait for the writer nor hold it up.
        self._reading: Engine = _engine(path, "DEFERRED", connections=_READERS + 1)
        self._files = OpenFiles(path)
        self._writer_thread = ThreadPoolExecutor(1, "phaseline-writer")
        self._reader_threads = ThreadPoolExecutor(_READERS, "phaseline-reader")
        self._gate = Gate()
        self._connection: Connection | None = None

    def make(self) -> None:
        """Make the file, empty, if there is none."""
        # Its owner's alone: it holds what the tokens are signed with.
        os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))

    async def read(self, query: Callable[[Connection], T]) -> T:
        """
        Return what *query* finds, as of one moment; raise `StoreFailed` if that is impossible now.

        It runs in another thread, to its end even if the caller stops waiting.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._reader_threads, self._read, query)

    async def read_to_write(self, query: Callable[[Connection], T]) -> T:
        """Do as `read`, for the writer, who waits behind no other reader: all wait for it."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._writer_thread, self._read, query)

    async def apply(self, work: Work) -> None:
        """Run *work* in one durable transaction; raise `StoreFailed` if that is in doubt."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._writer_thread, self._apply, work)

    async def write(self, job: Callable[[Connection], T]) -> T:
        """Run *job* in a transaction of its own, between two others; raise as `apply` does."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._writer_thread, self._write, job)

    async def close(self) -> None:
        """Close all connections and let go of the file; what was begun ends first."""
        await asyncio.to_thread(self._close)

    def _read(self, query: Callable[[Connection], T]) -> T:
        with self._gate.passed(), _failures(), self._reading.connect() as connection:
            try:
                return query(connection)
            except DBAPIError:
                # It may be the connection that is broken.
                connection.invalidate()
                raise

    def _write(self, job: Callable[[Connection], T]) -> T:
        with _failures():
            self._check_files()
            connection = self._writer()
            try:
                with connection.begin():
                    result = job(connection)
            finally:
                if _driver(connection).in_transaction:
                    # It could not even roll back.
                    self._disconnect()
            # Only what is in the files at their paths is found again after a restart.
            self._files.check()
            return result

    def _apply(self, work: Work) -> None:
        if work.chores:
            self._write(lambda connection: _run_all(connection, work))
            return
        with _failures():
            self._check_files()
            driver = _driver(self._writer())
            try:
                # Without SQLAlchemy, as the rows are: this is what every commit waits for.
                driver.execute("BEGIN IMMEDIATE")
                try:
                    _run_rows(driver, work.rows)
                except BaseException:
                    driver.rollback()
                    raise
                driver.commit()
            finally:
                if driver.in_transaction:
                    # It could not even roll back.
                    self._disconnect()
            self._files.check()

    def _check_files(self) -> None:
        if self._connection is None:
            return
        try:
            self._files.check()
        except StoreFailed:
            if self._files.database_is_there:
                self._reopen()
            raise

    def _reopen(self) -> None:
        """
        Save what is in a log that was removed, and let every connection make a new one.

        As long as one connection is open, the others that come would take another log for theirs.
        """
        with self._gate.closed():
            self._reading.dispose()
            # The last connection to close moves the log into the database.
            self._disconnect()

    def _writer(self) -> Connection:
        if self._connection is None:
            connection = self.writing.connect()
            # The files of the log are opened by the first read.
            _driver(connection).execute("SELECT 1 FROM sqlite_master").fetchall()
            self._files.remember()
            self._connection = connection
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()
            connection.close()

    def _close(self) -> None:
        self._reader_threads.shutdown()
        self._reading.dispose()
        self._writer_thread.submit(self._disconnect).result()
        self._writer_thread.shutdown()
        self.writing.dispose()
        self.lock.release()


def run_rows(connection: Connection, rows: Mapping[Statement, Sequence[Row]]) -> None:
    """Run statements for all of their rows, in the transaction of *connection*."""
    _run_rows(_driver(connection), rows)


def _run_all(connection: Connection, work: Work) -> None:
    run_rows(connection, work.rows)
    for chore in work.chores:
        chore(connection)


def _run_rows(driver: sqlite3.Connection, rows: Mapping[Statement, Sequence[Row]]) -> None:
    # Without SQLAlchemy, whose binding of rows would cost more than the database itself.
    for statement in rows:
        _run(driver, statement, rows[statement])


def _run(driver: sqlite3.Connection, statement: Statement, rows: Sequence[Row]) -> None:
    at = changed = 0
    for size in sizes(statement, len(rows)):
        # All rows in one statement: the driver lets other threads have the interpreter at each,
        # and would have to wait for it as often.
        values = [value for row in rows[at : at + size] for value in row]
        changed += driver.execute(text_for(statement, size), values).rowcount
        at += size
    statement.check_changed(changed, len(rows))


@contextmanager
def _failures() -> Iterator[None]:
    """Raise `StoreFailed` for what the database, and not its user, did wrong."""
    try:
        yield
    except DBAPIError as error:
        if not _is_our_fault(error.orig):
            raise StoreFailed(str(error.orig)) from error
        raise
    except sqlite3.Error as error:
        if not _is_our_fault(error):
            raise StoreFailed(str(error)) from error
        raise


def _is_our_fault(error: BaseException | None) -> bool:
    # Full, locked, unreadable or gone have numbers of their own; this one is wrong SQL.
    is_wrong = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR
    return is_wrong or isinstance(error, _OUR_FAULTS)


def _driver(connection: Connection) -> sqlite3.Connection:
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver


def _engine(path: Path, begin: str, *, connections: int) -> Engine:
    """Return an engine whose transactions start as *begin* says. It makes no database."""
    # A file that has vanished must not come back empty.
    uri = f"{path.absolute().as_uri()}?mode=rw"

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            uri,
            uri=True,
            timeout=_BUSY_TIMEOUT,
            # The driver would begin transactions by itself, and not in time for reads.
            isolation_level=None,
            check_same_thread=False,
            cached_statements=_PREPARED,
        )
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise StoreFailed(f"{path} cannot have a write-ahead log, its journal mode is {mode}")
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")
        return connection

    engine = create_engine(
        "sqlite://",
        creator=connect,
        poolclass=QueuePool,
        pool_size=connections,
        max_overflow=0,
    )

    @event.listens_for(engine, "begin")
    def on_begin(connection: Any) -> None:
        connection.exec_driver_sql(f"BEGIN {begin}")

    return engine
