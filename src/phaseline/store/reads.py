"""Reading what is committed: from memory where it holds the answer, else from the tables."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import Select, func, select, tuple_
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from phaseline.app.ports import ArtifactPage, Detail, Slot, WorkflowPage, WorkflowRef
from phaseline.app.queries import ExecutionPage, ExecutionQuery, OperationPage, OperationQuery
from phaseline.domain.errors import Unavailable
from phaseline.domain.execution import NO_CONTENT, Artifact, Content, Execution, Operation
from phaseline.domain.ids import Key
from phaseline.domain.payload import Payload
from phaseline.domain.workflow import Workflow
from phaseline.store import listing, rows, tables
from phaseline.store.load import (
    executions_of,
    read_executions,
    read_workflow,
)
from phaseline.store.working import Working


class TableReads:
    """`Reads` of app/ports.py."""

    def __init__(self, engine: AsyncEngine, working: Working) -> None:
        self._engine, self._working = engine, working
        self._asked: dict[Key, asyncio.Future[Execution | None]] = {}
        self._answering: set[asyncio.Task[None]] = set()

    async def status(self, key: Key) -> Execution | None:
        known = self._working.get(key)
        if known is not None:
            return known
        waiting = self._asked.get(key)
        if waiting is None:
            waiting = self._asked[key] = asyncio.get_running_loop().create_future()
            if len(self._asked) == 1:
                # Started behind what is ready now: all that is asked in this turn is one query.
                task = asyncio.create_task(self._answer())
                self._answering.add(task)
                task.add_done_callback(self._answering.discard)
        return await asyncio.shield(waiting)

    async def detail(
        self,
        key: Key,
        *,
        full: bool = True,
        operations: int = 0,
        phase_ids: Sequence[str] = (),
    ) -> Detail | None:
        async with self.snapshot() as connection:
            revision = await head(connection)
            found = await read_executions(connection, [key], self._working)
            if not found:
                return None
            execution = found[0]
            return Detail(
                execution=execution,
                content=await read_content(connection, key) if full else NO_CONTENT,
                outputs=await read_outputs(connection, key) if full else {},
                operations=await _first_operations(connection, execution, operations, phase_ids),
                revision=revision,
            )

    async def executions(self, query: ExecutionQuery) -> ExecutionPage:
        async with self.snapshot() as connection:
            revision = await head(connection)
            total, is_capped = await _total(connection, query)
            statement = listing.page(query, is_dense=is_capped)
            found = (await connection.execute(statement)).mappings().all()
            page = await executions_of(connection, found[: query.limit], self._working, {})
        has_more = len(found) > query.limit
        return ExecutionPage(
            executions=page,
            total_size=total,
            total_size_capped=is_capped,
            next=listing.position_of(query.order, page[-1]) if has_more else None,
            revision=revision,
        )

    async def operations(self, query: OperationQuery) -> OperationPage:
        table = tables.operations
        own = [
            table.c.workspace_id == query.key.workspace_id,
            table.c.execution_id == query.key.execution_id,
        ]
        if query.position is not None:
            own.append(table.c.position == query.position)
        statement = (
            select(*_operation_columns(full=query.full))
            .where(*own, table.c.ordinal > query.after)
            .order_by(table.c.ordinal)
            .limit(query.limit + 1)
        )
        async with self.snapshot() as connection:
            total = (
                await connection.execute(select(func.count()).select_from(table).where(*own))
            ).scalar_one()
            found = (await connection.execute(statement)).mappings().all()
        page = [rows.operation_of(row) for row in found[: query.limit]]
        has_more = len(found) > query.limit
        return OperationPage(page, total, page[-1].ordinal if has_more else None)

    async def content(self, key: Key) -> Content:
        known = self._working.contents.get(key)
        if known is not None:
            return known
        async with self.snapshot() as connection:
            return await read_content(connection, key)

    async def outputs(self, slots: Sequence[Slot]) -> Mapping[Slot, Payload]:
        known = {slot: self._working.outputs.get(slot) for slot in slots}
        have = {slot: payload for slot, payload in known.items() if payload is not None}
        missing = [(*slot.key, slot.position) for slot in slots if slot not in have]
        if not missing:
            return have
        table = tables.payloads
        own = tuple_(table.c.workspace_id, table.c.execution_id, table.c.position)
        statement = select(table).where(own.in_(missing), table.c.kind == "output")
        async with self.snapshot() as connection:
            found = (await connection.execute(statement)).mappings().all()
        return have | {
            Slot(Key(row["workspace_id"], row["execution_id"]), row["position"]): rows.payload_of(
                row
            )
            for row in found
        }

    async def checkpoint(self, slot: Slot) -> Payload | None:
        table = tables.payloads
        statement = select(table).where(
            table.c.workspace_id == slot.key.workspace_id,
            table.c.execution_id == slot.key.execution_id,
            table.c.position == slot.position,
            table.c.kind == "checkpoint",
        )
        async with self.snapshot() as connection:
            row = (await connection.execute(statement)).mappings().one_or_none()
        return None if row is None else rows.payload_of(row)

    async def workflow(self, ref: WorkflowRef) -> Workflow | None:
        known = self._working.workflow(ref)
        if known is not None:
            return known
        async with self.snapshot() as connection:
            return await read_workflow(connection, ref)

    async def workflows(self, workspace_id: str, *, after: str = "", limit: int) -> WorkflowPage:
        table = tables.workflows
        own = table.c.workspace_id == workspace_id
        latest = (
            select(table.c.workflow_id, func.max(table.c.version).label("version"))
            .where(own, table.c.workflow_id > after)
            .group_by(table.c.workflow_id)
            .order_by(table.c.workflow_id)
            .limit(limit + 1)
            .subquery()
        )
        statement = (
            select(table)
            .join(
                latest,
                (table.c.workflow_id == latest.c.workflow_id)
                & (table.c.version == latest.c.version),
            )
            .where(own)
            .order_by(table.c.workflow_id)
        )
        count = select(func.count(func.distinct(table.c.workflow_id))).where(own)
        async with self.snapshot() as connection:
            total = (await connection.execute(count)).scalar_one()
            found = (await connection.execute(statement)).mappings().all()
        page = [rows.workflow_of(row) for row in found[:limit]]
        return WorkflowPage(page, total, len(found) > limit)

    async def artifact(
        self, workspace_id: str, artifact_id: str
    ) -> tuple[Artifact, bytes | None] | None:
        table = tables.artifacts
        statement = select(table).where(
            table.c.workspace_id == workspace_id, table.c.artifact_id == artifact_id
        )
        async with self.snapshot() as connection:
            row = (await connection.execute(statement)).mappings().one_or_none()
        return None if row is None else (rows.artifact_of(row), row["data"])

    async def artifacts(
        self, key: Key, *, phase_id: str = "", after: str = "", limit: int
    ) -> ArtifactPage:
        table = tables.artifacts
        own = [
            table.c.workspace_id == key.workspace_id,
            table.c.execution_id == key.execution_id,
        ]
        if phase_id:
            own.append(table.c.phase_id == phase_id)
        columns = [column for column in table.c if column.key != "data"]
        statement = (
            select(*columns)
            .where(*own, table.c.artifact_id > after)
            .order_by(table.c.artifact_id)
            .limit(limit + 1)
        )
        count = select(func.count()).select_from(table).where(*own)
        async with self.snapshot() as connection:
            total = (await connection.execute(count)).scalar_one()
            found = (await connection.execute(statement)).mappings().all()
        page = [rows.artifact_of(row) for row in found[:limit]]
        return ArtifactPage(page, total, len(found) > limit)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[AsyncConnection]:
        """Give a connection on which everything is read as of one moment."""
        try:
            async with self._engine.connect() as connection:
                yield connection
        except DBAPIError as error:
            raise Unavailable("the store cannot be read at this moment") from error

    async def _answer(self) -> None:
        """Answer everybody who asked in this turn, from one query."""
        asked, self._asked = self._asked, {}
        try:
            async with self.snapshot() as connection:
                found = await read_executions(connection, list(asked), self._working, phases=False)
        except Exception as error:  # noqa: BLE001 -- handed to each of those that asked
            for waiting in asked.values():
                waiting.set_exception(error)
            return
        executions = {execution.key: execution for execution in found}
        for key, waiting in asked.items():
            waiting.set_result(executions.get(key))


async def head(connection: AsyncConnection) -> int:
    """Return the revision that a snapshot shows."""
    statement = select(tables.identity.c.head)
    revision: int = (await connection.execute(statement)).scalar_one()
    return revision


async def read_content(connection: AsyncConnection, key: Key) -> Content:
    """Return what an execution was given; empty if nothing."""
    table = tables.contents
    statement = select(table.c.body).where(
        table.c.workspace_id == key.workspace_id, table.c.execution_id == key.execution_id
    )
    body = (await connection.execute(statement)).scalar_one_or_none()
    return NO_CONTENT if body is None else rows.content_of(body)


async def read_outputs(connection: AsyncConnection, key: Key) -> Mapping[int, Payload]:
    """Return the outputs of an execution's phases, by position."""
    table = tables.payloads
    statement = select(table).where(
        table.c.workspace_id == key.workspace_id,
        table.c.execution_id == key.execution_id,
        table.c.kind == "output",
    )
    found = (await connection.execute(statement)).mappings()
    return {row["position"]: rows.payload_of(row) for row in found}


