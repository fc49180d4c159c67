"""Reading the change log, and the state that a watch starts with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import RowMapping, Select, or_, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from phaseline.app.changes import ActivePage, Entry, TreePage
from phaseline.app.queries import ExecutionFilter, ExecutionQuery, Order
from phaseline.domain.execution import Content, Execution
from phaseline.domain.ids import Key
from phaseline.domain.lifecycle import ExecutionStatus
from phaseline.store import listing, rows, tables
from phaseline.store.load import executions_of, read_executions
from phaseline.store.reads import (
    TableReads,
    head,
    read_all_operations,
    read_content,
    read_outputs,
)
from phaseline.store.tables import IS_ACTIVE
from phaseline.store.working import Working


class TableLog:
    """`Log` of app/changes.py."""

    def __init__(self, reads: TableReads, working: Working) -> None:
        self._reads, self._working = reads, working

    async def entries(
        self, workspace_id: str, *, after: int, until: int, limit: int
    ) -> Sequence[Entry]:
        c = tables.changes.c
        statement = (
            select(*_columns(with_parts=False))
            .where(c.workspace_id == workspace_id, c.revision > after, c.revision <= until)
            .order_by(c.revision, c.execution_id)
            .limit(limit + 1)
        )
        async with self._reads.snapshot() as connection:
            found = list((await connection.execute(statement)).mappings())
            if len(found) > limit:
                found = await _whole_commits(connection, found, statement)
            return await self._entries_of(connection, found)

    async def entries_of(
        self, key: Key, *, descendants: bool, after: int, until: int, limit: int
    ) -> Sequence[Entry]:
        c = tables.changes.c
        own = c.execution_id == key.execution_id
        if descendants:
            own = or_(own, c.root_execution_id == key.execution_id)
        statement = (
            select(*_columns(with_parts=True))
            .where(c.workspace_id == key.workspace_id, own, c.revision > after, c.revision <= until)
            .order_by(c.revision, c.execution_id)
            .limit(limit + 1)
        )
        async with self._reads.snapshot() as connection:
            found = list((await connection.execute(statement)).mappings())
            if len(found) > limit:
                found = await _whole_commits(connection, found, statement)
        return [_entry(row, None) for row in found]

    async def trimmed(self) -> int:
        async with self._reads.snapshot() as connection:
            statement = select(tables.identity.c.trimmed)
            revision: int = (await connection.execute(statement)).scalar_one()
            return revision

    async def active_page(
        self, workspace_id: str, matching: ExecutionFilter, *, after_id: str, limit: int
    ) -> ActivePage:
        query = ExecutionQuery(workspace_id, matching, Order.CREATED_AT_ASC, limit)
        e = tables.executions.c
        statement = (
            listing.matching(query)
            .where(text(IS_ACTIVE), e.execution_id > after_id)
            .order_by(e.execution_id)
            .limit(limit + 1)
        )
        async with self._reads.snapshot() as connection:
            revision = await head(connection)
            found = (await connection.execute(statement)).mappings().all()
            page = await executions_of(connection, found[:limit], self._working, {})
        return ActivePage(page, len(found) > limit, revision)

    async def tree_page(
        self, key: Key, *, after_id: str, limit: int, full: bool
    ) -> tuple[Sequence[TreePage], bool]:
        async with self._reads.snapshot() as connection:
            revision = await head(connection)
            keys = await _tree_keys(connection, key, after_id, limit + 1)
            found = await read_executions(connection, keys[:limit], self._working)
            found.sort(key=lambda execution: execution.key)
            pages = [
                await self._tree_page(connection, execution, revision, full=full)
                for execution in found
            ]
        return pages, len(keys) > limit

    async def identity(self) -> tuple[str, bytes]:
        table = tables.identity
        async with self._reads.snapshot() as connection:
            row = (await connection.execute(select(table.c.epoch, table.c.secret))).one()
            return row.epoch, row.secret

    async def _tree_page(
        self, connection: AsyncConnection, execution: Execution, revision: int, *, full: bool
    ) -> TreePage:
        key = execution.key
        return TreePage(
            execution=execution,
            content=await read_content(connection, key) if full else Content(),
            outputs=dict(await read_outputs(connection, key)) if full else {},
            operations=await read_all_operations(connection, key, full=full),
            revision=revision,
        )

    async def _entries_of(
        self, connection: AsyncConnection, found: Sequence[RowMapping]
    ) -> list[Entry]:
        """Return the entries of rows, each with its execution for what never changes of it."""
        keys = {Key(row["workspace_id"], row["execution_id"]) for row in found}
        known = {key: self._working.get(key) for key in keys}
        missing = [key for key, execution in known.items() if execution is None]
        for execution in await read_executions(connection, missing, self._working, phases=False):
            known[execution.key] = execution
        return [_entry(row, known[Key(row["workspace_id"], row["execution_id"])]) for row in found]


def _columns(*, with_parts: bool) -> list[Any]:
    return [column for column in tables.changes.c if with_parts or column.key != "parts"]


def _entry(row: RowMapping, execution: Execution | None) -> Entry:
    before = row["status_before"]
    return Entry(
        revision=row["revision"],
        key=Key(row["workspace_id"], row["execution_id"]),
        root_execution_id=row["root_execution_id"] or row["execution_id"],
        changed_at=rows.moment(row["changed_at"]),
        status_before=None if before is None else ExecutionStatus(before),
        status_after=ExecutionStatus(row["status_after"]),
        parts=rows.parts_of(row["execution"], row.get("parts")),
        execution=execution,
    )


async def _whole_commits(
    connection: AsyncConnection, found: list[RowMapping], statement: Select[Any]
) -> list[RowMapping]:
    """Return *found* without the commit that was cut off, or that commit whole if it is alone."""
    last = found[-1]["revision"]
    complete = [row for row in found if row["revision"] < last]
    if complete:
        return complete
    whole = statement.where(tables.changes.c.revision <= last).limit(None)
    return list((await connection.execute(whole)).mappings())


async def _tree_keys(connection: AsyncConnection, key: Key, after_id: str, limit: int) -> list[Key]:
    e = tables.executions.c
    statement = (
        select(e.workspace_id, e.execution_id)
        .where(
            e.workspace_id == key.workspace_id,
            or_(e.execution_id == key.execution_id, e.root_execution_id == key.execution_id),
            e.execution_id > after_id,
        )
        .order_by(e.execution_id)
        .limit(limit)
    )
    return [Key(*row) for row in await connection.execute(statement)]
