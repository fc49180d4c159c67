"""A store with a writer that runs."""

from collections.abc import AsyncIterator, Iterator, MutableMapping
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.store.stage import Stage, staged


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[MutableMapping[str, Any]]]:
    """Keep what is logged, instead of rendering it."""
    with capture_logs() as lines:
        yield lines


@pytest.fixture
async def stage(database_kind: str, tmp_path: Path) -> AsyncIterator[Stage]:
    """A new store with a workflow of two phases in it."""
    async with staged(tmp_path / "phaseline.db") as stage:
        yield stage
