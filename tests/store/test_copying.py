"""A database is moved whole, or the target stays empty; and one of the two honours its tokens."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select

from phaseline.domain.report import AbandonReason, DirectiveAction, OperationReport
from phaseline.store import copying
from phaseline.store.copying import copy
from phaseline.store.failures import CannotCopy, StoreFailed
from phaseline.store.opening import open_store
from phaseline.store.running import run_rows
from phaseline.store.tables import metadata, touched
from tests.support.app import App, opened
from tests.support.databases import POSTGRESQL, places
from tests.support.make import DONE

pytestmark = pytest.mark.databases(POSTGRESQL)

Rows = dict[str, list[tuple[Any, ...]]]


def silent(table: str, rows: int) -> None:
    """Hear of what is copied."""


@pytest.fixture
def postgres(database_kind: str, tmp_path: Path) -> str:
    """An empty PostgreSQL database."""
    return places().take(tmp_path / "postgres")


async def rows_of(url: str) -> Rows:
    """Return all rows of all tables that are copied."""

    def read(connection: Connection) -> Rows:
        return {
            table.name: sorted(map(tuple, connection.execute(select(table))), key=repr)
            for table in metadata.sorted_tables
            if table is not touched
        }

    store = await open_store(url)
    try:
        return await store.database.read(read)
    finally:
        await store.close()


async def fill(app: App) -> str:
    """Do a little of everything; return the token of a lease that goes on."""
    await app.apply(2)
    await app.start("done", task="survey", labels={"a": "ä"}, repos=("acme/one",), request_id="r1")
    await app.run()
    await app.run(operations=(OperationReport("o1", "tool", tool_name="grep"),))
    await app.start("gone")
    await app.cancel("gone")
    await app.purge("gone")
    await app.start("running")
    return (await app.lease_one()).lease_token


@pytest.fixture
def file(tmp_path: Path) -> str:
    """The path of a SQLite file that is not there yet."""
    return str(tmp_path / "phaseline.db")


@pytest.fixture(params=["to PostgreSQL", pytest.param("to SQLite", marks=pytest.mark.long)])
def ends(request: pytest.FixtureRequest, file: str, postgres: str) -> tuple[str, str]:
    """Source and target."""
    return (file, postgres) if request.param == "to PostgreSQL" else (postgres, file)


async def test_everything_is_moved(ends: tuple[str, str]) -> None:
    source, target = ends
    async with opened(source) as app:
        await fill(app)
    before = await rows_of(source)
    counts: dict[str, int] = {}
    await copy(source, target, counts.__setitem__)
    assert await rows_of(target) == before
    assert counts == {name: len(rows) for name, rows in before.items() if name != "identity"}
    after = await rows_of(source)
    assert {name for name in before if before[name] != after[name]} == {"identity"}


async def test_the_target_goes_on_where_the_source_was(ends: tuple[str, str]) -> None:
    source, target = ends
    async with opened(source) as app:
        token = await fill(app)
        clock = app.clock
    await copy(source, target, silent)
    async with opened(target, clock) as app:
        assert (await app.report(token, DONE)).action is DirectiveAction.ACCEPTED
        again = await app.start("done", task="survey", labels={"a": "ä"}, request_id="r1")
        assert not again.created
        await app.run()
        assert await app.statuses("running") == ("completed", "completed", "completed")
    async with opened(source, clock) as app:
        told = await app.report(token, DONE)
        assert told.abandon_reason is AbandonReason.UNKNOWN, "one of the two honours it"
        assert await app.statuses("running") == ("running", "running", "pending")


async def test_a_target_with_something_in_it_is_left_alone(file: str, postgres: str) -> None:
    for url in (file, postgres):
        async with opened(url) as app:
            await fill(app)
    before = await rows_of(file), await rows_of(postgres)
    with pytest.raises(CannotCopy, match="not empty: there are rows in"):
        await copy(file, postgres, silent)
    assert (await rows_of(file), await rows_of(postgres)) == before


async def test_what_is_not_there_is_not_copied(file: str, postgres: str) -> None:
    with pytest.raises(CannotCopy, match="there is no database at"):
        await copy(file, postgres, silent)
    with pytest.raises(CannotCopy, match="are the same"):
        await copy(postgres, postgres, silent)
    with pytest.raises(CannotCopy, match="there is no database at"):
        await copy(file, postgres, silent)


async def test_a_copy_that_breaks_off_leaves_nothing(ends: tuple[str, str]) -> None:
    source, target = ends
    async with opened(source) as app:
        await fill(app)
    before = await rows_of(source)

    def stop(table: str, rows: int) -> None:
        if table == "phases":
            raise StoreFailed("the disk is full")

    with pytest.raises(StoreFailed):
        await copy(source, target, stop)
    assert await rows_of(source) == before
    found = await rows_of(target)
    assert {name for name, rows in found.items() if rows} == {"identity"}
    assert found["identity"] != before["identity"]


async def test_a_row_that_is_not_stored_as_it_was_read_is_found(
    ends: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = ends
    async with opened(source) as app:
        await fill(app)
    real = run_rows

    def spoil(connection: Connection, rows: Any) -> None:
        ((statement, some),) = rows.items()
        at = statement.columns.index("created_at") if statement.table.name == "executions" else None
        real(
            connection,
            {
                statement: [
                    row if at is None else (*row[:at], row[at] + 1, *row[at + 1 :]) for row in some
                ]
            },
        )

    monkeypatch.setattr(copying, "run_rows", spoil)
    with pytest.raises(CannotCopy, match="stored in executions is not what was read"):
        await copy(source, target, silent)


async def test_pages_are_put_together(
    ends: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "_AT_ONCE", 2)
    source, target = ends
    async with opened(source) as app:
        await app.apply(3)
        for at in range(5):
            await app.start(f"e{at}")
    before = await rows_of(source)
    await copy(source, target, silent)
    assert await rows_of(target) == before
