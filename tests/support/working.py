"""A whole server with a worker inside, and a client of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from phaseline.app.caller import Caller
from phaseline.client import Client
from phaseline.serve import running
from phaseline.settings import Settings
from phaseline.wire.reports import Sizes
from phaseline.worker.embedded import embedded
from phaseline.worker.local import LocalSource
from phaseline.worker.registry import Registry
from phaseline.worker.runner import RunnerOptions


@asynccontextmanager
async def working(
    settings: Settings, registry: Registry, options: RunnerOptions | None = None
) -> AsyncIterator[Client]:
    """Run the handlers of *registry* in a whole server, for the block."""
    async with running(settings) as server:
        source = LocalSource(server.work, Caller(), Sizes())
        async with (
            embedded(source, registry, options or RunnerOptions()),
            Client(f"127.0.0.1:{server.port}") as client,
        ):
            yield client
