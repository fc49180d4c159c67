"""Migrating gives the tables that the program works with, and loses nothing on the way."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, create_engine, inspect, text

from phaseline.store import migrate
from phaseline.store.failures import SchemaUnknown
from phaseline.store.sqlite import SqliteDatabase
from phaseline.store.tables import metadata


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

    monkeypatch.setattr(migrate, "_new_identity", fail)
    with pytest.raises(RuntimeError, match="out of luck"):
        migrate.upgrade(engine)
    with engine.connect() as connection:
        assert inspect(connection).get_table_names() == []
