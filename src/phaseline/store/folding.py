"""What a range of the change log comes to, for each execution that it changed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, exists, func, literal, select, tuple_

from phaseline.app.changes import Entry, Folded
from phaseline.domain.lifecycle import ExecutionStatus
from phaseline.store.tables import changes

_c = changes.c


def last_versions(
    workspace_id: str, *, after: int, until: int, past: tuple[int, str], limit: int
) -> Select[Any]:
    """Return the select of the newest change of each execution in the range, in commit order."""
    later = changes.alias("later")
    return (
        select(*(column for column in _c if column.key != "parts"))
        .where(
            _c.workspace_id == workspace_id,
            _c.revision > max(after, past[0] - 1),
            _c.revision <= until,
            tuple_(_c.revision, _c.execution_id) > tuple_(literal(past[0]), literal(past[1])),
            ~exists(
                select(literal(1)).where(
                    later.c.workspace_id == _c.workspace_id,
                    later.c.execution_id == _c.execution_id,
                    later.c.revision > _c.revision,
                    later.c.revision <= until,
                )
            ),
        )
        .order_by(_c.revision, _c.execution_id)
        .limit(limit)
    )


def fold(
    connection: Connection, workspace_id: str, entries: Sequence[Entry], *, after: int, until: int
) -> list[Folded]:
    """Return each of *entries*, the last versions, with what led there past *after*."""
    found = select(
        _c.execution_id,
        _c.status_before,
        _c.status_after,
        func.min(_c.revision).label("first"),
        func.count().label("versions"),
    ).where(
        _c.workspace_id == workspace_id,
        _c.execution_id.in_([entry.key.execution_id for entry in entries]),
        _c.revision > after,
        _c.revision <= until,
    )
    moves: defaultdict[str, list[Row[Any]]] = defaultdict(list)
    for row in connection.execute(
        found.group_by(_c.execution_id, _c.status_before, _c.status_after)
    ):
        moves[row.execution_id].append(row)
    return [_folded(entry, moves[entry.key.execution_id]) for entry in entries]


def _folded(entry: Entry, moves: Sequence[Row[Any]]) -> Folded:
    first = min(moves, key=lambda move: move.first)
    counts: defaultdict[str, int] = defaultdict(int)
    for move in moves:
        counts[move.status_after] += move.versions
    # The version itself is not what led to it.
    counts[entry.status_after.value] -= 1
    return Folded(
        entry=entry,
        status_before=None if first.status_before is None else ExecutionStatus(first.status_before),
        passed=frozenset(ExecutionStatus(status) for status, count in counts.items() if count),
        left_out=sum(counts.values()),
    )
