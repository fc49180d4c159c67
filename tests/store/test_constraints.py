"""The tables refuse what the code must never do, whatever the code does."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from phaseline.domain.lifecycle import (
    ACTIVE,
    PHASE_TERMINAL,
    TERMINAL,
    ExecutionStatus,
    PhaseStatus,
)
from phaseline.store import migrate, rows
from phaseline.store import statements as st
from phaseline.store.sqlite import SqliteDatabase, run_rows
from phaseline.store.statements import Statement
from tests.support import make

Row = dict[str, Any]
EXECUTION, PHASE = make.execution(), make.execution().phases[0]
KEY = EXECUTION.key


@pytest.fixture
def database(tmp_path: Path) -> Iterator[SqliteDatabase]:
    made = SqliteDatabase(tmp_path / "phaseline.db")
    made.make()
    migrate.upgrade(made.writing)
    yield made
    made.writing.dispose()


def put(database: SqliteDatabase, statement: Statement, row: tuple[Any, ...], **wrong: Any) -> None:
    """Store a row, with something wrong in it."""
    values = dict(zip(statement.columns, row, strict=True)) | wrong
    with database.writing.begin() as connection:
        run_rows(connection, {statement: [tuple(values.values())]})


def execution(database: SqliteDatabase, **wrong: Any) -> None:
    put(database, st.ADD_EXECUTION, rows.execution_row(EXECUTION), **wrong)


def phase(database: SqliteDatabase, **wrong: Any) -> None:
    put(database, st.ADD_PHASE, (*KEY, *rows.phase_part(0, PHASE)), **wrong)


def identity(database: SqliteDatabase, sql: str) -> None:
    with database.writing.begin() as connection:
        connection.exec_driver_sql(f"UPDATE identity SET {sql}")


@pytest.mark.parametrize("status", ExecutionStatus)
@pytest.mark.parametrize("is_completed", [True, False])
def test_an_execution_is_completed_exactly_when_it_is_terminal(
    database: SqliteDatabase, status: ExecutionStatus, is_completed: bool
) -> None:
    completed_at = 1 if is_completed else None
    if is_completed == (status in TERMINAL):
        execution(database, status=status.value, completed_at=completed_at)
        return
    with pytest.raises(sqlite3.IntegrityError, match="terminal_completed"):
        execution(database, status=status.value, completed_at=completed_at)


@pytest.mark.parametrize("status", PhaseStatus)
@pytest.mark.parametrize("is_completed", [True, False])
@pytest.mark.parametrize("is_leased", [True, False])
def test_a_phase_is_leased_exactly_while_it_runs_and_completed_when_it_is_terminal(
    database: SqliteDatabase, status: PhaseStatus, is_completed: bool, is_leased: bool
) -> None:
    wrong = {
        "status": status.value,
        "completed_at": 1 if is_completed else None,
        "lease_expires_at": 1 if is_leased else None,
    }
    runs, ended = status is PhaseStatus.RUNNING, status in PHASE_TERMINAL
    if (is_completed, is_leased) == (ended, runs):
        phase(database, **wrong)
        return
    with pytest.raises(sqlite3.IntegrityError, match=r"terminal_completed|running_has_lease"):
        phase(database, **wrong)


@pytest.mark.parametrize(
    ("wrong", "rule"),
    [
        ({"status": "lost"}, "status_known"),
        ({"status": "failed", "completed_at": 1, "due_at": 1}, "terminal_not_due"),
        ({"parent_execution_id": "p"}, "child_has_root|child_has_path"),
        ({"root_execution_id": "p"}, "child_has_root"),
        ({"path": "/p/"}, "child_has_path"),
        ({"total_tokens": -1}, "totals_not_negative"),
        ({"cost_nanos": -1}, "totals_not_negative"),
        ({"is_purged": True}, "purged_is_terminal"),
        ({"workflow_id": None}, "NOT NULL"),
        ({"spec": None}, "NOT NULL"),
    ],
)
def test_a_wrong_execution_is_refused(database: SqliteDatabase, wrong: Row, rule: str) -> None:
    with pytest.raises(sqlite3.IntegrityError, match=rule):
        execution(database, **wrong)


@pytest.mark.parametrize(
    ("wrong", "rule"),
    [
        ({"status": "lost"}, "status_known"),
        ({"attempt": -1}, "attempt_not_negative"),
        ({"total_tokens": -1}, "totals_not_negative"),
        ({"cost_nanos": -1}, "totals_not_negative"),
    ],
)
def test_a_wrong_phase_is_refused(database: SqliteDatabase, wrong: Row, rule: str) -> None:
    with pytest.raises(sqlite3.IntegrityError, match=rule):
        phase(database, **wrong)


@pytest.mark.parametrize(
    ("sql", "rule"),
    [
        ("number = 2", "is_alone"),
        ("trimmed = 1", "trimmed_is_past"),
        ("trimmed = -1", "trimmed_is_past"),
    ],
)
def test_a_wrong_identity_is_refused(database: SqliteDatabase, sql: str, rule: str) -> None:
    with pytest.raises(Exception, match=rule):
        identity(database, sql)


def test_a_counter_never_falls_below_nothing(database: SqliteDatabase) -> None:
    with database.writing.begin() as connection:
        run_rows(connection, {st.COUNT_MORE: [("w", "flow", "pending", 1)]})
    with (
        pytest.raises(sqlite3.IntegrityError, match="total_not_negative"),
        database.writing.begin() as connection,
    ):
        run_rows(connection, {st.COUNT_LESS: [(2, "w", "flow", "pending")]})


def test_an_execution_is_there_once(database: SqliteDatabase) -> None:
    execution(database)
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE constraint failed: executions"):
        execution(database)


def test_a_step_starts_one_child(database: SqliteDatabase) -> None:
    below = {"parent_execution_id": "p", "root_execution_id": "p", "path": "/p/", "step_key": "s"}
    execution(database, **below)
    execution(database, execution_id="other", **(below | {"step_key": "t"}))
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE constraint failed"):
        execution(database, execution_id="another", **below)


def test_an_ordinal_is_given_once(database: SqliteDatabase) -> None:
    row = (*KEY, 0, 1, "o", "p0", 1, 0, 1, "tool", "", "{}", None, None)
    put(database, st.PUT_OPERATION, row)
    put(database, st.PUT_OPERATION, row, revision=2)
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE constraint failed: operations"):
        put(database, st.PUT_OPERATION, row, operation_id="another")


def test_the_words_of_the_partial_index_are_those_of_the_lifecycle() -> None:
    """A status that is added to the lifecycle needs a migration."""
    assert sorted(ACTIVE) == ["cancelling", "paused", "pending", "running"]
    assert replace(EXECUTION).status in ACTIVE
