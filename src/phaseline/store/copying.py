"""Moving everything from one database to another, of whatever kind, checked row by row."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection, Table, func, select, tuple_, update

from phaseline.store import migrate
from phaseline.store.failures import CannotCopy
from phaseline.store.opening import is_postgres, open_store, sqlite_path
from phaseline.store.rows import Row
from phaseline.store.running import run_rows
from phaseline.store.sqlite import SqliteDatabase
from phaseline.store.statements import Action, Statement
from phaseline.store.tables import identity, metadata, touched

T = TypeVar("T")
Told = Callable[[str, int], None]

_AT_ONCE = 1_000

#: What processes that share the source told one another is of no use elsewhere.
_COPIED = tuple(each for each in metadata.sorted_tables if each not in (identity, touched))


class Run(Protocol):
    """Runs jobs in one transaction, one after the other."""

    async def __call__(self, job: Callable[[Connection], T]) -> T: ...


async def copy(source: str, target: str, told: Told) -> None:
    """
    Move all that the database *source* has to *target*, which must be empty, and check it.

    *told* hears of each table and how many rows it has. The target becomes what the source was, so
    that tokens given out before are honoured there, and the source becomes another: from then on it
    refuses them. Nobody can write to either meanwhile. Raises `CannotCopy`, and what `open_store`
    raises; then the target is empty as before.
    """
    await asyncio.to_thread(_check_different, source, target)
    for url in (source, target):
        # Both have the tables of this version afterwards, and can be used.
        await (await open_store(url)).close()
    async with AsyncExitStack() as stack:
        # Left in the other order: at no time do both honour the same tokens.
        into = await stack.enter_async_context(_transaction(target))
        of = await stack.enter_async_context(_transaction(source))
        await _check_empty(into)
        for table in _COPIED:
            count = await _copy(table, of, into)
            await _check(table, of, into)
            told(table.name, count)
        await _hand_over(of, into)


def _check_different(source: str, target: str) -> None:
    if source == target:
        raise CannotCopy("source and target are the same")
    if not is_postgres(source) and not sqlite_path(source).exists():
        # To open it would make it.
        raise CannotCopy(f"there is no database at {sqlite_path(source)}")


async def _check_empty(into: Run) -> None:
    for table in _COPIED:
        if await into(partial(_count, table)):
            raise CannotCopy(f"the target is not empty: there are rows in {table.name}")


async def _copy(table: Table, of: Run, into: Run) -> int:
    columns = tuple(table.columns.keys())
    insert = Statement(Action.INSERT, table, columns, tuple(table.primary_key.columns.keys()))
    copied = 0
    async for (rows,) in _pages(table, of):
        await into(partial(run_rows, rows={insert: rows}))
        copied += len(rows)
    return copied


async def _check(table: Table, of: Run, into: Run) -> None:
    """Raise `CannotCopy` unless both have the same rows, one by one."""
    async for read, stored in _pages(table, of, into):
        if stored != read:
            raise CannotCopy(f"what was stored in {table.name} is not what was read")


async def _pages(table: Table, *runs: Run) -> AsyncIterator[Sequence[Sequence[Row]]]:
    """Yield all rows in the order of their key, some at a time, as each of *runs* has them."""
    after: Row | None = None
    while any(pages := [await run(partial(_page, table, after)) for run in runs]):
        yield pages
        after = _key_of(table, pages[0][-1])


def _key_of(table: Table, row: Row) -> Row:
    names = list(table.columns.keys())
    return tuple(row[names.index(column.key)] for column in table.primary_key.columns)


def _page(table: Table, after: Row | None, connection: Connection) -> Sequence[Row]:
    key = list(table.primary_key.columns)
    statement = select(table).order_by(*key).limit(_AT_ONCE)
    if after is not None:
        statement = statement.where(tuple_(*key) > tuple_(*after))
    return [tuple(row) for row in connection.execute(statement)]


async def _hand_over(of: Run, into: Run) -> None:
    """Let the target be what the source was, and that be another database."""
    kept: dict[str, Any] = dict(await of(lambda c: c.execute(select(identity)).mappings().one()))
    await into(lambda connection: connection.execute(update(identity).values(**kept)))
    if await into(lambda c: c.execute(select(identity)).mappings().one()) != kept:
        raise CannotCopy("what the target is could not be stored")
    other = migrate.new_identity()
    changed = {name: other[name] for name in ("epoch", "secret")}
    await of(lambda connection: connection.execute(update(identity).values(**changed)))


def _count(table: Table, connection: Connection) -> int:
    return connection.execute(select(func.count()).select_from(table)).scalar_one()


@asynccontextmanager
async def _transaction(url: str) -> AsyncIterator[Run]:
    """Keep everybody else from writing for the block, and commit it unless it raises."""
    if is_postgres(url):
        from phaseline.store.postgres import PostgresDatabase

        postgres = PostgresDatabase(url, pool_size=1)
        try:
            async with postgres.long_turn() as run:
                yield run
        finally:
            await postgres.close()
        return
    database = SqliteDatabase(sqlite_path(url))
    try:
        await asyncio.to_thread(database.lock.acquire)
        async with _sqlite_transaction(database) as run:
            yield run
    finally:
        await database.close()


@asynccontextmanager
async def _sqlite_transaction(database: SqliteDatabase) -> AsyncIterator[Run]:
    connection = await asyncio.to_thread(database.writing.connect)

    async def run(job: Callable[[Connection], T]) -> T:
        return await asyncio.to_thread(job, connection)

    try:
        transaction = await asyncio.to_thread(connection.begin)
        yield run
        await asyncio.to_thread(transaction.commit)
    finally:
        await asyncio.to_thread(connection.close)
