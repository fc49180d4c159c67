"""The databases of the tests: SQLite files, or PostgreSQL databases in their place."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import pytest

from phaseline.store import migrate
from phaseline.store.opening import open_store
from phaseline.store.tables import metadata

T = TypeVar("T")

SQLITE, POSTGRESQL = BOTH = ("sqlite", "postgresql")
#: What is much the same on both runs on PostgreSQL with --all alone.
ON_SQLITE_FIRST = (SQLITE, pytest.param(POSTGRESQL, marks=pytest.mark.long))

_EMPTY = "; ".join(f"DELETE FROM {table.name}" for table in metadata.sorted_tables)


class Databases:
    """PostgreSQL databases of one server, each used by one test at a time and then emptied."""

    def __init__(self, server: str, prefix: str) -> None:
        self._server, self._prefix = server.rstrip("/"), prefix
        self._numbers = count()
        self._free: list[str] = []
        self._thread = ThreadPoolExecutor(1)

    def take(self) -> str:
        """Return the URL of an empty database with all tables."""
        return self._free.pop() if self._free else self._run(self._make)

    def give_back(self, url: str) -> None:
        """Let another test have it; nobody may be connected."""
        self._run(lambda: _emptied(url))
        self._free.append(url)

    def remove(self, url: str) -> None:
        """Drop one that holds too much to be emptied; nobody may be connected."""
        self._run(lambda: self._dropped([url.rpartition("/")[2]]))

    def drop(self) -> None:
        """Drop all that were made."""
        names = [url.rpartition("/")[2] for url in self._free]
        self._run(lambda: self._dropped(names))
        self._thread.shutdown()

    def _run(self, job: Callable[[], Coroutine[Any, Any, T]]) -> T:
        # In a thread: there is a loop in that of the tests.
        return self._thread.submit(lambda: asyncio.run(job())).result()

    async def _make(self) -> str:
        name = f"{self._prefix}_{next(self._numbers)}"
        connection = await asyncpg.connect(f"{self._server}/postgres")
        try:
            await connection.execute(f"CREATE DATABASE {name}")
        finally:
            await connection.close()
        url = f"{self._server}/{name}"
        await (await open_store(url)).close()
        return url

    async def _dropped(self, names: list[str]) -> None:
        connection = await asyncpg.connect(f"{self._server}/postgres")
        try:
            for name in names:
                await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
        finally:
            await connection.close()


async def _emptied(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(_EMPTY)
        identity = migrate.new_identity()
        names = ", ".join(identity)
        values = ", ".join(f"${at}" for at in range(1, len(identity) + 1))
        await connection.execute(
            f"INSERT INTO identity ({names}) VALUES ({values})", *identity.values()
        )
    finally:
        await connection.close()


class Places:
    """Where the databases of one test are."""

    def __init__(self, databases: Databases | None) -> None:
        self._databases = databases
        self._urls: dict[Path, str] = {}

    async def at(self, path: Path) -> str:
        """Return the URL or path of the database that the test calls *path*."""
        return str(path) if self._databases is None else await asyncio.to_thread(self.take, path)

    def take(self, path: Path) -> str:
        """Return the URL of the PostgreSQL database that the test calls *path*."""
        assert self._databases is not None
        if path not in self._urls:
            self._urls[path] = self._databases.take()
        return self._urls[path]

    @property
    def are_shared(self) -> bool:
        """Whether several processes may use one database."""
        return self._databases is not None

    def give_back(self) -> None:
        """Let other tests have them."""
        while self._urls:
            _, url = self._urls.popitem()
            assert self._databases is not None
            self._databases.give_back(url)


_present = [Places(None)]


def places() -> Places:
    """Return where the databases of the test at hand are."""
    return _present[-1]


def use(found: Places) -> None:
    """Let the test at hand have its databases there."""
    _present.append(found)


def done() -> None:
    """End what `use` began."""
    _present.pop().give_back()
