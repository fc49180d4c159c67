"""The use-cases over a new database."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.app import App, opened


@pytest.fixture(autouse=True)
def _on_both(database_kind: str) -> None:
    """Run every test on both databases."""


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[App]:
    """Use-cases with default limits."""
    async with opened(tmp_path / "phaseline.db") as app:
        yield app
