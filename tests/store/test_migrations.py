"""Migrating gives the tables that the program works with, and loses nothing on the way."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from sqlalchemy import Connection, Engine, create_engine, inspect, text
from sqlalchemy.ext.asyncio import create_async_engine

from phaseline.domain.ids import Key
from phaseline.store import migrate
from phaseline.store.failures import SchemaUnknown
from phaseline.store.postgres import postgres_url
from phaseline.store.sqlite import SqliteDatabase
from phaseline.store.tables import metadata
from tests.support.app import opened
from tests.support.databases import Databases

VERSIONS = Path(__file__).parent / "versions"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    database = SqliteDatabase(tmp_path / "phaseline.db")
    database.make()
    yield database.writing
    database.writing.dispose()


def shape(connection: Connection) -> dict[str, Any]:
    """Everything that a migration could get wrong, in a form that compares."""
    seen = inspect(connection)
    return {
        table: {
            "columns": [
                (column["name"], str(column["type"]), column["nullable"], column["default"])
                for column in seen.get_columns(table)
            ],
            "indexes": sorted(
                (
                    str(index["name"]),
                    tuple(map(str, index["column_names"])),
                    bool(index["unique"]),
                    # Reflected as a clause object, which never equals its twin.
                    sorted((key, str(value)) for key, value in index["dialect_options"].items()),
                )
                for index in seen.get_indexes(table)
            ),
            "checks": sorted(
                (str(check["name"]), str(check["sqltext"]))
                for check in seen.get_check_constraints(table)
            ),
            "foreign": sorted(map(str, seen.get_foreign_keys(table))),
            "primary": seen.get_pk_constraint(table),
            "options": seen.get_table_options(table),
        }
        for table in sorted(seen.get_table_names())
        if table != "alembic_version"
    }


def test_a_migrated_database_has_the_shape_of_the_tables(engine: Engine) -> None:
    migrate.upgrade(engine)
    fresh = create_engine("sqlite://")
    metadata.create_all(fresh)
    with engine.connect() as migrated, fresh.connect() as made:
        assert shape(migrated) == shape(made)
    fresh.dispose()


async def test_so_it_has_on_postgresql(postgresql: Databases) -> None:
    url = await asyncio.to_thread(postgresql.take)

    def both(connection: Connection) -> tuple[dict[str, Any], dict[str, Any]]:
        migrated = shape(connection)
        # Gone with the transaction that it is made in.
        metadata.drop_all(connection)
        metadata.create_all(connection)
        return migrated, shape(connection)

    engine = create_async_engine(postgres_url(url))
    async with engine.connect() as connection:
        migrated, made = await connection.run_sync(both)
    await engine.dispose()
    assert migrated == made
    # What the order of ids is must not depend on the locale of the server.
    assert {
        column[0]
        for table in made.values()
        for column in table["columns"]
        if column[1].startswith("VARCHAR") and not column[1].endswith('COLLATE "C"')
    } == set()
    await asyncio.to_thread(postgresql.give_back, url)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda sql: sql.replace(
            "CHECK (due_at IS NULL OR completed_at IS NULL)", "CHECK (due_at IS NULL)"
        ),
        lambda sql: sql.replace("step_key VARCHAR(128)", "step_key VARCHAR(64)"),
        lambda sql: sql.replace("WHERE batch_id IS NOT NULL", "WHERE user_id IS NOT NULL"),
        lambda sql: sql.replace(
            "CREATE UNIQUE INDEX ix_executions_step", "CREATE INDEX ix_executions_step"
        ),
        lambda sql: sql.replace("WITHOUT ROWID", ""),
    ],
    ids=["check", "column", "partial index", "unique index", "table option"],
)
def test_the_shape_tells_whatever_differs(spoil: Callable[[str], str]) -> None:
    """Alembic's own comparison sees neither a lost CHECK nor the WHERE of an index."""
    right, wrong = create_engine("sqlite://"), create_engine("sqlite://")
    metadata.create_all(right)
    with right.connect() as source, wrong.connect() as target:
        schema = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid"
        for (sql,) in source.execute(text(schema)).all():
            target.exec_driver_sql(spoil(sql))
        assert shape(source) != shape(target)
    right.dispose()
    wrong.dispose()


