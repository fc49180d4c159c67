"""A worker inside the process of its server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from phaseline.worker.registry import Registry
from phaseline.worker.runner import Runner, RunnerOptions
from phaseline.worker.source import Source


@asynccontextmanager
async def embedded(
    source: Source, registry: Registry, options: RunnerOptions | None = None
) -> AsyncIterator[Runner]:
    """
    Run a worker beside the block, which gets its runner.

    Leaving the block drains the worker, for `drain_timeout` at most; leaving it by an exception
    stops the handlers at once. A worker that ends by itself cancels the block, and its error is
    raised in an exception group.
    """
    runner = Runner(source, registry, options)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(runner.run())
        yield runner
        runner.stop()
