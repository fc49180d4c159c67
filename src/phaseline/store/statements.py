"""
The statements of the writer: what each kind of row does to a table.

A row is a plain tuple, made in `rows`: first the columns of its statement, then the keys.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from sqlalchemy import Table

from phaseline.store import tables
from phaseline.store.failures import StoreFailed


class Action(Enum):
    """What is done with a row."""

    INSERT = "insert"
    #: Insert, or replace the row with the same key.
    PUT = "put"
    #: Insert, or add to the last column of the row with the same key.
    ADD = "add"
    #: Take off the one column of the row with the key, which must be there.
    SUBTRACT = "subtract"
    #: Change the columns of the row with the keys, which must be there.
    UPDATE = "update"
    #: Remove all rows with the keys.
    DELETE = "delete"


# Of these each row must change exactly one; fewer means that somebody else wrote.
_CHANGE_EACH = (Action.SUBTRACT, Action.UPDATE)


@dataclass(frozen=True, slots=True, eq=False)
class Statement:
    """What one kind of row does to a table."""

    action: Action
    table: Table
    columns: tuple[str, ...]
    keys: tuple[str, ...]

    @property
    def inserts(self) -> bool:
        """Whether a row that is not there yet is inserted."""
        return self.action in (Action.INSERT, Action.PUT, Action.ADD)

    @property
    def bound(self) -> tuple[str, ...]:
        """The columns whose values are bound, those of a row in this order."""
        return self.columns if self.inserts else (*self.columns, *self.keys)

    @property
    def conflict(self) -> str:
        """What an insert does about a row with the same key, in SQL as both databases know it."""
        if self.action is Action.INSERT:
            return ""
        others = [name for name in self.columns if name not in self.keys]
        if self.action is Action.PUT:
            changed = [f"{name} = excluded.{name}" for name in others]
        else:
            changed = [f"{name} = {self.table.name}.{name} + excluded.{name}" for name in others]
        return f" ON CONFLICT ({', '.join(self.keys)}) DO UPDATE SET {', '.join(changed)}"

    def check_changed(self, changed: int, rows: int) -> None:
        """
        Raise unless *changed*, how many *rows* rows did change, is as many as had to.

        It is `StoreFailed` if the database has gone on without this process.
        """
        if changed == rows or self.action not in _CHANGE_EACH:
            return
        if self is MOVE_HEAD:
            raise StoreFailed("the database is not as this process left it: somebody else wrote")
        name = f"{self.action.value} {self.table.name}"
        raise RuntimeError(f"{name}: {changed} of {rows} rows were there")


def _insert(table: Table, action: Action = Action.INSERT) -> Statement:
    return Statement(action, table, tuple(table.columns.keys()), tuple(table.primary_key.c.keys()))


def _update(table: Table, *columns: str, keys: tuple[str, ...] = ()) -> Statement:
    keys = keys or tuple(table.primary_key.c.keys())
    return Statement(Action.UPDATE, table, columns, keys)


def _delete(table: Table, *keys: str) -> Statement:
    return Statement(Action.DELETE, table, (), keys)


_OWN = ("workspace_id", "execution_id")

#: First of all: only the database that this process knows has that row, and only as it left it.
MOVE_HEAD = _update(tables.identity, "head", "commits", keys=("number", "epoch", "commits"))
ADD_WORKFLOW = _insert(tables.workflows)
# In the order in which more and more indexes know them: where that counts, a row is set from the
# left only as far as it has changed.
_INDEXED_NOWHERE = ("updated_at", "started_at", "due_at", "state")
_FIGURES = ("total_tokens", "cost_nanos")
_STATUS = ("status", "completed_at", "is_purged")
RENEW_EXECUTION = _update(tables.executions, *_INDEXED_NOWHERE)
#: It has a new version.
ADVANCE_EXECUTION = _update(tables.executions, *_INDEXED_NOWHERE, "revision")
#: Its figures are others, too.
CHARGE_EXECUTION = _update(tables.executions, *_INDEXED_NOWHERE, "revision", *_FIGURES)
#: Anything that can change may have.
CHANGE_EXECUTION = _update(tables.executions, *_INDEXED_NOWHERE, "revision", *_FIGURES, *_STATUS)
ADD_EXECUTION = Statement(
    Action.INSERT,
    tables.executions,
    (
        *(each.name for each in tables.executions.c if each.name not in CHANGE_EXECUTION.columns),
        *CHANGE_EXECUTION.columns,
    ),
    CHANGE_EXECUTION.keys,
)
ADD_PHASE = _insert(tables.phases)
CHANGE_PHASE = _update(
    tables.phases,
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
ADD_CONTENT = _insert(tables.contents)
PUT_PAYLOAD = _insert(tables.payloads, Action.PUT)
PUT_OPERATION = _insert(tables.operations, Action.PUT)
#: It leaves input and output alone, which were not read.
CLOSE_OPERATION = _update(tables.operations, "revision", "body")
ADD_ARTIFACT = _insert(tables.artifacts)
ADD_LABEL = _insert(tables.execution_labels)
ADD_REPO = _insert(tables.execution_repos)
ADD_CHANGE = _insert(tables.changes)
ADD_REQUEST = _insert(tables.requests)
ADD_ERASURE = _insert(tables.erasures)
ADD_TOUCHED = _insert(tables.touched)
REMOVE_CONTENT = _delete(tables.contents, *_OWN)
REMOVE_PAYLOADS = _delete(tables.payloads, *_OWN)
REMOVE_ARTIFACTS = _delete(tables.artifacts, *_OWN)
REMOVE_PHASES = _delete(tables.phases, *_OWN)
REMOVE_EXECUTION = _delete(tables.executions, *_OWN)
REMOVE_LABEL = _delete(tables.execution_labels, *tables.execution_labels.primary_key.c.keys())
REMOVE_REPO = _delete(tables.execution_repos, *tables.execution_repos.primary_key.c.keys())
REMOVE_REQUEST = _delete(tables.requests, *tables.requests.primary_key.c.keys())
COUNT_MORE = _insert(tables.execution_counts, Action.ADD)
COUNT_LESS = Statement(
    Action.SUBTRACT,
    tables.execution_counts,
    ("total",),
    tuple(tables.execution_counts.primary_key.c.keys()),
)

#: The order in which a commit runs them. What is removed makes room for its like.
ORDER = (
    MOVE_HEAD,
    REMOVE_CONTENT,
    REMOVE_PAYLOADS,
    REMOVE_ARTIFACTS,
    REMOVE_PHASES,
    REMOVE_EXECUTION,
    REMOVE_LABEL,
    REMOVE_REPO,
    REMOVE_REQUEST,
    ADD_WORKFLOW,
    ADD_EXECUTION,
    RENEW_EXECUTION,
    ADVANCE_EXECUTION,
    CHARGE_EXECUTION,
    CHANGE_EXECUTION,
    ADD_PHASE,
    CHANGE_PHASE,
    ADD_CONTENT,
    PUT_PAYLOAD,
    PUT_OPERATION,
    CLOSE_OPERATION,
    ADD_ARTIFACT,
    ADD_LABEL,
    ADD_REPO,
    COUNT_MORE,
    COUNT_LESS,
    ADD_CHANGE,
    ADD_REQUEST,
    ADD_ERASURE,
)