def test_upgrading_again_changes_nothing(engine: Engine) -> None:
    migrate.upgrade(engine)
    with engine.connect() as connection:
        first = connection.execute(text("SELECT * FROM identity")).all()
    migrate.upgrade(engine)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT * FROM identity")).all() == first
    assert migrate.version(engine) == ("0001", "0001")


def test_a_new_database_has_no_version_yet(engine: Engine) -> None:
    assert migrate.version(engine) == (None, "0001")


def test_two_databases_have_different_epochs_and_secrets(tmp_path: Path) -> None:
    found = set()
    for name in ("one", "two"):
        made = create_engine(f"sqlite:///{tmp_path / name}.db")
        migrate.upgrade(made)
        with made.connect() as connection:
            row = connection.execute(text("SELECT epoch, secret FROM identity")).one()
        made.dispose()
        found |= {row.epoch, row.secret}
        assert len(row.secret) == 32
    assert len(found) == 4


def test_the_newest_version_is_that_of_the_last_migration() -> None:
    versions = Path(migrate.__file__).parent / "migrations" / "versions"
    assert max(path.name.partition("_")[0] for path in versions.glob("0*.py")) == migrate.NEWEST


def test_a_database_of_a_newer_program_is_left_alone(engine: Engine) -> None:
    migrate.upgrade(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaUnknown, match="has schema 9999, and this program knows 0001"):
        migrate.upgrade(engine)


def test_a_failing_migration_leaves_the_database_as_it_was(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> dict[str, object]:
        raise RuntimeError("out of luck")

    monkeypatch.setattr(migrate, "new_identity", fail)
    with pytest.raises(RuntimeError, match="out of luck"):
        migrate.upgrade(engine)
    with engine.connect() as connection:
        assert inspect(connection).get_table_names() == []


@pytest.mark.parametrize("version", sorted(path.stem for path in VERSIONS.glob("*.sql")))
async def test_every_old_version_upgrades_with_data_in_it(tmp_path: Path, version: str) -> None:
    """The rows are what a server of that version left: ended, running and below another."""
    path = tmp_path / "phaseline.db"
    await asyncio.to_thread(_left_by, path, version)
    async with opened(path) as app:
        assert {name: (await app.get(name)).status for name in ("done", "running", "child")} == {
            "done": "completed",
            "running": "running",
            "child": "pending",
        }
        detail = await app.executions.get(app.caller, "done")
        assert detail.content.task == "survey"
        assert [payload.text() for payload in detail.outputs.values()] == ["first", "second"]
        assert [one.reported.tool_name for one in detail.operations] == ["grep"]
        assert detail.execution.usage.cost_nanos == 7
        (artifact_id,) = detail.execution.artifact_ids
        assert (await app.artifact(artifact_id))[1] == b"# report"
        assert (
            await app.start(
                "done",
                task="survey",
                labels={"environment": "test"},
                repos=("acme/one",),
                session_id="s",
                request_id="r1",
            )
        ).created is False
        await app.cancel("running")
        assert (await app.get("child")).status == "cancelled"
        history = await app.store.log.entries_of(
            Key("default", "running"), descendants=True, after=0, until=999, limit=999
        )
        assert {entry.key.execution_id for entry in history} == {"running", "child"}


def _left_by(path: Path, version: str) -> None:
    """Make the database that a server of that version left."""
    database = SqliteDatabase(path)
    database.make()
    with database.writing.begin() as connection:
        command.upgrade(migrate._config(connection), version)
        for statement in (VERSIONS / f"{version}.sql").read_text().splitlines():
            connection.exec_driver_sql(statement)
    database.writing.dispose()


def test_every_version_has_data_to_upgrade() -> None:
    migrations = Path(migrate.__file__).parent / "migrations" / "versions"
    versions = {path.name.partition("_")[0] for path in migrations.glob("0*.py")}
    assert {path.stem for path in VERSIONS.glob("*.sql")} == versions
