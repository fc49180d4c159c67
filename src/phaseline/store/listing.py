"""
The statements behind a list of executions: which rows, in which order, and how many there are.

Each filter alone is answered from an index in the order of the list, so that a page costs the same
however large the table has grown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    exists,
    func,
    literal,
    select,
    text,
    tuple_,
    union_all,
)

from phaseline.app.queries import ExecutionFilter, ExecutionQuery, Order, Position
from phaseline.domain.execution import Execution
from phaseline.domain.lifecycle import ACTIVE
from phaseline.store import rows
from phaseline.store.tables import (
    IS_ACTIVE,
    execution_counts,
    execution_labels,
    execution_repos,
    executions,
)

#: Matches that are counted where no counter is kept.
MOST_COUNTED = 10_000

_e = executions.c
_ORDER: dict[Order, tuple[ColumnElement[Any], bool]] = {
    Order.CREATED_AT_DESC: (_e.created_at, True),
    Order.CREATED_AT_ASC: (_e.created_at, False),
    # The revision is the order of the commits, which times of a clock may not be.
    Order.UPDATED_AT_DESC: (_e.revision, True),
    Order.COST_USD_DESC: (_e.cost_nanos, True),
    Order.TOTAL_TOKENS_DESC: (_e.total_tokens, True),
}
_BY_CREATION = (Order.CREATED_AT_DESC, Order.CREATED_AT_ASC)


def page(query: ExecutionQuery, *, is_dense: bool) -> Select[Any]:
    """
    Return the statement for one page and one row more, which tells whether there is another.

    *is_dense*: so many rows match that walking the order and leaving out the others is fastest.
    """
    column, descending = _ORDER[query.order]
    limit = query.limit + 1
    varied = _varied(query.filter) if query.order in _BY_CREATION else None
    if varied is None:
        statement = _ordered(matching(query), column, descending)
        if is_dense and query.filter.id_prefix:
            statement = statement.with_hint(
                executions, "INDEXED BY ix_executions_created_at", "sqlite"
            )
        return statement.limit(limit).offset(query.offset)
    # One walk for each value, merged: a single IN would have to sort all that match.
    name, values = varied
    reach = limit + query.offset
    walks = [
        _ordered(matching(query, leave_out=name).where(_e[name] == value), column, descending)
        .limit(reach)
        .subquery()
        for value in values
    ]
    merged = union_all(*(select(walk) for walk in walks)).subquery()
    by = merged.c[column.key or ""]
    return (
        _ordered(select(merged), by, descending, merged.c.execution_id)
        .limit(limit)
        .offset(query.offset)
    )


def counted(query: ExecutionQuery) -> Select[Any] | None:
    """Return the statement that reads an exact total from the counters; None if they can't tell."""
    only = ExecutionFilter(
        statuses=query.filter.statuses,
        active_only=query.filter.active_only,
        workflow_ids=query.filter.workflow_ids,
    )
    if only != query.filter:
        return None
    c = execution_counts.c
    statement = select(func.coalesce(func.sum(c.total), 0)).where(
        c.workspace_id == query.workspace_id
    )
    statuses = query.filter.wanted_statuses()
    if statuses is not None:
        statement = statement.where(c.status.in_(sorted(status.value for status in statuses)))
    if query.filter.workflow_ids:
        statement = statement.where(c.workflow_id.in_(query.filter.workflow_ids))
    return statement


def count(query: ExecutionQuery) -> Select[Any]:
    """Return the statement that counts matches, up to one more than `MOST_COUNTED`."""
    found = matching(query, columns=[literal(1).label("one")], after=False)
    return select(func.count()).select_from(found.limit(MOST_COUNTED + 1).subquery())


def position_of(order: Order, execution: Execution) -> Position:
    """Return where *execution* stands in *order*."""
    values = {
        Order.CREATED_AT_DESC: rows.micros(execution.spec.created_at),
        Order.CREATED_AT_ASC: rows.micros(execution.spec.created_at),
        Order.UPDATED_AT_DESC: execution.revision,
        Order.COST_USD_DESC: execution.usage.cost_nanos,
        Order.TOTAL_TOKENS_DESC: execution.usage.total_tokens,
    }
    return Position(values[order], execution.spec.execution_id)


