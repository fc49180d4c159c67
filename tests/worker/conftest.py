"""What every test of the worker runs under."""

from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.support.worker import Rig


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[MutableMapping[str, Any]]]:
    """Keep what is logged, unwritten: printing a stack reads files, which blocks the loop."""
    with capture_logs() as lines:
        yield lines


@pytest.fixture
def rig() -> Rig:
    """A runner with four slots, not yet running."""
    return Rig(slots=4)
