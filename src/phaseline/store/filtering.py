"""What a filter asks of executions, and along which indexes all that match are found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec
from sqlalchemy import ColumnElement, FromClause, Table, literal, or_, select

from phaseline.app.queries import ExecutionFilter, ExecutionQuery
from phaseline.store import rows
from phaseline.store.tables import execution_labels, execution_repos, executions
from phaseline.store.unindexed import unindexed

Conditions = Sequence[ColumnElement[bool]]

_e = executions.c
# Above every character of an id.
_LAST = "\U0010ffff"


class Walk(msgspec.Struct, frozen=True):
    """A way along an index in order of creation, past all that meets some conditions."""

    conditions: Conditions
    table: Table = executions


class Part(msgspec.Struct, frozen=True):
    """One thing that a filter asks: as ways to what matches, and of what is found otherwise."""

    #: No index is looked up for them.
    conditions: Conditions
    #: Together they come past all.
    walks: Sequence[Walk]
    #: Whether several may come past the same.
    overlaps: bool = False


def parts(workspace_id: str, matching: ExecutionFilter) -> list[Part]:
    """Return what is asked beyond `common`, what is likely to match fewest first."""
    return [
        *_exact("chat_message_id", matching.chat_message_id),
        *_exact("parent_execution_id", matching.parent_execution_id),
        *_exact("batch_id", matching.batch_id),
        *_root(matching.root_execution_id),
        *_any_of("session_id", matching.session_ids),
        *_any_of("user_id", matching.user_ids),
        *_labels(workspace_id, matching.labels),
        *_repos(workspace_id, matching.repos),
        *_any_of("responder_id", matching.responder_ids),
        *_any_of("workflow_id", matching.workflow_ids),
        *_any_of("queue_name", matching.queue_names),
        *_statuses(matching),
    ]


def common(
    workspace_id: ColumnElement[str],
    created_at: ColumnElement[int],
    execution_id: ColumnElement[str],
    query: ExecutionQuery,
) -> list[ColumnElement[bool]]:
    """Return what is asked of the columns that all tables have by which executions are found."""
    found, matching = [workspace_id == query.workspace_id], query.filter
    if matching.created_after is not None:
        found.append(created_at >= rows.micros(matching.created_after))
    if matching.created_before is not None:
        found.append(created_at < rows.micros(matching.created_before))
    if matching.id_prefix:
        found.append(execution_id >= matching.id_prefix)
        found.append(execution_id < matching.id_prefix + _LAST)
    return found


def _exact(name: str, value: str) -> Iterator[Part]:
    if value:
        yield Part([unindexed(_e[name]) == value], [_walk(name, value)])


def _any_of(name: str, values: Sequence[str]) -> Iterator[Part]:
    distinct = list(dict.fromkeys(values))
    if len(distinct) == 1:
        yield from _exact(name, distinct[0])
    elif distinct:
        # One walk for each value: a single one for all would have to sort what it finds.
        yield Part([unindexed(_e[name]).in_(distinct)], [_walk(name, value) for value in distinct])


def _root(root: str) -> Iterator[Part]:
    if root:
        # A root has no root above it in the table, so that it takes no room in the index.
        has = or_(unindexed(_e.execution_id) == root, unindexed(_e.root_execution_id) == root)
        yield Part([has], [_walk("execution_id", root), _walk("root_execution_id", root)])


def _labels(workspace_id: str, labels: Mapping[str, str]) -> Iterator[Part]:
    c, other = execution_labels.c, execution_labels.alias("label")
    for name, value in labels.items():
        has = _tagged(other, workspace_id, [other.c.name == name, other.c.value == value])
        yield Part(has, [Walk([c.name == name, c.value == value], execution_labels)])


def _repos(workspace_id: str, repos: Sequence[str]) -> Iterator[Part]:
    c, other = execution_repos.c, execution_repos.alias("repo")
    distinct = list(dict.fromkeys(repos))
    if distinct:
        has = _tagged(other, workspace_id, [other.c.repo.in_(distinct)])
        walks = [Walk([c.repo == repo], execution_repos) for repo in distinct]
        yield Part(has, walks, overlaps=len(distinct) > 1)


def _statuses(matching: ExecutionFilter) -> Iterator[Part]:
    statuses = matching.wanted_statuses()
    if statuses is None:
        return
    names = sorted(status.value for status in statuses)
    # None at all is asked by who wants active ones with the status of others.
    never = [literal(False)]
    yield from _any_of("status", names) if names else [Part(never, [Walk(never)])]


def _walk(name: str, value: str) -> Walk:
    return Walk([_e[name] == value])


def _tagged(table: FromClause, workspace_id: str, own: Conditions) -> Conditions:
    tag = table.c
    found = select(literal(1)).where(
        tag.workspace_id == workspace_id,
        *own,
        tag.created_at == _e.created_at,
        tag.execution_id == _e.execution_id,
    )
    # Not by EXISTS, which PostgreSQL makes a join of: it takes the time and the id for independent
    # of one another, expects next to no row of it, and would rather read all than go in order.
    return [found.limit(1).scalar_subquery().is_not(None)]
