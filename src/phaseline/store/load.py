"""Loading what a batch needs and memory does not have."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from msgspec.structs import replace
from sqlalchemy import ColumnElement, Connection, RowMapping, Select, Table, select, text

from phaseline.app.ports import Answered, Child, Needs, OperationsOf, Slot, WorkflowRef
from phaseline.domain.closing import Closing
from phaseline.domain.execution import Execution, Operation, Phase
from phaseline.domain.ids import Key
from phaseline.domain.payload import Payload
from phaseline.domain.recording import Recorded
from phaseline.domain.workflow import Workflow
from phaseline.store import rows, tables
from phaseline.store.batch import Loaded
from phaseline.store.tables import IS_ACTIVE
from phaseline.store.working import Working

# What a statement binds is limited; both databases take this many.
_AT_ONCE = 500


def load(connection: Connection, needs: Needs, working: Working, loaded: Loaded) -> None:
    """Fill *loaded* with what *needs* names and *working* lacks."""
    _load_requests(connection, needs.requests, loaded)
    _load_workflows(connection, needs.workflows, working, loaded)
    _load_children(connection, needs.children, working, loaded)
    wanted = {*needs.executions, *needs.trees, *needs.purges, *loaded.children.values()}
    _load_executions(connection, wanted, working, loaded)
    _load_operations(connection, needs.operations, working, loaded)
    for slot, closing in needs.closings:
        loaded.open[slot, closing.epoch] = _open_operations(connection, slot, closing)


def is_known(needs: Needs, working: Working) -> bool:
    """Whether memory holds all that *needs* names."""
    if needs.requests or needs.children or needs.closings:
        return False
    if any(working.attempts.get((one.slot, one.epoch)) is None for one in needs.operations):
        return False
    if any(working.workflow(ref) is None for ref in needs.workflows):
        return False
    for key in (*needs.executions, *needs.trees, *needs.purges):
        execution = working.get(key)
        if execution is None:
            return False
        workspace_id = key.workspace_id
        for ancestor in execution.spec.ancestor_execution_ids:
            if working.get(Key(workspace_id, ancestor)) is None:
                return False
    return True


def _load_executions(
    connection: Connection, keys: Iterable[Key], working: Working, loaded: Loaded
) -> None:
    """Load executions with phases, and all that are above them."""
    found = loaded.executions
    missing = [key for key in keys if working.get(key) is None]
    found.update(_by_key(read_executions(connection, missing, working)))
    known = [working.get(key) or found.get(key) for key in keys]
    above = {
        Key(execution.spec.workspace_id, ancestor)
        for execution in known
        if execution is not None
        for ancestor in execution.spec.ancestor_execution_ids
    }
    missing = [key for key in above if working.get(key) is None and key not in found]
    found.update(_by_key(read_executions(connection, missing, working)))


def _by_key(executions: Iterable[Execution]) -> dict[Key, Execution]:
    return {execution.key: execution for execution in executions}


def read_executions(
    connection: Connection, keys: Sequence[Key], working: Working, *, phases: bool = True
) -> list[Execution]:
    """Return those of *keys* that exist, in no order, if *phases* with their phases."""
    found: list[Execution] = []
    table = tables.executions
    for own in _own(table, keys):
        result = connection.execute(select(table).where(*own)).mappings().all()
        of = _read_phases(connection, result) if phases else {}
        found.extend(executions_of(connection, result, working, of))
    return found


def read_active(connection: Connection, working: Working) -> list[Execution]:
    """Return every execution that is not terminal, and then those above them that are."""
    statement = select(tables.executions).where(text(IS_ACTIVE))
    found = connection.execute(statement).mappings().all()
    active = executions_of(connection, found, working, _read_phases(connection, found))
    above = {
        Key(execution.key.workspace_id, ancestor)
        for execution in active
        for ancestor in execution.spec.ancestor_execution_ids
    }
    ended = sorted(above.difference(execution.key for execution in active))
    return active + read_executions(connection, ended, working)


def _own(table: Table, keys: Sequence[Key]) -> Iterator[Sequence[ColumnElement[bool]]]:
    """
    Yield conditions that find some of *keys* each.

    By workspace, since SQLite looks at every row of the table for pairs that are in a list.
    """
    ids: defaultdict[str, list[str]] = defaultdict(list)
    for key in keys:
        ids[key.workspace_id].append(key.execution_id)
    for workspace_id, names in ids.items():
        for at in range(0, len(names), _AT_ONCE):
            some = names[at : at + _AT_ONCE]
            yield table.c.workspace_id == workspace_id, table.c.execution_id.in_(some)


def executions_of(
    connection: Connection,
    found: Sequence[RowMapping],
    working: Working,
    phases: Mapping[Key, Sequence[Phase]],
) -> list[Execution]:
    """Return the executions of rows, reading the workflows that memory lacks."""
    workflows = {ref: _workflow(connection, ref, working) for ref in {_ref(row) for row in found}}
    return [
        rows.execution_of(
            row,
            workflows[_ref(row)],
            phases.get(Key(row["workspace_id"], row["execution_id"]), ()),
        )
        for row in found
    ]


def _ref(row: RowMapping) -> WorkflowRef:
    return WorkflowRef(row["workspace_id"], row["workflow_id"], row["workflow_version"])


def _workflow(connection: Connection, ref: WorkflowRef, working: Working) -> Workflow:
    known = working.workflow(ref)
    if known is not None:
        return known
    workflow = read_workflow(connection, ref)
    assert workflow is not None, "a workflow outlives its executions"
    working.put_workflow(workflow)
    return workflow


def _read_phases(
    connection: Connection, executions: Sequence[RowMapping]
) -> Mapping[Key, Sequence[Phase]]:
    """Return the phases of executions, in workflow order."""
    c = tables.phases.c
    found: defaultdict[Key, list[Phase]] = defaultdict(list)
    keys = [Key(row["workspace_id"], row["execution_id"]) for row in executions]
    for own in _own(tables.phases, keys):
        statement = (
            select(c.workspace_id, c.execution_id, c.state)
            .where(*own)
            .order_by(c.workspace_id, c.execution_id, c.position)
        )
        for workspace_id, execution_id, state in connection.execute(statement):
            found[Key(workspace_id, execution_id)].append(rows.phase_of(state))
    return found


def _load_requests(
    connection: Connection, names: Sequence[tuple[str, str]], loaded: Loaded
) -> None:
    c = tables.requests.c
    ids: defaultdict[str, list[str]] = defaultdict(list)
    for workspace_id, request_id in names:
        ids[workspace_id].append(request_id)
    for workspace_id, some in ids.items():
        own = c.workspace_id == workspace_id, c.request_id.in_(some)
        for row in connection.execute(select(tables.requests).where(*own)).mappings():
            loaded.requests[workspace_id, row["request_id"]] = Answered(
                row["method"], row["digest"], row["answer"], row["revision"]
            )


def _load_workflows(
    connection: Connection, refs: Sequence[WorkflowRef], working: Working, loaded: Loaded
) -> None:
    for ref in refs:
        if working.workflow(ref) is None:
            workflow = read_workflow(connection, ref)
            if workflow is not None:
                loaded.workflows[ref] = workflow
                # No commit comes between: it is the writer who loads.
                working.put_workflow(workflow, is_latest=not ref.version)


def read_workflow(connection: Connection, ref: WorkflowRef) -> Workflow | None:
    """Return that version of a workflow."""
    table = tables.workflows
    statement: Select[Any] = select(table).where(
        table.c.workspace_id == ref.workspace_id, table.c.workflow_id == ref.workflow_id
    )
    if ref.version:
        statement = statement.where(table.c.version == ref.version)
    else:
        statement = statement.order_by(table.c.version.desc()).limit(1)
    row = connection.execute(statement).mappings().one_or_none()
    return None if row is None else rows.workflow_of(row)


def _load_children(
    connection: Connection, children: Sequence[Child], working: Working, loaded: Loaded
) -> None:
    table = tables.executions
    for child in children:
        known = working.indexes.steps.get(child)
        if known is not None:
            loaded.children[child] = known
            continue
        statement = select(table.c.execution_id).where(
            table.c.workspace_id == child.parent.workspace_id,
            table.c.parent_execution_id == child.parent.execution_id,
            table.c.step_key == child.step_key,
        )
        execution_id = connection.execute(statement).scalar_one_or_none()
        if execution_id is not None:
            loaded.children[child] = Key(child.parent.workspace_id, execution_id)


def _load_operations(
    connection: Connection, attempts: Sequence[OperationsOf], working: Working, loaded: Loaded
) -> None:
    c = tables.operations.c
    columns = (c.operation_id, c.ordinal, c.body)
    for attempt in attempts:
        name = (attempt.slot, attempt.epoch)
        if working.attempts.get(name) is not None:
            continue
        recorded = loaded.recorded.setdefault(name, {})
        own = (
            c.workspace_id == attempt.slot.key.workspace_id,
            c.execution_id == attempt.slot.key.execution_id,
            c.position == attempt.slot.position,
            c.epoch == attempt.epoch,
        )
        for at in range(0, len(attempt.operation_ids), _AT_ONCE):
            some = c.operation_id.in_(attempt.operation_ids[at : at + _AT_ONCE])
            for operation_id, ordinal, body in connection.execute(
                select(*columns).where(*own, some)
            ):
                recorded[operation_id] = Recorded.of(ordinal, rows.told_of(body))


def _open_operations(connection: Connection, slot: Slot, closing: Closing) -> list[Operation]:
    """
    Return what an attempt has left open, without the bytes of input and output.

    Those recorded last come first, since there the open ones are.
    """
    table = tables.operations
    with_payload = table.c.input.is_not(None) | table.c.output.is_not(None)
    columns = [column for column in table.c if column.key not in ("input", "output")]
    statement = (
        select(*columns, with_payload.label("with_payload"))
        .where(
            table.c.workspace_id == slot.key.workspace_id,
            table.c.execution_id == slot.key.execution_id,
            table.c.position == slot.position,
            table.c.epoch == closing.epoch,
        )
        .order_by(table.c.ordinal.desc())
    )
    found: list[Operation] = []
    with connection.execute(statement) as rows_found:
        for row in rows_found.mappings():
            operation = rows.operation_of(row)
            if not operation.reported.goes_on:
                continue
            if row["with_payload"]:
                told = replace(operation.reported, output=Payload())
                operation = replace(operation, reported=told)
            found.append(operation)
            if len(found) == closing.count:
                break
    return found
