"""PostgreSQL as the store of any number of server processes: connections and transactions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any, TypeVar

import asyncpg
from sqlalchemy import Connection, NullPool, func, make_url, select, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from phaseline.store import migrate
from phaseline.store.connecting import (
    CONNECT_SECONDS,
    READING,
    STATEMENT_SECONDS,
    WatchfulConnection,
    engine_of,
    settings_of,
)
from phaseline.store.failures import StoreFailed
from phaseline.store.place import Place
from phaseline.store.postgres_text import text_for
from phaseline.store.rows import Row
from phaseline.store.statements import Action, Statement
from phaseline.store.tables import identity

T = TypeVar("T")

_TURN_SECONDS = 30
# How long a process that stopped in its turn holds up the others.
_STOPPED_MILLISECONDS = 5_000

_LIMITED: dict[str, Any] = {"max_overflow": 0, "pool_timeout": CONNECT_SECONDS}

# The name of the lock of those that migrate: any number that nobody else uses.
_MIGRATING = 0x706861736C696E65

# Classes of SQLSTATE that tell of a wrong statement, or of wrong values in it.
_OUR_FAULTS = ("21", "22", "23", "42", "44")
# But these: a table that is not there, or not for us.
_NOT_OURS = ("42P01", "42501")

# One statement, so that it is one trip: it takes the turn, and bounds it for this transaction
# alone, as a pooler between us and the server may give the connection to others afterwards.
_TAKE_TURN = text(
    "SELECT set_config('idle_in_transaction_session_timeout', "
    f"'{_STOPPED_MILLISECONDS}', true), epoch, head, commits FROM identity FOR UPDATE"
)

# For what moves a whole database: while one side of it works, the other is idle.
_TAKE_YOUR_TIME = text(
    "SELECT set_config('idle_in_transaction_session_timeout', '0', true), "
    "set_config('lock_timeout', '0', true)"
)

_LOOK = text("SELECT epoch, head, commits FROM identity")


class PostgresDatabase:
    """
    One PostgreSQL database, shared with other processes.

    Everything runs in the event loop: its driver waits for no thread. Of connections and what is
    prepared on them it knows what `engine_of` is told.
    """

    def __init__(
        self, url: str, *, pool_size: int, is_shared: bool = False, prepares: bool = True
    ) -> None:
        self.url = postgres_url(url)
        self._engine = partial(engine_of, self.url, is_shared=is_shared, prepares=prepares)
        # All of a read is as of one moment, however many statements it has.
        self._reading = self._engine(
            settings=READING, isolation_level="REPEATABLE READ", pool_size=pool_size, **_LIMITED
        )
        self._looking = self._reading.execution_options(isolation_level="AUTOCOMMIT")
        # Each statement of a turn sees what was committed before the turn was taken.
        self._writing = self._engine(isolation_level="READ COMMITTED", pool_size=1, **_LIMITED)

    def migrate(self) -> None:
        """Bring the tables to what this program works with; blocks, in a thread without a loop."""
        asyncio.run(self._migrate())

    async def read(self, query: Callable[[Connection], T]) -> T:
        """
        Return what *query* finds, as of one moment; raise `StoreFailed` if that is impossible now.

        If the caller stops waiting, the server is told to stop, too.
        """
        try:
            return await self._read(query)
        except _Disconnected:
            # The server was restarted, or another has taken its place: there is a new connection.
            return await self._read(query)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[tuple[AsyncConnection, Place]]:
        """
        Begin a transaction that nobody else can be in meanwhile; roll it back at the end.

        Gives where the database stands until it is committed.

        Raises `StoreFailed` if there is no turn to be had.
        """
        async with self._connected(self._writing) as connection:
            try:
                place = await _taken(connection)
            except _Disconnected:
                # Nothing has happened yet, and there is a new connection to be had.
                await connection.rollback()
                place = await _taken(connection)
            yield connection, place

    async def run(self, connection: AsyncConnection, job: Callable[[Connection], T]) -> T:
        """Return what *job* does in a turn; raise `StoreFailed` if the database fails."""
        with _failures():
            async with asyncio.timeout(_TURN_SECONDS):
                return await connection.run_sync(job)

    async def commit(self, connection: AsyncConnection) -> None:
        """Commit a turn; raise `StoreFailed` if that is in doubt."""
        with _failures():
            async with asyncio.timeout(_TURN_SECONDS):
                await connection.commit()

    async def write(self, job: Callable[[Connection], T]) -> T:
        """Run *job* in a turn of its own; raise `StoreFailed` if what became of it is in doubt."""
        async with self.turn() as (connection, _):
            result = await self.run(connection, job)
            await self.commit(connection)
            return result

    @asynccontextmanager
    async def long_turn(self) -> AsyncIterator[Any]:
        """
        Keep everybody else from writing for the block, however long, and commit at its end.

        Gives what runs a job in it.
        """
        async with self._connected(self._writing) as connection:
            with _failures():
                await connection.execute(_TAKE_YOUR_TIME)
                await connection.execute(select(identity.c.head).with_for_update())

            async def run(job: Callable[[Connection], T]) -> T:
                with _failures():
                    return await connection.run_sync(job)

            yield run
            await self.commit(connection)

    async def place(self) -> Place:
        """Return where the database stands, in one trip."""
        try:
            return await self._place()
        except _Disconnected:
            return await self._place()

    async def connect_alone(self) -> Any:
        """Return a connection of the driver's own, outside of the pools."""
        arguments, options = self._writing.dialect.create_connect_args(self.url)
        return await asyncpg.connect(
            *arguments,
            **options,
            timeout=CONNECT_SECONDS,
            connection_class=WatchfulConnection,
            server_settings=settings_of(),
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._reading.dispose()
        await self._writing.dispose()

    async def _place(self) -> Place:
        async with self._connected(self._looking) as connection:
            with _failures():
                async with asyncio.timeout(STATEMENT_SECONDS):
                    return Place(*(await connection.execute(_LOOK)).one())

    async def _read(self, query: Callable[[Connection], T]) -> T:
        async with self._connected(self._reading) as connection:
            with _failures():
                async with asyncio.timeout(STATEMENT_SECONDS):
                    return await connection.run_sync(query)

    async def _migrate(self) -> None:
        # How long that takes, and how long another takes who does it, is not known.
        patient = {"lock_timeout": "0", "idle_in_transaction_session_timeout": "0"}
        engine = self._engine(settings=patient, poolclass=NullPool)
        try:
            with _failures():
                async with engine.begin() as connection:
                    # Others may start at the same time. To its end they are kept waiting.
                    await connection.execute(select(func.pg_advisory_xact_lock(_MIGRATING)))
                    await connection.run_sync(migrate.bring_up)
        except DBAPIError as error:
            raise StoreFailed(f"the database cannot be used: {error.orig}") from error
        finally:
            await engine.dispose()

    @asynccontextmanager
    async def _connected(self, engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
        connection = engine.connect()
        with _failures():
            _ = await connection.start()
        try:
            yield connection
        except BaseException:
            # Whatever it was doing, nobody else is to wait for it.
            await asyncio.shield(_dropped(connection))
            raise
        await connection.close()


class _Disconnected(StoreFailed):
    """The connection was lost; another can be had."""


async def _taken(connection: AsyncConnection) -> Place:
    with _failures():
        async with asyncio.timeout(_TURN_SECONDS):
            row = (await connection.execute(_TAKE_TURN)).one()
    return Place(row.epoch, row.head, row.commits)


async def _dropped(connection: AsyncConnection) -> None:
    try:
        await connection.invalidate()
    finally:
        await connection.close()


def postgres_url(url: str) -> URL:
    """Return *url* with the driver that we use."""
    return make_url(url).set(drivername="postgresql+asyncpg")


def run_rows(connection: Connection, rows: Mapping[Statement, Sequence[Row]]) -> None:
    """Run statements for all of their rows, in the transaction of *connection*."""
    # Removed first, what is removed makes room for its like. All the rest is one trip: each takes
    # as long as the work of many rows.
    removals = [each for each in rows if each.action is Action.DELETE]
    others = [each for each in rows if each.action is not Action.DELETE]
    for together in (*([each] for each in removals), others):
        _run(connection, {each: rows[each] for each in together if rows[each]})


def _run(connection: Connection, rows: Mapping[Statement, Sequence[Row]]) -> None:
    if not rows:
        return
    arrays = tuple(list(column) for given in rows.values() for column in zip(*given, strict=True))
    counts = connection.exec_driver_sql(text_for(*rows), arrays).one()
    for (statement, given), changed in zip(rows.items(), counts, strict=True):
        statement.check_changed(changed, len(given))


@contextmanager
def _failures() -> Iterator[None]:
    """Raise `StoreFailed` for what the database, and not its user, did wrong."""
    try:
        yield
    except DBAPIError as error:
        if error.connection_invalidated:
            raise _Disconnected(str(error.orig)) from error
        state = getattr(error.orig, "sqlstate", None) or ""
        if state[:2] in _OUR_FAULTS and state not in _NOT_OURS:
            raise
        raise StoreFailed(str(error.orig)) from error
    except StatementError as error:
        # A connection that could not be made anew.
        if not isinstance(error.orig, OSError | asyncpg.PostgresError | asyncpg.InterfaceError):
            raise
        raise StoreFailed(str(error.orig)) from error
    except (OSError, PoolTimeout) as error:
        # A timeout is an OSError, too.
        raise StoreFailed(str(error) or "the database does not answer") from error
