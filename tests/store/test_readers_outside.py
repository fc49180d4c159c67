"""Other programs may read the SQLite file of a server that runs, by a driver of their own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiosqlite

from tests.support.app import opened

_STARTED = "SELECT count(*) FROM executions"


@asynccontextmanager
async def reading(path: Path) -> AsyncIterator[aiosqlite.Connection]:
    """Open the file as a program does that only wants to look."""
    async with aiosqlite.connect(f"{path.as_uri()}?mode=ro", uri=True) as connection:
        yield connection


async def found(connection: aiosqlite.Connection) -> int:
    async with connection.execute(_STARTED) as cursor:
        row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def test_what_was_answered_is_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "phaseline.db"
    async with opened(path) as app, reading(path) as connection:
        await app.apply(1)
        for started in range(3):
            assert await found(connection) == started
            await app.start()
        assert await found(connection) == 3


async def test_a_long_look_holds_nobody_up_and_shows_one_moment(tmp_path: Path) -> None:
    path = tmp_path / "phaseline.db"
    async with opened(path) as app, reading(path) as connection:
        await app.apply(1)
        await app.start()
        await connection.execute("BEGIN")
        assert await found(connection) == 1
        await app.start()
        assert await found(connection) == 1
        await connection.execute("COMMIT")
        assert await found(connection) == 2
