"""Erasing what purged and deleted executions left behind, little by little."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, exists, select, update

from phaseline.app.changes import Part, Resource
from phaseline.app.ports import Encoder
from phaseline.domain.execution import Execution
from phaseline.domain.ids import Key
from phaseline.domain.lifecycle import ExecutionStatus
from phaseline.domain.purge import as_logged
from phaseline.store import rows
from phaseline.store.load import read_executions
from phaseline.store.tables import changes, erasures, operations
from phaseline.store.working import Working

_EXECUTIONS_AT_ONCE = 50
_OPERATIONS_AT_ONCE = 1_000
_CHANGES_AT_ONCE = 200


#: A row of that table.
Erasure = Row[Any]


class Eraser:
    """
    Takes away operations, and what the change log tells of purged executions.

    Nobody is shown them any more: this is about the disk, and about watches that are resumed.
    """

    def __init__(self, working: Working, encoder: Encoder) -> None:
        self._working, self._encoder = working, encoder

    def step(self, connection: Connection) -> bool:
        """Erase some of it, in the transaction of *connection*; return whether there is more."""
        pending = connection.execute(select(erasures).limit(_EXECUTIONS_AT_ONCE)).all()
        room = _OPERATIONS_AT_ONCE, _CHANGES_AT_ONCE
        for erasure in pending:
            room = self._erase(connection, erasure, *room)
        return connection.execute(select(exists(select(erasures)))).scalar_one()

    def _erase(
        self, connection: Connection, erasure: Erasure, most: int, blanks: int
    ) -> tuple[int, int]:
        """Erase at most so many operations and changes; return how many more may be."""
        removed = _remove_operations(connection, erasure, most) if most else 0
        blanked = self._blank_changes(connection, erasure, blanks) if blanks else 0
        if removed < most and blanked < blanks:
            connection.execute(delete(erasures).where(*_own(erasures.c, erasure)))
        return most - removed, blanks - blanked

    def _blank_changes(self, connection: Connection, erasure: Erasure, limit: int) -> int:
        """Make each earlier version in the log what `as_logged` leaves of it."""
        c = changes.c
        earlier = (
            select(c.revision, c.status_before, c.status_after)
            .where(
                *_own(c, erasure),
                c.revision > erasure.blanked_to,
                c.revision < erasure.revision,
            )
            .order_by(c.revision)
            .limit(limit)
        )
        found = connection.execute(earlier).all()
        if not found:
            return 0
        key = Key(erasure.workspace_id, erasure.execution_id)
        (purged,) = read_executions(connection, [key], self._working)
        for version in found:
            connection.execute(
                update(changes)
                .where(*_own(c, erasure), c.revision == version.revision)
                .values(execution=self._blank(purged, version), parts=None)
            )
        connection.execute(
            update(erasures).where(*_own(erasures.c, erasure)).values(blanked_to=found[-1].revision)
        )
        return len(found)

    def _blank(self, purged: Execution, version: Any) -> bytes:
        status = ExecutionStatus(version.status_after)
        logged = as_logged(purged, status, version.revision)
        return rows.pack_part(
            Part(
                Resource.EXECUTION,
                version.status_before is None,
                self._encoder.execution(logged),
                self._encoder.execution_extra(logged),
            )
        )


def _remove_operations(connection: Connection, erasure: Erasure, limit: int) -> int:
    c = operations.c
    # By ordinal, of which an execution has each once.
    some = (
        select(c.ordinal)
        .where(*_own(c, erasure), c.revision <= erasure.revision)
        .order_by(c.ordinal)
        .limit(limit)
    )
    gone = delete(operations).where(*_own(c, erasure), c.ordinal.in_(some))
    return connection.execute(gone).rowcount


def _own(columns: Any, erasure: Erasure) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return (
        columns.workspace_id == erasure.workspace_id,
        columns.execution_id == erasure.execution_id,
    )
