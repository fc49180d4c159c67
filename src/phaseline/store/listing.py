"""
The statements behind a list of executions: which rows, in which order, and how many there are.

Each filter alone, and each order alone, is answered along an index, so that a page costs the same
however large the table has grown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    Subquery,
    and_,
    func,
    literal,
    select,
    tuple_,
    union,
    union_all,
)

from phaseline.app.queries import ExecutionFilter, ExecutionQuery, Order, Position
from phaseline.domain.execution import Execution
from phaseline.store import rows
from phaseline.store.filtering import Conditions, Part, Walk, common, parts
from phaseline.store.tables import execution_counts, executions
from phaseline.store.unindexed import unindexed

#: Matches that are counted where no counter is kept.
MOST_COUNTED = 10_000

_e = executions.c
# What else than the time of creation a list can be ordered by.
_COLUMNS = {
    # The revision is the order of the commits, which times of a clock may not be.
    Order.UPDATED_AT_DESC: "revision",
    Order.COST_USD_DESC: "cost_nanos",
    Order.TOTAL_TOKENS_DESC: "total_tokens",
}


def page(query: ExecutionQuery, *, matches: int) -> Select[Any]:
    """
    Return the statement for one page and one row more, which tells whether there is another.

    *matches* is how many there are, or more than `MOST_COUNTED`: of few it is fastest to sort all,
    of many to walk in order and leave out the others.
    """
    is_sparse = matches <= MOST_COUNTED and query.filter != ExecutionFilter()
    if query.order in _COLUMNS:
        by_column = _sorted_by_column if is_sparse else _walked_by_column
        return by_column(query).limit(query.limit + 1).offset(query.offset)
    keys = _by_creation(query, is_sparse=is_sparse and bool(query.filter.id_prefix)).subquery()
    return _with(query, keys).order_by(*_order(query, keys.c.created_at, keys.c.execution_id))


def counted(query: ExecutionQuery) -> Select[int] | None:
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


def count(query: ExecutionQuery) -> Select[int]:
    """Return the statement that counts matches, up to one more than `MOST_COUNTED`."""
    walks = _walks(query)
    if len(walks) > 1:
        walks = [select(walk.limit(MOST_COUNTED + 1).subquery()) for walk in walks]
    found = select(_merged(query, walks)).limit(MOST_COUNTED + 1)
    return select(func.count()).select_from(found.subquery())


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


def _walked_by_column(query: ExecutionQuery) -> Select[Any]:
    """Return what matches in the order of a figure, along the index of the figure."""
    by: ColumnElement[Any] = _e[_COLUMNS[query.order]]
    asked = common(_e.workspace_id, unindexed(_e.created_at), unindexed(_e.execution_id), query)
    asked += [condition for part in _parts(query) for condition in part.conditions]
    statement = _past(query, select(executions).where(*asked), by)
    return statement.order_by(*_order(query, by, _e.execution_id))


def _sorted_by_column(query: ExecutionQuery) -> Select[Any]:
    """Return the same, looked up one by one and sorted."""
    by = unindexed(_e[_COLUMNS[query.order]])
    statement = _with(query, _merged(query, _walks(query)))
    return _past(query, statement, by).order_by(*_order(query, by, _e.execution_id))


def _past(query: ExecutionQuery, statement: Select[Any], by: ColumnElement[Any]) -> Select[Any]:
    if query.after is None:
        return statement
    return statement.where(_is_past(query, query.after, by, _e.execution_id))


def _by_creation(query: ExecutionQuery, *, is_sparse: bool) -> Select[Any]:
    """Return the keys of the page in order of creation."""
    walks = _walks(query)
    if len(walks) > 1:
        # Of each as much as the page may reach into it.
        reach = query.offset + query.limit + 1
        walks = [select(_ordered(query, walk).limit(reach).subquery()) for walk in walks]
        walks = [select(_merged(query, walks))]
    ordered = _ordered(query, walks[0], is_sparse=is_sparse)
    return ordered.limit(query.limit + 1).offset(query.offset)


def _merged(query: ExecutionQuery, walks: Sequence[Select[Any]]) -> Subquery:
    if len(walks) == 1:
        return walks[0].subquery()
    together = union if _parts(query)[0].overlaps else union_all
    return together(*walks).subquery()


def _with(query: ExecutionQuery, keys: Subquery) -> Select[Any]:
    """Return the select of the executions of *keys*."""
    same = and_(_e.workspace_id == query.workspace_id, _e.execution_id == keys.c.execution_id)
    return select(executions).select_from(keys.join(executions, same))


def _walks(query: ExecutionQuery) -> list[Select[Any]]:
    """Return selects of created_at and execution_id that together find all that match."""
    first, *others = _parts(query) or [Part([], [Walk([])])]
    rest = [condition for part in others for condition in part.conditions]
    return [_keys(query, walk, rest) for walk in first.walks]


def _keys(query: ExecutionQuery, walk: Walk, rest: Conditions) -> Select[Any]:
    """Return the select of the keys of what *walk* comes past and *rest* lets through."""
    c = walk.table.c
    asked = common(c.workspace_id, c.created_at, c.execution_id, query)
    found = select(c.created_at, c.execution_id).where(*asked, *walk.conditions, *rest)
    if rest and walk.table is not executions:
        same = and_(_e.workspace_id == c.workspace_id, _e.execution_id == c.execution_id)
        found = found.select_from(walk.table.join(executions, same))
    if query.after is not None and query.order not in _COLUMNS:
        found = found.where(_is_past(query, query.after, c.created_at, c.execution_id))
    return found


def _parts(query: ExecutionQuery) -> list[Part]:
    return parts(query.workspace_id, query.filter)


def _is_past(
    query: ExecutionQuery, after: Position, by: ColumnElement[Any], name: ColumnElement[Any]
) -> ColumnElement[bool]:
    here, there = tuple_(by, name), tuple_(literal(after.value), literal(after.execution_id))
    return here > there if query.order is Order.CREATED_AT_ASC else here < there


def _ordered(query: ExecutionQuery, keys: Select[Any], *, is_sparse: bool = False) -> Select[Any]:
    created, name = keys.selected_columns
    return keys.order_by(*_order(query, unindexed(created) if is_sparse else created, name))


def _order(query: ExecutionQuery, *columns: ColumnElement[Any]) -> list[ColumnElement[Any]]:
    if query.order is Order.CREATED_AT_ASC:
        return list(columns)
    return [column.desc() for column in columns]
