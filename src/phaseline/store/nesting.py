"""Finding what is below an execution in its tree."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, func, select

from phaseline.domain.execution import Execution, ExecutionSpec
from phaseline.domain.ids import Key
from phaseline.store import rows
from phaseline.store.load import executions_of
from phaseline.store.tables import executions
from phaseline.store.working import Working

_e = executions.c
# Above every character of an id.
_LAST = "\U0010ffff"


def is_below(spec: ExecutionSpec) -> list[ColumnElement[bool]]:
    """Return the conditions that find all executions below that of *spec*."""
    found = [
        _e.workspace_id == spec.workspace_id,
        _e.root_execution_id == spec.root_execution_id,
    ]
    if spec.parent_execution_id:
        path = f"{rows.path_of(spec)}{spec.execution_id}/"
        found += [_e.path >= path, _e.path < path + _LAST]
    return found


def read_below(
    connection: Connection, top: Execution, limit: int, working: Working
) -> list[Execution]:
    """Return what is below *top*, without phases: the least deep first, then the oldest."""
    depth = func.length(_e.path) - func.length(func.replace(_e.path, "/", ""))
    statement = (
        select(executions)
        .where(*is_below(top.spec))
        .order_by(depth, _e.created_at, _e.execution_id)
        .limit(limit)
    )
    found = connection.execute(statement).mappings().all()
    return executions_of(connection, found, working, {})


def newest_of_message(
    connection: Connection, workspace_id: str, chat_message_id: str
) -> Key | None:
    """Return the newest execution for a chat message."""
    statement = (
        select(_e.execution_id)
        .where(_e.workspace_id == workspace_id, _e.chat_message_id == chat_message_id)
        .order_by(_e.created_at.desc(), _e.execution_id.desc())
        .limit(1)
    )
    found = connection.execute(statement).scalar_one_or_none()
    return None if found is None else Key(workspace_id, found)
