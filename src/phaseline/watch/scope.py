"""What a watch of active executions is about, and what a change is, seen from there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import msgspec

from phaseline.app.changes import Entry, Folded
from phaseline.app.queries import ExecutionFilter
from phaseline.app.tokens import digest_of
from phaseline.domain.execution import Execution
from phaseline.watch.ports import Kind

#: A field that never changes, and its value.
Mark: TypeAlias = tuple[str, str]

#: What every execution has.
_ANY: Mark = ("", "")


class Scope:
    """The active executions of a workspace that match a filter. Equal ones are the same."""

    def __init__(self, workspace_id: str, matching: ExecutionFilter) -> None:
        self.workspace_id = workspace_id
        #: That they are active is said or not, and means the same.
        self.matching = msgspec.structs.replace(matching, active_only=True)
        self.digest = digest_of((workspace_id, self.matching))
        self._statuses = self.matching.wanted_statuses() or frozenset()
        #: An execution that has none of these does not match.
        self.marks = _marks_of_filter(self.matching)
        self._takes_any_spec = msgspec.structs.replace(self.matching, statuses=()) == _ALL

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Scope) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def concerns(self, entry: Entry) -> bool:
        """Whether whoever watches this must be told of *entry*."""
        return (
            entry.status_after in self._statuses or entry.status_before in self._statuses
        ) and self._takes(entry.execution)

    def kind_of(self, folded: Folded) -> Kind | None:
        """
        Return what *folded* is here; None if nothing.

        What came and went within the range is REMOVED, though it was never sent as ADDED: nobody
        shall miss an execution for being slow.
        """
        entry = folded.entry
        was_here = folded.status_before in self._statuses
        if entry.status_after in self._statuses:
            kind = Kind.MODIFIED if was_here else Kind.ADDED
        elif was_here or not self._statuses.isdisjoint(folded.passed):
            kind = Kind.REMOVED
        else:
            return None
        return kind if self._takes(entry.execution) else None

    def _takes(self, execution: Execution | None) -> bool:
        if self._takes_any_spec:
            return True
        # A deleted one has ended, and nobody knows any more whether it matched: to tell of one too
        # many is harmless, while one too few would stay in the reader's list for ever.
        return execution is None or self.matching.matches_spec(execution)


_ALL = ExecutionFilter(active_only=True)


def marks_of(execution: Execution) -> Iterator[Mark]:
    """Yield all that *execution* can be found by."""
    spec = execution.spec
    yield _ANY
    yield "chat_message_id", spec.chat_message_id
    yield "parent_execution_id", spec.parent_execution_id
    yield "root_execution_id", spec.root_execution_id
    yield "batch_id", spec.batch_id
    yield "session_ids", spec.session_id
    yield "user_ids", spec.user_id
    for name, value in spec.labels.items():
        yield f"labels.{name}", value
    for repo in spec.repos:
        yield "repos", repo
    yield "responder_ids", spec.responder_id
    yield "queue_names", spec.queue_name
    yield "workflow_ids", execution.workflow.workflow_id


def _marks_of_filter(matching: ExecutionFilter) -> frozenset[Mark]:
    """Return marks of which every execution that matches has one, few others have it too."""
    for field in ("chat_message_id", "parent_execution_id", "root_execution_id", "batch_id"):
        if value := getattr(matching, field):
            return frozenset(((field, value),))
    if matching.labels:
        # In whatever order they come, they are the same filter.
        name, value = min(matching.labels.items())
        return frozenset(((f"labels.{name}", value),))
    for field in (
        "session_ids",
        "user_ids",
        "repos",
        "responder_ids",
        "queue_names",
        "workflow_ids",
    ):
        if values := getattr(matching, field):
            return frozenset((field, value) for value in values)
    return frozenset((_ANY,))