def _ordered(
    statement: Select[Any],
    column: ColumnElement[Any],
    descending: bool,
    tie: ColumnElement[Any] = _e.execution_id,
) -> Select[Any]:
    if descending:
        return statement.order_by(column.desc(), tie.desc())
    return statement.order_by(column, tie)


def matching(
    query: ExecutionQuery,
    *,
    leave_out: str = "",
    columns: Sequence[ColumnElement[Any]] = (),
    after: bool = True,
) -> Select[Any]:
    """Return the select of all that match, from the place where the page before ended."""
    wanted = query.filter
    statement = select(*(columns or executions.c)).select_from(executions)
    conditions = [_e.workspace_id == query.workspace_id]
    if after and query.after is not None:
        column, descending = _ORDER[query.order]
        here = tuple_(column, _e.execution_id)
        there = tuple_(literal(query.after.value), literal(query.after.execution_id))
        conditions.append(here < there if descending else here > there)
    conditions.extend(
        _e[name].in_(values) if len(values) > 1 else _e[name] == values[0]
        for name, values in _lists(wanted).items()
        if name != leave_out
    )
    conditions.extend(_exact(wanted))
    if leave_out != "status":
        conditions.extend(_statuses(wanted))
    return statement.where(and_(*conditions, *_tags(query)))


def _lists(matching: ExecutionFilter) -> dict[str, tuple[str, ...]]:
    lists = {
        "session_id": matching.session_ids,
        "user_id": matching.user_ids,
        "responder_id": matching.responder_ids,
        "workflow_id": matching.workflow_ids,
        "queue_name": matching.queue_names,
    }
    return {name: tuple(dict.fromkeys(values)) for name, values in lists.items() if values}


def _varied(matching: ExecutionFilter) -> tuple[str, Sequence[str]] | None:
    """Return the one filter with several values that is worth a walk for each."""
    for name, values in _lists(matching).items():
        if len(values) > 1:
            return name, values
    statuses = matching.wanted_statuses()
    if statuses is not None and len(statuses) > 1 and statuses != ACTIVE:
        return "status", sorted(status.value for status in statuses)
    return None


def _exact(matching: ExecutionFilter) -> list[ColumnElement[bool]]:
    found = [
        _e[name] == value
        for name, value in (
            ("chat_message_id", matching.chat_message_id),
            ("batch_id", matching.batch_id),
            ("parent_execution_id", matching.parent_execution_id),
        )
        if value
    ]
    if matching.root_execution_id:
        # A root has no root above it in the table, so that it takes no room in the index.
        found.append(
            (_e.root_execution_id == matching.root_execution_id)
            | (_e.execution_id == matching.root_execution_id)
        )
    if matching.created_after is not None:
        found.append(_e.created_at >= rows.micros(matching.created_after))
    if matching.created_before is not None:
        found.append(_e.created_at < rows.micros(matching.created_before))
    if matching.id_prefix:
        found.append(_e.execution_id >= matching.id_prefix)
        found.append(_e.execution_id < matching.id_prefix + chr(0x10FFFF))
    return found


def _statuses(matching: ExecutionFilter) -> list[ColumnElement[bool]]:
    statuses = matching.wanted_statuses()
    if statuses is None:
        return []
    if statuses == ACTIVE:
        # In the very words of the partial index, or SQLite would not use it.
        return [text(IS_ACTIVE)]  # type: ignore[list-item]
    return [_e.status.in_(sorted(status.value for status in statuses))]


def _tags(query: ExecutionQuery) -> list[ColumnElement[bool]]:
    labels, repos = execution_labels.c, execution_repos.c
    found: list[ColumnElement[bool]] = [
        exists(
            select(literal(1)).where(
                labels.workspace_id == query.workspace_id,
                labels.name == name,
                labels.value == value,
                labels.created_at == _e.created_at,
                labels.execution_id == _e.execution_id,
            )
        )
        for name, value in query.filter.labels.items()
    ]
    if query.filter.repos:
        found.append(
            exists(
                select(literal(1)).where(
                    repos.workspace_id == query.workspace_id,
                    repos.repo.in_(query.filter.repos),
                    repos.created_at == _e.created_at,
                    repos.execution_id == _e.execution_id,
                )
            )
        )
    return found
