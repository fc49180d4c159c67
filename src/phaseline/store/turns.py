"""The turns of one process at a database that it shares: one of them decides at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeVar

from sqlalchemy import Connection, delete
from sqlalchemy.ext.asyncio import AsyncConnection

from phaseline.app.ports import Needs
from phaseline.store import tables
from phaseline.store.batch import Loaded
from phaseline.store.commit import Work
from phaseline.store.load import is_known, load
from phaseline.store.place import Place
from phaseline.store.postgres import PostgresDatabase, run_rows
from phaseline.store.replica import Replica
from phaseline.store.statements import ADD_TOUCHED
from phaseline.store.working import Working

T = TypeVar("T")

# A process that is further behind reads its memory anew.
_KEPT = 10_000
_FORGOTTEN_AT_ONCE = 500


class PostgresBackend:
    """
    `Backend` of the writer, over a database that others write to as well.

    A turn begins by locking the one row that every commit changes, and by taking in what others
    have committed. So decisions are made one after the other, whoever makes them, each on all
    that was committed before it: limits, queues and leases are as exact as in one process.
    """

    # It compares what is set with what was. And all that a commit does is one text, of which fewer
    # differ so.
    sets_no_more = False

    def __init__(
        self,
        database: PostgresDatabase,
        replica: Replica,
        working: Working,
        tell: Callable[[], None],
    ) -> None:
        self._database, self._replica, self._working = database, replica, working
        self._tell = tell
        self._connection: AsyncConnection | None = None

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        async with self._database.turn() as (connection, place), self._replica.lock:
            await self._database.run(connection, partial(self._replica.catch_up, place))
            self._connection = connection
            try:
                yield
            finally:
                self._connection = None

    async def load(self, needs: Needs, working: Working, loaded: Loaded) -> None:
        if not is_known(needs, working):
            await self._run(lambda connection: load(connection, needs, working, loaded))

    async def apply(self, work: Work) -> None:
        await self._run(partial(_run_all, work))
        await self._database.commit(self._in_turn)
        self._tell()

    async def place(self) -> Place:
        # In a turn memory is as the database is: also if that committed what was in doubt.
        return self._working.place

    async def write(self, job: Callable[[Connection], T]) -> T:
        return await self._database.write(job)

    @property
    def _in_turn(self) -> AsyncConnection:
        assert self._connection is not None, "it is this process's turn"
        return self._connection

    async def _run(self, job: Callable[[Connection], T]) -> T:
        return await self._database.run(self._in_turn, job)


def _run_all(work: Work, connection: Connection) -> None:
    told = (work.place.commits, work.touched().pack())
    run_rows(connection, {**work.rows, ADD_TOUCHED: [told]})
    for chore in work.chores:
        chore(connection)
    if work.place.commits % _FORGOTTEN_AT_ONCE == 0:
        old = tables.touched.c.number <= work.place.commits - _KEPT
        connection.execute(delete(tables.touched).where(old))
