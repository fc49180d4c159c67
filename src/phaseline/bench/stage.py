"""Where the servers of a measurement run, and where they keep their data."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path

from phaseline.bench.plan import Plan
from phaseline.bench.processes import Running, free_port, listening, process
from phaseline.bench.target import Queues, Target, connected

_SLOTS = "256"
_WORKERS = "phaseline.bench.workers"


class Stage:
    """Starts what a scenario measures; its files are in *directory*."""

    def __init__(self, plan: Plan, directory: Path) -> None:
        self.plan = plan
        self._directory = directory
        self._numbers = itertools.count(1)
        #: Grows from scenario to scenario, as filling takes longer than what is measured.
        self._grown: str = ""
        self._size = 0
        self._queues = Queues.new()

    @asynccontextmanager
    async def target(
        self, *, database: str = "", worker: str = "", queues: Queues | None = None
    ) -> AsyncIterator[Target]:
        """
        Connect the block to the server of the plan, or to one that is started for it.

        *worker* says who runs what is started in the queue `working`: nobody, an "external" worker
        process or the "embedded" one of the server.
        """
        queues = queues or Queues.new()
        async with AsyncExitStack() as stack:
            if self.plan.address:
                target = await stack.enter_async_context(self._connected(self.plan.address, queues))
            else:
                started = self._server(database or self.fresh(), worker == "embedded", queues)
                target = await stack.enter_async_context(started)
            if worker == "external":
                arguments = (_WORKERS, target.address, queues.working, _SLOTS)
                await stack.enter_async_context(process(*arguments, given=""))
            yield target

    @asynccontextmanager
    async def grown(self, size: int, *, worker: str = "") -> AsyncIterator[Target]:
        """Connect the block to a server that has so many executions at least, as `target` does."""
        database = await self.database_of(size)
        async with self.target(database=database, worker=worker, queues=self._queues) as target:
            yield target

    async def database_of(self, size: int) -> str:
        """Return the database that has so many executions at least."""
        self._grown = self._grown or self.fresh()
        if size > self._size:
            arguments = ("fill", "--db", self._grown, "--executions", str(size - self._size))
            async with process("phaseline", *arguments, given="") as filling:
                await filling.done()
            self._size = size
        return self._grown

    def fresh(self) -> str:
        """Return a database with nothing in it, or the only one that the plan has."""
        if self.plan.is_on_postgresql:
            return self.plan.db
        return str(self._directory / f"{next(self._numbers)}.db")

    @asynccontextmanager
    async def _server(
        self, database: str, has_worker: bool, queues: Queues
    ) -> AsyncIterator[Target]:
        port = free_port()
        arguments = ["--listen", f"127.0.0.1:{port}", "--db", database]
        if has_worker:
            arguments += ["--module", _WORKERS, "--queue", queues.working, "--slots", _SLOTS]
        if self.plan.processes > 1:
            arguments += ["--processes", str(self.plan.processes)]
        command = "dev" if has_worker else "serve"
        async with process("phaseline", command, *arguments, given="") as server:
            await listening(port, server, self.plan.processes)
            async with self._connected(f"127.0.0.1:{port}", queues, server) as target:
                yield target

    def _connected(
        self, address: str, queues: Queues, server: Running | None = None
    ) -> AbstractAsyncContextManager[Target]:
        return connected(address, queues, server, connections=self.plan.connections)
