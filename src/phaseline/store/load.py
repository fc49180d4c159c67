"""Loading what a batch needs and memory does not have."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import RowMapping, Select, and_, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from phaseline.app.ports import Answered, Child, Needs, OperationsOf, WorkflowRef
from phaseline.domain.execution import Execution, Phase
from phaseline.domain.ids import Key
from phaseline.domain.recording import Recorded
from phaseline.domain.workflow import Workflow
from phaseline.store import rows, tables
from phaseline.store.batch import Loaded
from phaseline.store.working import Working

# Bound parameters of one statement are limited; both databases take this many pairs.
_AT_ONCE = 500


async def load(connection: AsyncConnection, needs: Needs, working: Working, loaded: Loaded) -> None:
    """Fill *loaded* with what *needs* names and *working* lacks."""
    await _load_requests(connection, needs.requests, loaded)
    await _load_workflows(connection, needs.workflows, working)
    await _load_children(connection, needs.children, working, loaded)
    wanted = {*needs.executions, *loaded.children.values()}
    await load_executions(connection, wanted, working, loaded)
    await _load_operations(connection, needs.operations, loaded)


async def load_executions(
    connection: AsyncConnection, keys: Iterable[Key], working: Working, loaded: Loaded
) -> None:
    """Load executions with phases, and all that are above them."""
    missing = [key for key in keys if working.get(key) is None]
    for execution in await read_executions(connection, missing, working):
        loaded.executions[execution.key] = execution
    known = [working.get(key) or loaded.executions.get(key) for key in keys]
    above = {
        Key(execution.spec.workspace_id, ancestor)
        for execution in known
        if execution is not None
        for ancestor in execution.spec.ancestor_execution_ids
    }
    above = {key for key in above if not working.get(key) and key not in loaded.executions}
    for execution in await read_executions(connection, list(above), working):
        loaded.executions[execution.key] = execution


async def read_executions(
    connection: AsyncConnection, keys: Sequence[Key], working: Working, *, phases: bool = True
) -> list[Execution]:
    """Return those of *keys* that exist, in no order, if *phases* with their phases."""
    found: list[Execution] = []
    table = tables.executions
    for at in range(0, len(keys), _AT_ONCE):
        some = keys[at : at + _AT_ONCE]
        own = tuple_(table.c.workspace_id, table.c.execution_id).in_(some)
        result = (await connection.execute(select(table).where(own))).mappings().all()
        of = await read_phases(connection, some) if phases else {}
        found.extend(await executions_of(connection, result, working, of))
    return found


async def executions_of(
    connection: AsyncConnection,
    found: Sequence[RowMapping],
    working: Working,
    phases: Mapping[Key, Sequence[Phase]],
) -> list[Execution]:
    """Return the executions of rows, reading the workflows that memory lacks."""
    refs = {
        WorkflowRef(row["workspace_id"], row["workflow_id"], row["workflow_version"])
        for row in found
    }
    await _load_workflows(connection, tuple(refs), working)
    executions = []
    for row in found:
        ref = WorkflowRef(row["workspace_id"], row["workflow_id"], row["workflow_version"])
        workflow = working.workflow(ref)
        assert workflow is not None, "a workflow outlives its executions"
        own = phases.get(Key(row["workspace_id"], row["execution_id"]), ())
        executions.append(rows.execution_of(row, workflow, own))
    return executions


async def read_phases(
    connection: AsyncConnection, keys: Sequence[Key]
) -> Mapping[Key, Sequence[Phase]]:
    """Return the phases of executions, in workflow order."""
    table = tables.phases
    own = tuple_(table.c.workspace_id, table.c.execution_id).in_(keys)
    columns = (table.c.workspace_id, table.c.execution_id, table.c.state)
    statement = (
        select(*columns)
        .where(own)
        .order_by(table.c.workspace_id, table.c.execution_id, table.c.position)
    )
    found: defaultdict[Key, list[Phase]] = defaultdict(list)
    for workspace_id, execution_id, state in await connection.execute(statement):
        found[Key(workspace_id, execution_id)].append(rows.phase_of(state))
    return found


async def _load_requests(
    connection: AsyncConnection, names: Sequence[tuple[str, str]], loaded: Loaded
) -> None:
    table = tables.requests
    for at in range(0, len(names), _AT_ONCE):
        own = tuple_(table.c.workspace_id, table.c.request_id).in_(names[at : at + _AT_ONCE])
        for row in (await connection.execute(select(table).where(own))).mappings():
            loaded.requests[row["workspace_id"], row["request_id"]] = Answered(
                row["method"], row["digest"], row["answer"], row["revision"]
            )


async def _load_workflows(
    connection: AsyncConnection, refs: Sequence[WorkflowRef], working: Working
) -> None:
    for ref in refs:
        if working.workflow(ref) is None:
            workflow = await read_workflow(connection, ref)
            if workflow is not None:
                working.put_workflow(workflow, is_latest=not ref.version)


async def read_workflow(connection: AsyncConnection, ref: WorkflowRef) -> Workflow | None:
    """Return that version of a workflow."""
    table = tables.workflows
    statement: Select[Any] = select(table).where(
        table.c.workspace_id == ref.workspace_id, table.c.workflow_id == ref.workflow_id
    )
    if ref.version:
        statement = statement.where(table.c.version == ref.version)
    else:
        statement = statement.order_by(table.c.version.desc()).limit(1)
    row = (await connection.execute(statement)).mappings().one_or_none()
    return None if row is None else rows.workflow_of(row)


async def _load_children(
    connection: AsyncConnection, children: Sequence[Child], working: Working, loaded: Loaded
) -> None:
    table = tables.executions
    for child in children:
        if child in working.indexes.steps:
            continue
        statement = select(table.c.execution_id).where(
            table.c.workspace_id == child.parent.workspace_id,
            table.c.parent_execution_id == child.parent.execution_id,
            table.c.step_key == child.step_key,
        )
        execution_id = (await connection.execute(statement)).scalar_one_or_none()
        if execution_id is not None:
            loaded.children[child] = Key(child.parent.workspace_id, execution_id)


async def _load_operations(
    connection: AsyncConnection, attempts: Sequence[OperationsOf], loaded: Loaded
) -> None:
    if not attempts:
        return
    table = tables.operations
    own = [
        and_(
            table.c.workspace_id == attempt.slot.key.workspace_id,
            table.c.execution_id == attempt.slot.key.execution_id,
            table.c.position == attempt.slot.position,
            table.c.epoch == attempt.epoch,
            table.c.operation_id.in_(attempt.operation_ids),
        )
        for attempt in attempts
    ]
    columns = (
        table.c.workspace_id,
        table.c.execution_id,
        table.c.position,
        table.c.epoch,
        table.c.operation_id,
        table.c.ordinal,
        table.c.tool_name,
        table.c.operation_type,
    )
    slots = {(*one.slot.key, one.slot.position, one.epoch): one for one in attempts}
    for at in range(0, len(own), 50):
        statement = select(*columns).where(or_(*own[at : at + 50]))
        for row in await connection.execute(statement):
            attempt = slots[row[0], row[1], row[2], row[3]]
            recorded = loaded.recorded.setdefault((attempt.slot, attempt.epoch), {})
            recorded[row[4]] = Recorded(row[5], bool(row[6]), row[7] == "model")
