"""What every test runs under."""

from collections.abc import Iterator

import pytest
from blockbuster import blockbuster_ctx
from hypothesis import settings

# Times are the machine's, so a slow one would fail an example for nothing; pytest bounds the test.
settings.register_profile("phaseline", deadline=None)
settings.load_profile("phaseline")


@pytest.fixture(autouse=True)
def no_blocking_call_in_the_loop() -> Iterator[None]:
    """Fail the test in which our code blocks the event loop."""
    with blockbuster_ctx("phaseline") as blockbuster:
        # SQLAlchemy asks for the working directory, once, when an engine is made.
        blockbuster.functions["os.path.abspath"].can_block_in(
            "sqlalchemy/dialects/sqlite/pysqlite.py", "create_connect_args"
        )
        yield
