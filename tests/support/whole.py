"""A whole server, store and all, on a free port of this machine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc

from phaseline.serve import running
from phaseline.settings import Settings, load
from tests.support.rpc import LOCAL, Api


def settings_in(directory: Path, **settings: Any) -> Settings:
    """Return the settings of a server whose database is in *directory*; not within the loop."""
    return load(**{"listen": LOCAL, "db": str(directory / "phaseline.db")} | settings)


@asynccontextmanager
async def phaseline(settings: Settings) -> AsyncIterator[Api]:
    """Run a whole server for the block."""
    async with (
        running(settings) as server,
        grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel,
    ):
        yield Api(channel)
