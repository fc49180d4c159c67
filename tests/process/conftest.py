"""What the tests with real processes run under."""

from pathlib import Path

import pytest

# A process takes a second or two to start, and several of them on a busy machine many more.
_SECONDS = 90


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give these tests longer than the others, unless they say how long."""
    for item in items:
        here = item.path.parent == Path(__file__).parent
        if here and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(_SECONDS))
