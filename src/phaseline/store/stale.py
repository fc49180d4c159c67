"""Finding, and letting go of, what is old."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import takewhile

from sqlalchemy import ColumnElement, Connection, delete, exists, func, or_, select, update

from phaseline.app.ports import Encoder
from phaseline.domain.ids import Key
from phaseline.store import rows
from phaseline.store.erasing import Eraser
from phaseline.store.reads import Readable, Snapshots
from phaseline.store.tables import changes, erasures, executions, identity, requests
from phaseline.store.working import Working

_e = executions.c
_c = changes.c


class TableStale:
    """`Stale` of app/retention.py."""

    def __init__(self, database: Readable) -> None:
        self._snapshots = Snapshots(database)

    async def purgeable(self, *, ended_before: datetime, limit: int) -> Sequence[Key]:
        statement = (
            select(_e.workspace_id, _e.execution_id)
            .where(_e.is_purged.is_(False), *_ended(ended_before))
            .order_by(_e.completed_at)
            .limit(limit)
        )
        return await self._snapshots.read(
            lambda connection: [Key(*row) for row in connection.execute(statement)]
        )

    async def deletable(self, *, ended_before: datetime, limit: int) -> Sequence[Key]:
        return await self._snapshots.read(
            lambda connection: _deletable(connection, ended_before, limit)
        )

    async def trimmable(
        self, *, changed_before: datetime | None, keep: int | None, limit: int
    ) -> int:
        return await self._snapshots.read(
            lambda connection: _trimmable(connection, changed_before, keep, limit)
        )

    async def forgettable(
        self, *, answered_before: datetime, limit: int
    ) -> Sequence[tuple[str, str]]:
        statement = (
            select(requests.c.workspace_id, requests.c.request_id)
            .where(requests.c.created_at < rows.micros(answered_before))
            .order_by(requests.c.created_at)
            .limit(limit)
        )
        return await self._snapshots.read(
            lambda connection: [(row[0], row[1]) for row in connection.execute(statement)]
        )


class Tidying:
    """`Tidy` of the writer."""

    def __init__(self, working: Working, encoder: Encoder) -> None:
        self._eraser = Eraser(working, encoder)

    def erase(self, connection: Connection) -> bool:
        return self._eraser.step(connection)

    def trim(self, revision: int, connection: Connection) -> None:
        # Never back, and never past what there is: the table refuses that.
        connection.execute(
            update(identity).where(identity.c.trimmed < revision).values(trimmed=revision)
        )
        connection.execute(delete(changes).where(_c.revision <= revision))


def _ended(before: datetime) -> list[ColumnElement[bool]]:
    # The first condition in the words of the partial index, which else is not used.
    return [_e.completed_at.is_not(None), _e.completed_at < rows.micros(before)]


def _deletable(connection: Connection, before: datetime, limit: int) -> list[Key]:
    if connection.execute(select(exists(select(erasures)))).scalar_one():
        # What is being erased is looked up where it still is.
        return []
    found: list[Key] = []
    for root in _old_roots(connection, before, limit):
        tree = select(_e.execution_id).where(
            _e.workspace_id == root.workspace_id, _e.root_execution_id == root.execution_id
        )
        # A path is longer than that of any execution on it.
        below = tree.order_by(func.length(_e.path).desc(), _e.execution_id).limit(limit)
        ids = [*connection.execute(below).scalars(), root.execution_id]
        found.extend(Key(root.workspace_id, execution_id) for execution_id in ids)
        if len(found) >= limit:
            break
    return found[:limit]


def _old_roots(connection: Connection, before: datetime, limit: int) -> list[Key]:
    """Return roots of trees of which every execution has ended long ago, the oldest first."""
    below = executions.alias("below")
    is_going_on = exists(
        select(below.c.execution_id).where(
            below.c.workspace_id == _e.workspace_id,
            below.c.root_execution_id == _e.execution_id,
            or_(below.c.completed_at.is_(None), below.c.completed_at >= rows.micros(before)),
        )
    )
    found: list[tuple[int, Key]] = []
    for is_purged in (False, True):
        statement = (
            select(_e.completed_at, _e.workspace_id, _e.execution_id)
            .where(
                _e.is_purged.is_(is_purged),
                *_ended(before),
                _e.parent_execution_id.is_(None),
                ~is_going_on,
            )
            .order_by(_e.completed_at)
            .limit(limit)
        )
        found.extend((at, Key(*key)) for at, *key in connection.execute(statement))
    return [key for _, key in sorted(found)]


def _trimmable(
    connection: Connection, changed_before: datetime | None, keep: int | None, limit: int
) -> int:
    first_kept = 0 if keep is None else _first_kept(connection, keep)
    earliest = 0 if changed_before is None else rows.micros(changed_before)
    trimmed = select(identity.c.trimmed).scalar_subquery()
    oldest = connection.execute(
        select(_c.revision, _c.changed_at)
        .where(_c.revision > trimmed)
        .order_by(_c.revision)
        .limit(limit + 1)
    ).all()
    going = list(
        takewhile(lambda row: row.changed_at < earliest or row.revision < first_kept, oldest)
    )
    if not going:
        return 0
    # Commits go whole: the last one does if the row behind it belongs to another.
    behind = oldest[len(going)].revision if len(going) < len(oldest) else None
    last: int = going[-1].revision
    if len(going) <= limit and behind != last:
        return last
    whole = [row.revision for row in going if row.revision < last]
    if whole:
        return int(whole[-1])
    # One commit alone has more rows than that, all of them as old: there is but one moment in it.
    return last if behind is None else 0


def _first_kept(connection: Connection, keep: int) -> int:
    """Return the revision from which on everything is kept if only the newest *keep* rows are."""
    newest = select(_c.revision).order_by(_c.revision.desc()).limit(1).offset(keep - 1)
    found: int | None = connection.execute(newest).scalar_one_or_none()
    return found or 0
