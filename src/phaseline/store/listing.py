"""
The statements behind a list of executions: which rows, in which order, and how many there are.

Each filter alone, and each order alone, is answered along an index, so that a page costs the same
however large the table has grown. Of several filters, the one that matches fewest leads.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Executable,
    ScalarSelect,
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
from phaseline.store.unindexed import unindexed, unsorted

#: Matches that are counted where no counter is kept.
MOST_COUNTED = 10_000
#: Executions that are looked at, one by one, to count those that other filters let through.
MOST_LOOKED_AT = 5_000
# Of each of several filters as many matches are counted, to see which has fewest.
_MOST_PROBED = MOST_LOOKED_AT
# Lists that were asked last, whose statements are kept.
_KEPT = 64

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(ExecutionQuery).decode

_e = executions.c
# What else than the time of creation a list can be ordered by.
_COLUMNS = {
    # The revision is the order of the commits, which times of a clock may not be.
    Order.UPDATED_AT_DESC: "revision",
    Order.COST_USD_DESC: "cost_nanos",
    Order.TOTAL_TOKENS_DESC: "total_tokens",
}


def listing_of(query: ExecutionQuery) -> Listing:
    """Return the statements of *query*, from memory if it was asked lately: many ask again."""
    return _listing(_pack(query))


@lru_cache(maxsize=_KEPT)
def _listing(packed: bytes) -> Listing:
    return Listing(_unpack(packed))


class Listing:
    """The statements of one list. To make them takes longer than to run them."""

    def __init__(self, query: ExecutionQuery, first: int = 0) -> None:
        self._query = query
        self._parts = parts(query.workspace_id, query.filter)
        self._first = self._parts[first] if self._parts else Part([], [Walk([])])
        self._led: dict[int, Listing] = {}
        self._pages: dict[bool, Select[Any]] = {}

    @cached_property
    def probe(self) -> Executable | None:
        """The statement that tells for each filter how many it matches; None if that is no use."""
        if len(self._parts) < 2:
            return None
        return select(*(self._counted(part, _MOST_PROBED) for part in self._parts))

    def led(self, probed: Sequence[int]) -> Listing:
        """Return the same list, led by that filter which matches fewest."""
        first = min(range(len(probed)), key=lambda at: (probed[at], at))
        if first not in self._led:
            self._led[first] = Listing(self._query, first)
        return self._led[first]

    @cached_property
    def counted(self) -> Select[int] | None:
        """The statement that reads an exact total from the counters; None if they can't tell."""
        wanted = self._query.filter
        only = ExecutionFilter(
            statuses=wanted.statuses,
            active_only=wanted.active_only,
            workflow_ids=wanted.workflow_ids,
        )
        if only != wanted:
            return None
        c = execution_counts.c
        statement = select(func.coalesce(func.sum(c.total), 0)).where(
            c.workspace_id == self._query.workspace_id
        )
        statuses = wanted.wanted_statuses()
        if statuses is not None:
            names = sorted(status.value for status in statuses)
            statement = statement.where(c.status.in_(names))
        if wanted.workflow_ids:
            statement = statement.where(c.workflow_id.in_(wanted.workflow_ids))
        return statement

    @cached_property
    def count(self) -> Select[int, int]:
        """
        The statement that counts matches, and what was looked at to find them.

        There may be more if either is past its limit.
        """
        if len(self._parts) < 2:
            return select(self._counted(self._first, MOST_COUNTED), literal(0))
        looked_at = self._ids(self._first, most=MOST_LOOKED_AT + 1).subquery()
        found = self._with(looked_at).where(*self._rest).limit(MOST_COUNTED + 1)
        matches = select(func.count()).select_from(found.with_only_columns(literal(1)).subquery())
        return select(matches.scalar_subquery(), self._counted(self._first, MOST_LOOKED_AT))

    def page(self, *, few: bool) -> Select[Any]:
        """
        Return the statement for one page and one row more, which tells whether there is another.

        If *few* match it is fastest to look at all, else to leave out others along the order.
        """
        if few not in self._pages:
            self._pages[few] = self._page(few=few)
        return self._pages[few]

    def _page(self, *, few: bool) -> Select[Any]:
        query = self._query
        if query.order in _COLUMNS:
            is_filtered = query.filter != ExecutionFilter()
            return self._cut(self._sorted() if few and is_filtered else self._walked())
        is_scattered = few and bool(query.filter.id_prefix) and not self._parts
        keys = self._cut(self._by_creation(is_scattered=is_scattered)).subquery()
        return self._with(keys).order_by(*self._order(keys.c.created_at, keys.c.execution_id))

    def _by_creation(self, *, is_scattered: bool) -> Select[Any]:
        """Return the keys of what matches in order of creation."""
        walks = [self._past(keys) for keys in self._walks(self._first, self._rest)]
        if len(walks) > 1:
            # Of each as much as the page may reach into it.
            reach = self._query.offset + self._query.limit + 1
            walks = [select(self._ordered(walk).limit(reach).subquery()) for walk in walks]
            walks = [select(self._merged(self._first, walks))]
        return self._ordered(walks[0], is_scattered=is_scattered)

    def _walked(self) -> Select[Any]:
        """Return what matches in the order of a figure, along the index of the figure."""
        by: ColumnElement[Any] = _e[_COLUMNS[self._query.order]]
        asked = common(
            _e.workspace_id, unindexed(_e.created_at), unindexed(_e.execution_id), self._query
        )
        asked += [condition for part in self._parts for condition in part.conditions]
        return self._by(by, select(executions).where(*asked))

    def _sorted(self) -> Select[Any]:
        """Return the same, looked up one by one and sorted."""
        keys = self._merged(self._first, self._walks(self._first, self._rest))
        return self._by(unsorted(_e[_COLUMNS[self._query.order]]), self._with(keys))

    def _by(self, by: ColumnElement[Any], found: Select[Any]) -> Select[Any]:
        if self._query.after is not None:
            found = found.where(self._is_past(self._query.after, by, _e.execution_id))
        return found.order_by(*self._order(by, _e.execution_id))

    @property
    def _rest(self) -> Conditions:
        others = (part for part in self._parts if part is not self._first)
        return [condition for part in others for condition in part.conditions]

    def _walks(self, part: Part, rest: Conditions = ()) -> list[Select[Any]]:
        """Return selects of the keys that match *part* and meet *rest*."""
        return [self._walk(walk, rest) for walk in part.walks]

    def _walk(self, walk: Walk, rest: Conditions) -> Select[Any]:
        c = walk.table.c
        asked = common(c.workspace_id, c.created_at, c.execution_id, self._query)
        found = select(c.created_at, c.execution_id).where(*asked, *walk.conditions, *rest)
        if rest and walk.table is not executions:
            same = and_(_e.workspace_id == c.workspace_id, _e.execution_id == c.execution_id)
            found = found.select_from(walk.table.join(executions, same))
        return found

    def _ids(self, part: Part, *, most: int) -> Select[Any]:
        """Return the select of the ids of at most so many that match *part*."""
        # The ids alone: with them an index knows all that is asked.
        ids = [
            walk.with_only_columns(way.table.c.execution_id)
            for way, walk in zip(part.walks, self._walks(part), strict=True)
        ]
        if len(ids) == 1:
            return ids[0].limit(most)
        some = [select(each.limit(most).subquery()) for each in ids]
        return select(_together(part, some).subquery()).limit(most)

    def _counted(self, part: Part, most: int) -> ScalarSelect[int]:
        """Return how many match *part*, or one more than *most*."""
        ids = self._ids(part, most=most + 1).subquery()
        return select(func.count()).select_from(ids).scalar_subquery()

    def _merged(self, part: Part, walks: Sequence[Select[Any]]) -> Subquery:
        if len(walks) == 1:
            return walks[0].subquery()
        return _together(part, walks).subquery()

    def _with(self, keys: Subquery) -> Select[Any]:
        """Return the select of the executions of *keys*."""
        own = _e.workspace_id == self._query.workspace_id
        same = and_(own, _e.execution_id == keys.c.execution_id)
        return select(executions).select_from(keys.join(executions, same))

    def _cut(self, found: Select[Any]) -> Select[Any]:
        return found.limit(self._query.limit + 1).offset(self._query.offset)

    def _past(self, keys: Select[Any]) -> Select[Any]:
        if self._query.after is None:
            return keys
        return keys.where(self._is_past(self._query.after, *keys.selected_columns))

    def _is_past(
        self, after: Position, by: ColumnElement[Any], name: ColumnElement[Any]
    ) -> ColumnElement[bool]:
        here, there = tuple_(by, name), tuple_(literal(after.value), literal(after.execution_id))
        return here > there if self._query.order is Order.CREATED_AT_ASC else here < there

    def _ordered(self, keys: Select[Any], *, is_scattered: bool = False) -> Select[Any]:
        created, name = keys.selected_columns
        return keys.order_by(*self._order(unsorted(created) if is_scattered else created, name))

    def _order(self, *columns: ColumnElement[Any]) -> list[ColumnElement[Any]]:
        if self._query.order is Order.CREATED_AT_ASC:
            return list(columns)
        return [column.desc() for column in columns]


def _together(part: Part, walks: Sequence[Select[Any]]) -> CompoundSelect[Any]:
    """Return all that *walks* along *part* come past, each once."""
    return (union if part.overlaps else union_all)(*walks)


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
