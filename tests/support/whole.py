"""A whole server, store and all, on a free port of this machine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc

from phaseline.serve import running
from phaseline.settings import load
from tests.support.rpc import LOCAL, Api


@asynccontextmanager
async def phaseline(directory: Path, **settings: Any) -> AsyncIterator[Api]:
    """Run a whole server whose database is in *directory*, for the block."""
    database = str(directory / "phaseline.db")
    async with (
        running(load(listen=LOCAL, db=database, **settings)) as server,
        grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel,
    ):
        yield Api(channel)
