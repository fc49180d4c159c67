"""A worker as a process of its own."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

from phaseline import heap
from phaseline.worker.registry import Registry, default_registry
from phaseline.worker.runner import Runner, RunnerOptions
from phaseline.worker.source import GrpcSource, Source

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run(
    address: str = "127.0.0.1:7171",
    *,
    token: str | None = None,
    ca: Path | None = None,
    tls: bool = False,
    registry: Registry = default_registry,
    options: RunnerOptions | None = None,
) -> None:
    """
    Run the handlers of *registry* for the server at *address*, until SIGINT or SIGTERM.

    *ca* is a PEM file of certificates to trust instead of those of the system, and means *tls*. The
    first signal drains the worker, a second one ends it at once. Raises the `PhaselineError` by
    which the server refuses it.
    """

    async def connected() -> None:
        async with GrpcSource.connect(address, token=token, ca=pem, tls=tls) as source:
            await work(source, registry, options)

    pem = ca.read_bytes() if ca is not None else None
    asyncio.run(connected())


async def work(source: Source, registry: Registry, options: RunnerOptions | None = None) -> None:
    """Run the handlers of *registry* for *source*, until SIGINT or SIGTERM; as `run` does."""
    runner = Runner(source, registry, options)
    heap.settle()
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, runner.stop)
    try:
        await runner.run()
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
