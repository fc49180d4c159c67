"""Reading what belongs to one execution: its content, outputs, operations and artifacts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, exists, func, select

from phaseline.app.ports import ArtifactPage
from phaseline.app.queries import OperationPage, OperationQuery
from phaseline.domain.execution import NO_CONTENT, Artifact, Content, Execution, Operation
from phaseline.domain.ids import Key
from phaseline.domain.payload import Payload
from phaseline.store import rows, tables
from phaseline.store.place import Place

# Of all outputs of an execution together; those past it come without their bytes.
_MOST_BYTES = 16 * 1024 * 1024
# At most, in UTF-8.
_BYTES_PER_CHARACTER = 4

_HEAD = select(tables.identity.c.head)


def read_place(connection: Connection) -> Place:
    """Return where the database stands."""
    c = tables.identity.c
    return Place(*connection.execute(select(c.epoch, c.head, c.commits)).one())


def read_head(connection: Connection) -> int:
    """Return the revision that a snapshot shows."""
    revision: int = connection.execute(_HEAD).scalar_one()
    return revision


def read_content(connection: Connection, key: Key) -> Content:
    """Return what an execution was given; empty if nothing."""
    statement = select(tables.contents.c.body).where(*own(tables.contents, key))
    body = connection.execute(statement).scalar_one_or_none()
    return NO_CONTENT if body is None else rows.content_of(body)


def read_outputs(connection: Connection, execution: Execution) -> dict[int, Payload]:
    """Return the outputs of an execution's phases, by position."""
    c = tables.payloads.c
    statement = select(tables.payloads).where(
        *own(tables.payloads, execution.key), c.kind == "output"
    )
    room, found = _MOST_BYTES, {}
    for position, phase in enumerate(execution.phases):
        if phase.output_size is None:
            continue
        row = connection.execute(statement.where(c.position == position)).mappings().one_or_none()
        if row is None:
            continue
        room -= phase.output_size
        payload = rows.payload_of(row)
        found[position] = payload if room >= 0 else Payload(media_type=payload.media_type)
    return found


def read_payload(connection: Connection, key: Key, position: int, kind: str) -> Payload | None:
    """Return the output or the checkpoint of a phase."""
    c = tables.payloads.c
    statement = select(tables.payloads).where(
        *own(tables.payloads, key), c.position == position, c.kind == kind
    )
    row = connection.execute(statement).mappings().one_or_none()
    return None if row is None else rows.payload_of(row)


def read_operations(
    connection: Connection,
    key: Key,
    limit: int,
    *,
    after: int = -1,
    position: int | None = None,
    phase_ids: Sequence[str] = (),
    full: bool = False,
) -> list[Operation]:
    """Return operations past ordinal *after*, in the order of first record."""
    c = tables.operations.c
    statement = select(*_columns(tables.operations, full or ("input", "output"))).where(
        *_kept_operations(key, position), c.ordinal > after
    )
    if phase_ids:
        statement = statement.where(c.phase_id.in_(phase_ids))
    found = connection.execute(statement.order_by(c.ordinal).limit(limit))
    return [rows.operation_of(row) for row in found.mappings()]


def operation_page(connection: Connection, query: OperationQuery) -> OperationPage:
    """Return one page, and how many operations there are in all."""
    kept = _kept_operations(query.key, query.position)
    counted = select(func.count()).select_from(tables.operations).where(*kept)
    limit = query.limit if query.room is None else _fitting(connection, query, query.room)
    found = read_operations(
        connection,
        query.key,
        limit + 1,
        after=query.after,
        position=query.position,
        full=query.full,
    )
    page = found[:limit]
    return OperationPage(
        operations=page,
        total_size=connection.execute(counted).scalar_one(),
        next=page[-1].ordinal if len(found) > limit else None,
    )


def _kept_operations(key: Key, position: int | None) -> list[ColumnElement[bool]]:
    """Return the conditions that find the operations of an execution, or of one phase."""
    conditions = [*own(tables.operations, key), _is_kept(key)]
    if position is not None:
        conditions.append(tables.operations.c.position == position)
    return conditions


def _fitting(connection: Connection, query: OperationQuery, room: int) -> int:
    """Return how many operations of a page take no more than *room* bytes, and at least one."""
    c = tables.operations.c
    size: ColumnElement[int] = _BYTES_PER_CHARACTER * func.length(c.body)
    if query.full:
        size += func.coalesce(func.length(c.input), 0) + func.coalesce(func.length(c.output), 0)
    sizes = (
        select(size)
        .where(*_kept_operations(query.key, query.position), c.ordinal > query.after)
        .order_by(c.ordinal)
        .limit(query.limit)
    )
    fitting = 0
    for taken in connection.execute(sizes).scalars():
        room -= taken
        if room < 0:
            break
        fitting += 1
    return max(fitting, 1)


def read_artifact(
    connection: Connection, workspace_id: str, artifact_id: str
) -> tuple[Artifact, bytes | None] | None:
    """Return an artifact and its bytes."""
    c = tables.artifacts.c
    statement = select(tables.artifacts).where(
        c.workspace_id == workspace_id, c.artifact_id == artifact_id
    )
    row = connection.execute(statement).mappings().one_or_none()
    return None if row is None else (rows.artifact_of(row), row["data"])


def artifact_page(
    connection: Connection, key: Key, *, phase_id: str, after: str, limit: int
) -> ArtifactPage:
    """Return one page of artifacts without their bytes, and how many there are in all."""
    table = tables.artifacts
    conditions = own(table, key)
    if phase_id:
        conditions.append(table.c.phase_id == phase_id)
    counted = select(func.count()).select_from(table).where(*conditions)
    total = connection.execute(counted).scalar_one()
    statement = (
        select(*_columns(table, ("data",)))
        .where(*conditions, table.c.artifact_id > after)
        .order_by(table.c.artifact_id)
        .limit(limit + 1)
    )
    found = connection.execute(statement).mappings().all()
    page = [rows.artifact_of(row) for row in found[:limit]]
    return ArtifactPage(page, total, len(found) > limit)


def own(table: Table, key: Key) -> list[ColumnElement[bool]]:
    """Return the conditions that find the rows of one execution."""
    return [
        table.c.workspace_id == key.workspace_id,
        table.c.execution_id == key.execution_id,
    ]


def _is_kept(key: Key) -> ColumnElement[bool]:
    # What is being erased is gone for everybody who asks, however much of it there was.
    return ~exists(select(tables.erasures.c.revision).where(*own(tables.erasures, key)))


def _columns(table: Table, without: tuple[str, ...] | bool) -> list[Any]:
    names = without if isinstance(without, tuple) else ()
    return [column for column in table.c if column.key not in names]
