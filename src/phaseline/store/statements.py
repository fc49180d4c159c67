"""
The statements of the writer, each for many rows.

They are built from the tables once and run by the driver with plain tuples, in the order in which
`rows` makes them: binding through SQLAlchemy would cost more than the database itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Column, Dialect, Table, bindparam, insert, update
from sqlalchemy.dialects import postgresql, sqlite

from phaseline.store import tables


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement and the columns that a row of it gives, in order."""

    sql: str
    #: Every row must change exactly one; fewer means that somebody else wrote.
    changes_each: bool = False


@dataclass(frozen=True, slots=True)
class Statements:
    """All that a commit may run, in the order in which it runs."""

    add_workflow: Statement
    add_execution: Statement
    change_execution: Statement
    add_phase: Statement
    change_phase: Statement
    add_content: Statement
    put_payload: Statement
    put_operation: Statement
    add_artifact: Statement
    add_label: Statement
    add_repo: Statement
    count_more: Statement
    count_less: Statement
    add_change: Statement
    add_request: Statement
    move_head: Statement


_EXECUTION_CHANGES = (
    "status",
    "revision",
    "updated_at",
    "started_at",
    "completed_at",
    "due_at",
    "total_tokens",
    "cost_nanos",
    "state",
)
_PHASE_CHANGES = (
    "status",
    "revision",
    "attempt",
    "worker_id",
    "lease_expires_at",
    "started_at",
    "completed_at",
    "total_tokens",
    "cost_nanos",
    "state",
)


def statements_for(dialect: Dialect) -> Statements:
    """Return the statements in the words of *dialect*."""
    compiler = _Compiler(dialect)
    executions, phases = tables.executions, tables.phases
    return Statements(
        add_workflow=compiler.insert(tables.workflows),
        add_execution=compiler.insert(executions),
        change_execution=compiler.update(
            executions, _EXECUTION_CHANGES, ("workspace_id", "execution_id")
        ),
        add_phase=compiler.insert(phases),
        change_phase=compiler.update(
            phases, _PHASE_CHANGES, ("workspace_id", "execution_id", "position")
        ),
        add_content=compiler.insert(tables.contents),
        put_payload=compiler.put(tables.payloads),
        put_operation=compiler.put(tables.operations),
        add_artifact=compiler.insert(tables.artifacts),
        add_label=compiler.insert(tables.execution_labels),
        add_repo=compiler.insert(tables.execution_repos),
        count_more=compiler.add_to(tables.execution_counts, "total"),
        count_less=compiler.subtract(tables.execution_counts, "total"),
        add_change=compiler.insert(tables.changes),
        add_request=compiler.insert(tables.requests),
        move_head=compiler.update(tables.identity, ("head",), ("only",)),
    )


class _Compiler:
    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._upsert = postgresql.insert if dialect.name == "postgresql" else sqlite.insert

    def insert(self, table: Table) -> Statement:
        """Return an insert whose rows give all columns in the table's order."""
        return Statement(self._sql(insert(table).values(_parameters(table.columns.keys()))))

    def put(self, table: Table) -> Statement:
        """Return an insert that replaces the row with the same key."""
        names, keys = table.columns.keys(), table.primary_key.columns.keys()
        upsert = self._upsert(table).values(_parameters(names))
        replaced = {name: upsert.excluded[name] for name in names if name not in keys}
        return Statement(
            self._sql(upsert.on_conflict_do_update(index_elements=keys, set_=replaced))
        )

    def add_to(self, table: Table, column: str) -> Statement:
        """Return an insert that adds to *column* of the row with the same key, if there is one."""
        names, keys = table.columns.keys(), table.primary_key.columns.keys()
        upsert = self._upsert(table).values(_parameters(names))
        total: Column[int] = table.c[column]
        added = {column: total + upsert.excluded[column]}
        return Statement(self._sql(upsert.on_conflict_do_update(index_elements=keys, set_=added)))

    def subtract(self, table: Table, column: str) -> Statement:
        """Return an update whose rows give what to take off *column*, then the key."""
        keys = table.primary_key.columns.keys()
        found = [table.c[name] == bindparam(f"key_{name}") for name in keys]
        less = update(table).where(*found).values({column: table.c[column] - bindparam("less")})
        return Statement(self._sql(less), changes_each=True)

    def update(self, table: Table, columns: Sequence[str], keys: Sequence[str]) -> Statement:
        """Return an update whose rows give *columns*, then *keys*."""
        found = [table.c[name] == bindparam(f"key_{name}") for name in keys]
        changed = update(table).where(*found).values(_parameters(columns))
        return Statement(self._sql(changed), changes_each=True)

    def _sql(self, statement: object) -> str:
        return str(statement.compile(dialect=self._dialect))  # type: ignore[attr-defined]


def _parameters(names: Sequence[str]) -> dict[str, object]:
    return {name: bindparam(name) for name in names}
