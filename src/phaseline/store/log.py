"""Reading the change log, and the state that a watch starts with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    exists,
    literal,
    select,
    text,
)

from phaseline.app.changes import ActivePage, Entry, Folded, TreePage
from phaseline.app.queries import ExecutionFilter
from phaseline.domain.execution import NO_CONTENT, Execution, ExecutionSpec
from phaseline.domain.ids import Key
from phaseline.domain.lifecycle import ExecutionStatus
from phaseline.store import pieces, rows, tables
from phaseline.store.folding import fold, last_versions
from phaseline.store.load import read_executions
from phaseline.store.nesting import is_below
from phaseline.store.reads import Memory, Readable, Snapshots
from phaseline.store.tables import IS_ACTIVE
from phaseline.store.unindexed import unsorted
from phaseline.store.working import Working

_c = tables.changes.c
_e = tables.executions.c

# Rows of the log are many: they are read by place, and not by name.
_WORKSPACE, _REVISION, _EXECUTION = range(3)
_place = itemgetter(_REVISION, _EXECUTION)
_STATUSES = {status.value: status for status in ExecutionStatus}


class TableLog:
    """`History` of watch/ports.py: the change log, and what it tells the changes of."""

    def __init__(self, database: Readable, working: Working, memory: Memory) -> None:
        self._snapshots = Snapshots(database)
        self._working, self._memory = working, memory

    async def head(self) -> int:
        await self._memory.current()
        return await self._snapshots.read(pieces.read_head)

    async def trimmed(self) -> int:
        return await self._snapshots.read(
            lambda connection: connection.execute(select(tables.identity.c.trimmed)).scalar_one()
        )

    async def entries_of(
        self, key: Key, *, descendants: bool, after: int, until: int, limit: int
    ) -> Sequence[Entry]:
        def query(connection: Connection) -> Sequence[Entry]:
            walks = [_changes(key.workspace_id, after, until).where(_c.execution_id == key[1])]
            if descendants:
                below = self._is_below(connection, key)
                walks.append(_changes(key.workspace_id, after, until).where(*below))
            found = _whole_commits(connection, walks, limit)
            return entries_of(connection, found, self._working)

        return await self._snapshots.read(query)

    async def folded(
        self,
        workspace_id: str,
        matching: ExecutionFilter,
        *,
        after: int,
        until: int,
        past: tuple[int, str],
        limit: int,
    ) -> Sequence[Folded]:
        del matching  # what it refuses may be left out, and would cost a look at every spec
        last = last_versions(workspace_id, after=after, until=until, past=past, limit=limit)

        def query(connection: Connection) -> Sequence[Folded]:
            entries = entries_of(connection, connection.execute(last).all(), self._working)
            return fold(connection, workspace_id, entries, after=after, until=until)

        return await self._snapshots.read(query)

    async def active_page(
        self, workspace_id: str, matching: ExecutionFilter, *, after_id: str, limit: int
    ) -> ActivePage:
        await self._memory.current()
        found: list[Execution] = []
        for execution in self._working.active_past(workspace_id, after_id):
            if matching.matches_status(execution.status) and matching.matches_spec(execution):
                if len(found) == limit:
                    return ActivePage(found, True, self._working.head)
                found.append(execution)
        return ActivePage(found, False, self._working.head)

    async def execution_page(
        self, key: Key, *, after: int, limit: int, full: bool
    ) -> TreePage | None:
        def query(connection: Connection) -> TreePage | None:
            found = read_executions(connection, [key], self._working)
            head = pieces.read_head(connection)
            for execution in found:
                return _page(connection, execution, head, after=after, limit=limit, full=full)
            return None

        return await self._snapshots.read(query)

    async def pages_below(
        self, key: Key, *, after_id: str, limit: int, operations: int, full: bool
    ) -> Sequence[TreePage]:
        def query(connection: Connection) -> Sequence[TreePage]:
            spec = self._spec(connection, key)
            if spec is None:
                return ()
            name = unsorted(_e.execution_id)
            statement = (
                select(_e.execution_id)
                .where(*is_below(spec), name > after_id)
                .order_by(name)
                .limit(limit)
            )
            ids = connection.execute(statement).scalars()
            keys = [Key(key.workspace_id, execution_id) for execution_id in ids]
            found = sorted(
                read_executions(connection, keys, self._working), key=lambda one: one.key
            )
            head = pieces.read_head(connection)
            return [
                _page(connection, execution, head, after=-1, limit=operations, full=full)
                for execution in found
            ]

        return await self._snapshots.read(query)

    async def settled(self, key: Key) -> tuple[bool, int]:
        def query(connection: Connection) -> tuple[bool, int]:
            head = pieces.read_head(connection)
            spec = self._spec(connection, key)
            if spec is None:
                return True, head
            own = (_e.workspace_id == key.workspace_id, _e.execution_id == key.execution_id)
            return not any(
                connection.execute(
                    select(exists(select(_e.status).where(*conditions, text(IS_ACTIVE))))
                ).scalar_one()
                for conditions in (own, is_below(spec))
            ), head

        return await self._snapshots.read(query)

    def _spec(self, connection: Connection, key: Key) -> ExecutionSpec | None:
        known = self._working.get(key)
        if known is not None:
            return known.spec
        found = read_executions(connection, [key], self._working, phases=False)
        return found[0].spec if found else None

    def _is_below(self, connection: Connection, key: Key) -> list[ColumnElement[bool]]:
        """Return the conditions that find the changes of all that is below an execution."""
        spec = self._spec(connection, key)
        if spec is None or not spec.parent_execution_id:
            # Of a root that is deleted the log still knows what was below it.
            return [_c.root_execution_id == key.execution_id]
        below = exists(
            select(literal(1)).where(
                _e.workspace_id == _c.workspace_id,
                _e.execution_id == _c.execution_id,
                *is_below(spec),
            )
        )
        return [_c.root_execution_id == spec.root_execution_id, below]


def read_between(connection: Connection, after: int, until: int, limit: int) -> Sequence[Row[Any]]:
    """Return changes of all workspaces past *after* up to *until*, in commit order."""
    statement = (
        select(tables.changes)
        .where(_c.revision > after, _c.revision <= until)
        .order_by(_c.revision)
        .limit(limit)
    )
    return connection.execute(statement).all()


def entries_of(
    connection: Connection,
    found: Sequence[Row[Any]],
    working: Working,
    fresh: Mapping[Key, Execution] | None = None,
) -> list[Entry]:
    """Return the entries of rows, each with its execution for what never changes of it."""
    fresh = fresh or {}
    names = {(row[_WORKSPACE], row[_EXECUTION]) for row in found}
    keys = {name: Key(*name) for name in names}
    known = {key: fresh.get(key) or working.get(key) for key in keys.values()}
    missing = [key for key, execution in known.items() if execution is None]
    for execution in read_executions(connection, missing, working, phases=False):
        known[execution.key] = execution
    return [_entry(row, key := keys[row[_WORKSPACE], row[_EXECUTION]], known[key]) for row in found]


def _changes(workspace_id: str, after: int, until: int) -> Select[Any]:
    return select(tables.changes).where(
        _c.workspace_id == workspace_id, _c.revision > after, _c.revision <= until
    )


def _whole_commits(
    connection: Connection, walks: Sequence[Select[Any]], limit: int
) -> Sequence[Row[Any]]:
    """Return the first *limit* rows without the commit that was cut, or that one if it is alone."""
    found = _merged(connection, [walk.limit(limit + 1) for walk in walks])[: limit + 1]
    if len(found) <= limit:
        return found
    last = found[-1][_REVISION]
    complete = [row for row in found if row[_REVISION] < last]
    return complete or _merged(connection, [walk.where(_c.revision == last) for walk in walks])


def _merged(connection: Connection, walks: Sequence[Select[Any]]) -> Sequence[Row[Any]]:
    # One walk along an index for each, where one for all would have to sort all that match.
    found = [
        connection.execute(walk.order_by(_c.revision, _c.execution_id)).all() for walk in walks
    ]
    return found[0] if len(found) == 1 else sorted(chain(*found), key=_place)


def _page(
    connection: Connection,
    execution: Execution,
    head: int,
    *,
    after: int,
    limit: int,
    full: bool,
) -> TreePage:
    key = execution.key
    return TreePage(
        execution=execution,
        content=pieces.read_content(connection, key) if full else NO_CONTENT,
        outputs=pieces.read_outputs(connection, execution) if full else {},
        operations=pieces.read_operations(connection, key, limit, after=after, full=full),
        revision=head,
    )


def _entry(row: Sequence[Any], key: Key, execution: Execution | None) -> Entry:
    _, revision, _, root_id, changed_at, before, after, first, *rest = row
    return Entry(
        revision=revision,
        key=key,
        root_execution_id=root_id or key.execution_id,
        changed_at=rows.moment(changed_at),
        status_before=None if before is None else _STATUSES[before],
        status_after=_STATUSES[after],
        parts=rows.parts_of(first, *rest),
        execution=execution,
    )
