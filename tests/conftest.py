"""What every test runs under."""

import os
from collections.abc import Iterator

import pytest
from blockbuster import blockbuster_ctx
from hypothesis import settings

from tests.support import databases, postgres
from tests.support.databases import Databases, Places

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
        for function in blockbuster.functions.values():
            # If there is a loop, it is that of a thread of its own, with nothing else in it.
            function.can_block_in("phaseline/store/migrate.py", "bring_up")
            # Looks for passwords and certificates in small files, once for each connection.
            function.can_block_in("asyncpg/connect_utils.py", "_parse_connect_dsn_and_args")
        yield


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    """PostgreSQL databases; those that run tests beside one another share the server."""
    if reason := postgres.missing():
        pytest.skip(reason)
    base = tmp_path_factory.getbasetemp()
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    with postgres.shared(base.parent if worker else base) as server:
        found = Databases(server, f"phaseline_{os.getpid()}")
        yield found
        found.drop()


@pytest.fixture
def database_kind(request: pytest.FixtureRequest) -> Iterator[str]:
    """Let the test have its databases on the kind that it is asked for by; SQLite by default."""
    kind: str = getattr(request, "param", databases.SQLITE)
    made = request.getfixturevalue("postgresql") if kind == databases.POSTGRESQL else None
    databases.use(Places(made))
    yield kind
    databases.done()


@pytest.fixture
def on_postgresql(postgresql: Databases) -> Iterator[None]:
    """Let the test have its databases on PostgreSQL."""
    databases.use(Places(postgresql))
    yield
    databases.done()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what opens a store on both databases, in the quick set on those it is marked with."""
    if "database_kind" in metafunc.fixturenames:
        marked = metafunc.definition.get_closest_marker("databases")
        kinds = databases.ON_SQLITE_FIRST if marked is None else marked.args
        metafunc.parametrize("database_kind", kinds, indirect=True)
