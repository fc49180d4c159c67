"""Keeping up with what other processes commit, and telling them of what this one does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import structlog

from phaseline.app.changes import Announcer
from phaseline.domain.errors import Unavailable
from phaseline.store.failures import StoreFailed
from phaseline.store.postgres import PostgresDatabase
from phaseline.store.replica import Replica, catch_up_in
from phaseline.store.standing import set_exception
from phaseline.store.working import Working

log = structlog.get_logger(__name__)

_CHANNEL = "phaseline"
# How often the database is asked if nobody tells of commits: the first in case a word is lost, the
# second if there is nobody to tell.
_BACKSTOP_SECONDS = 1.0
_POLL_SECONDS = 0.1
_RETRY_SECONDS = 1.0
# Longer a word does not take to a server that is there.
_WORD_SECONDS = 5.0
# Least time between two looks that nobody waits for: what came meanwhile is read at once.
_REST_SECONDS = 0.01
# Least time between two words: each takes a lock that all others of the database server wait for.
_PAUSE_SECONDS = 0.005


class Following:
    """
    Keeps memory current: whenever it is read, and soon after others have committed.

    Others are heard through LISTEN, on a connection of its own, and looked for now and then
    besides; *listens* is False where connections are shared, as behind a pooler.
    """

    def __init__(
        self, database: PostgresDatabase, working: Working, *, listens: bool = True
    ) -> None:
        self.replica = Replica(working)
        self._database, self._working = database, working
        self._listens = listens
        self._heard, self._to_tell = asyncio.Event(), asyncio.Event()
        self._next: asyncio.Future[None] | None = None
        self._looking: asyncio.Task[None] | None = None

    async def current(self) -> None:
        """Return once memory has all that was committed before the call."""
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
            if self._looking is None:
                # Started behind what is ready now: all that is asked in this turn is one query.
                self._looking = asyncio.create_task(self._look())
        await asyncio.shield(self._next)

    def attach(self, announcer: Announcer, wake: Callable[[], None]) -> None:
        """Tell *announcer* what others commit, and *wake* the writer after it."""
        self.replica.attach(announcer, wake)

    def tell(self) -> None:
        """Tell others, soon, that there is something new."""
        self._to_tell.set()

    async def run(self) -> None:
        """Keep up, until cancelled. A database that is away is tried again."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_up())
            if self._listens:
                tasks.create_task(self._stay_in_touch())

    async def close(self) -> None:
        """Look no more; whoever waits for that is cancelled."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    async def _look(self) -> None:
        try:
            while self._next is not None:
                waiting, self._next = self._next, None
                try:
                    await self._catch_up()
                    waiting.set_result(None)
                except StoreFailed as error:
                    log.warning("catching up failed", error=str(error))
                    set_exception(waiting, _away())
                except Exception as error:
                    log.exception("catching up broke")
                    set_exception(waiting, error)
                except BaseException:
                    set_exception(waiting, _away())
                    raise
        finally:
            self._looking = None
            if self._next is not None:
                set_exception(self._next, _away())
                self._next = None

    async def _catch_up(self) -> None:
        if self._working.has_reached(await self._database.place()):
            return
        async with self.replica.lock:
            # Whoever had it may have come as far.
            if not self._working.has_reached(await self._database.place()):
                await self._database.read(lambda c: catch_up_in(self.replica, c))

    async def _keep_up(self) -> None:
        pause = _BACKSTOP_SECONDS if self._listens else _POLL_SECONDS
        while True:
            try:
                async with asyncio.timeout(pause):
                    await self._heard.wait()
            except TimeoutError:
                pass
            self._heard.clear()
            try:
                await self.current()
                await asyncio.sleep(_REST_SECONDS)
            except Exception:  # noqa: BLE001 -- the edge of a background loop
                # It was logged; without this loop others would not be heard of any more.
                await asyncio.sleep(_RETRY_SECONDS)

    async def _stay_in_touch(self) -> None:
        while True:
            try:
                async with self._listening() as connection:
                    while not connection.is_closed():
                        await self._to_tell.wait()
                        self._to_tell.clear()
                        await connection.execute(f"NOTIFY {_CHANNEL}", timeout=_WORD_SECONDS)
                        await asyncio.sleep(_PAUSE_SECONDS)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                log.warning("others are out of touch", error=str(error))
            await asyncio.sleep(_RETRY_SECONDS)

    @asynccontextmanager
    async def _listening(self) -> AsyncIterator[Any]:
        connection = await self._database.connect_alone()
        own = connection.get_server_pid()

        def hear(_: object, pid: int, __: str, ___: object) -> None:
            if pid != own:
                self._heard.set()

        def lose(_: object) -> None:
            # Whoever waits for something to tell tries, and finds it closed.
            self._to_tell.set()

        try:
            connection.add_termination_listener(lose)
            # A word is a commit, too, and need not be on the disk.
            await connection.execute("SET synchronous_commit = off")
            await connection.add_listener(_CHANNEL, hear)
            # What was told before was not heard.
            self._heard.set()
            yield connection
        finally:
            connection.terminate()


def _away() -> Unavailable:
    return Unavailable.for_now("the store cannot be read at this moment")
