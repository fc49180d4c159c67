"""Reading what is committed: from memory where it holds the answer, else from the tables."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from sqlalchemy import Connection, func, select

from phaseline.app.ports import ArtifactPage, Detail, Slot, WorkflowPage, WorkflowRef
from phaseline.app.queries import (
    ExecutionPage,
    ExecutionQuery,
    Nesting,
    OperationPage,
    OperationQuery,
)
from phaseline.domain.errors import Unavailable
from phaseline.domain.execution import NO_CONTENT, Artifact, Content, Execution
from phaseline.domain.ids import Key
from phaseline.domain.payload import Payload
from phaseline.domain.workflow import Workflow
from phaseline.store import pieces, rows, tables
from phaseline.store.failures import StoreFailed
from phaseline.store.listing import MOST_COUNTED, MOST_LOOKED_AT, Listing, listing_of, position_of
from phaseline.store.load import executions_of, read_executions, read_workflow
from phaseline.store.nesting import newest_of_message, read_below
from phaseline.store.working import Working

T = TypeVar("T")


class Readable(Protocol):
    """A database that can be read."""

    async def read(self, query: Callable[[Connection], T]) -> T:
        """Return what *query* finds, all as of one moment; may raise `StoreFailed`."""


class Memory(Protocol):
    """Knows whether others may have committed what memory has not."""

    async def current(self) -> None:
        """Return once memory has what was committed before the call; may raise `Unavailable`."""


class Owned:
    """`Memory` of a database that nobody else writes to."""

    async def current(self) -> None:
        return


class Snapshots:
    """Reads for those who get an `Unavailable` when the database is away."""

    def __init__(self, database: Readable) -> None:
        self._database = database

    async def read(self, query: Callable[[Connection], T]) -> T:
        """Return what *query* finds, all as of one moment."""
        try:
            return await self._database.read(query)
        except StoreFailed as error:
            raise Unavailable.for_now("the store cannot be read at this moment") from error


class TableReads:
    """`Reads` of app/ports.py."""

    def __init__(self, database: Readable, working: Working, memory: Memory) -> None:
        self._snapshots = Snapshots(database)
        self._working, self._memory = working, memory
        self._together: _Together | None = None

    async def status(self, key: Key) -> Execution | None:
        await self._memory.current()
        known = self._working.get(key)
        if known is not None:
            return known
        together = self._together
        if together is None:
            together = self._together = _Together()
            # Started behind what is ready now: all that is asked in this turn is one query.
            together.task = asyncio.create_task(self._answer(together))
        return await together.wait(key)

    async def detail(
        self,
        key: Key,
        *,
        full: bool = True,
        operations: int = 0,
        phase_ids: Sequence[str] = (),
    ) -> Detail | None:
        if not full and not operations:
            await self._memory.current()
            known = self._working.get(key)
            if known is not None:
                return Detail(known, NO_CONTENT, {}, (), self._working.head)

        def query(connection: Connection) -> Detail | None:
            found = read_executions(connection, [key], self._working)
            if not found:
                return None
            return Detail(
                execution=found[0],
                content=pieces.read_content(connection, key) if full else NO_CONTENT,
                outputs=pieces.read_outputs(connection, found[0]) if full else {},
                operations=(
                    pieces.read_operations(connection, key, operations, phase_ids=phase_ids)
                    if operations
                    else ()
                ),
                revision=pieces.read_head(connection),
            )

        return await self._snapshots.read(query)

    async def executions(self, query: ExecutionQuery) -> ExecutionPage:
        return await self._snapshots.read(lambda connection: self._page(connection, query))

    async def operations(self, query: OperationQuery) -> OperationPage:
        return await self._snapshots.read(lambda c: pieces.operation_page(c, query))

    async def nesting(
        self, workspace_id: str, *, execution_id: str = "", chat_message_id: str = "", limit: int
    ) -> Nesting | None:
        def query(connection: Connection) -> Nesting | None:
            key: Key | None = Key(workspace_id, execution_id)
            if not execution_id:
                key = newest_of_message(connection, workspace_id, chat_message_id)
            keys = [] if key is None else [key]
            for top in read_executions(connection, keys, self._working, phases=False):
                below = read_below(connection, top, limit + 1, self._working)
                head = pieces.read_head(connection)
                return Nesting(top, below[:limit], len(below) > limit, head)
            return None

        return await self._snapshots.read(query)

    async def content(self, key: Key) -> Content:
        known = self._working.contents.get(key)
        if known is not None:
            return known
        return await self._snapshots.read(lambda connection: pieces.read_content(connection, key))

    async def outputs(self, slots: Sequence[Slot]) -> Mapping[Slot, Payload]:
        found = {slot: self._working.outputs.get(slot) for slot in slots}
        missing = [slot for slot, payload in found.items() if payload is None]

        def query(connection: Connection) -> dict[Slot, Payload | None]:
            return {
                slot: pieces.read_payload(connection, slot.key, slot.position, "output")
                for slot in missing
            }

        if missing:
            found |= await self._snapshots.read(query)
        return {slot: payload for slot, payload in found.items() if payload is not None}

    async def checkpoint(self, slot: Slot) -> Payload | None:
        return await self._snapshots.read(
            lambda connection: pieces.read_payload(
                connection, slot.key, slot.position, "checkpoint"
            )
        )

    async def workflow(self, ref: WorkflowRef) -> Workflow | None:
        if not ref.version:
            await self._memory.current()
        known = self._working.workflow(ref)
        if known is not None:
            return known
        return await self._snapshots.read(lambda connection: read_workflow(connection, ref))

    async def workflows(self, workspace_id: str, *, after: str = "", limit: int) -> WorkflowPage:
        return await self._snapshots.read(
            lambda connection: _workflows(connection, workspace_id, after, limit)
        )

    async def artifact(
        self, workspace_id: str, artifact_id: str
    ) -> tuple[Artifact, bytes | None] | None:
        return await self._snapshots.read(
            lambda connection: pieces.read_artifact(connection, workspace_id, artifact_id)
        )

    async def artifacts(
        self, key: Key, *, phase_id: str = "", after: str = "", limit: int
    ) -> ArtifactPage:
        return await self._snapshots.read(
            lambda connection: pieces.artifact_page(
                connection, key, phase_id=phase_id, after=after, limit=limit
            )
        )

    def _page(self, connection: Connection, query: ExecutionQuery) -> ExecutionPage:
        listing = listing_of(query)
        if listing.probe is not None:
            listing = listing.led(connection.execute(listing.probe).one())
        total, is_capped = _total(connection, listing)
        statement = listing.page(few=total <= MOST_COUNTED and not is_capped)
        found = connection.execute(statement).mappings().all()
        page = executions_of(connection, found[: query.limit], self._working, {})
        has_more = len(found) > query.limit
        return ExecutionPage(
            executions=page,
            total_size=total,
            total_size_capped=is_capped,
            next=position_of(query.order, page[-1]) if has_more else None,
            revision=pieces.read_head(connection),
        )

    async def _answer(self, together: _Together) -> None:
        """Answer everybody who asked in this turn, from one query."""
        self._together, asked = None, together.asked
        if not together.begin():
            return
        keys = list(asked)
        try:
            found = await self._snapshots.read(
                lambda connection: read_executions(connection, keys, self._working, phases=False)
            )
        except BaseException as error:
            # Handed to each of those that asked, so that none waits for ever.
            for waiting in asked.values():
                waiting.set_exception(error if isinstance(error, Exception) else _ended())
                waiting.exception()
            if isinstance(error, Exception):
                return
            raise
        executions = {execution.key: execution for execution in found}
        for key, waiting in asked.items():
            waiting.set_result(executions.get(key))


class _Together:
    """Executions that are read together, for as long as anybody waits for one of them."""

    def __init__(self) -> None:
        self.asked: dict[Key, asyncio.Future[Execution | None]] = {}
        self.task: asyncio.Task[None] | None = None
        self._waiting, self._has_begun = 0, False

    def begin(self) -> bool:
        """Take note that they are being read; return whether anybody waits for that."""
        self._has_begun = True
        return bool(self._waiting)

    async def wait(self, key: Key) -> Execution | None:
        """Return the execution, once it is read."""
        waiting = self.asked.get(key)
        if waiting is None:
            waiting = self.asked[key] = asyncio.get_running_loop().create_future()
        self._waiting += 1
        try:
            return await asyncio.shield(waiting)
        finally:
            self._waiting -= 1
            if not self._waiting and self._has_begun and self.task is not None:
                # If it still goes on, nobody wants to know any more.
                self.task.cancel()


def _ended() -> Unavailable:
    return Unavailable.for_now("the store is being closed")


def _workflows(connection: Connection, workspace_id: str, after: str, limit: int) -> WorkflowPage:
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
            (table.c.workflow_id == latest.c.workflow_id) & (table.c.version == latest.c.version),
        )
        .where(own)
        .order_by(table.c.workflow_id)
    )
    counted = select(func.count(func.distinct(table.c.workflow_id))).where(own)
    total = connection.execute(counted).scalar_one()
    found = connection.execute(statement).mappings().all()
    page = [rows.workflow_of(row) for row in found[:limit]]
    return WorkflowPage(page, total, len(found) > limit)


def _total(connection: Connection, listing: Listing) -> tuple[int, bool]:
    """Return how many executions match, and whether there may be more than were counted."""
    if listing.counted is not None:
        return int(connection.execute(listing.counted).scalar_one()), False
    matches, looked_at = connection.execute(listing.count).one()
    is_capped = matches > MOST_COUNTED or looked_at > MOST_LOOKED_AT
    return min(matches, MOST_COUNTED), is_capped