async def read_all_operations(
    connection: AsyncConnection, key: Key, *, full: bool
) -> Sequence[Operation]:
    """Return the operations of an execution, in the order of first record."""
    table = tables.operations
    statement = (
        select(*_operation_columns(full=full))
        .where(table.c.workspace_id == key.workspace_id, table.c.execution_id == key.execution_id)
        .order_by(table.c.ordinal)
    )
    return [rows.operation_of(row) for row in (await connection.execute(statement)).mappings()]


async def _first_operations(
    connection: AsyncConnection,
    execution: Execution,
    limit: int,
    phase_ids: Sequence[str],
) -> Sequence[Operation]:
    if not limit:
        return ()
    table, key = tables.operations, execution.key
    statement = select(*_operation_columns(full=False)).where(
        table.c.workspace_id == key.workspace_id, table.c.execution_id == key.execution_id
    )
    if phase_ids:
        statement = statement.where(table.c.phase_id.in_(phase_ids))
    found = await connection.execute(statement.order_by(table.c.ordinal).limit(limit))
    return [rows.operation_of(row) for row in found.mappings()]


def _operation_columns(*, full: bool) -> list[Any]:
    table = tables.operations
    return [column for column in table.c if full or column.key not in ("input", "output")]


async def _total(connection: AsyncConnection, query: ExecutionQuery) -> tuple[int, bool]:
    """Return how many executions match, and whether there are more than were counted."""
    exact: Select[Any] | None = listing.counted(query)
    statement = listing.count(query) if exact is None else exact
    total = (await connection.execute(statement)).scalar_one()
    if exact is None and total > listing.MOST_COUNTED:
        return listing.MOST_COUNTED, True
    return int(total), False
