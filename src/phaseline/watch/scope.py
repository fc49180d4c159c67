"""What a watch of active executions is about, and what a change is, seen from there."""

from __future__ import annotations

import msgspec

from phaseline.app.changes import Entry, Folded
from phaseline.app.queries import ExecutionFilter
from phaseline.app.tokens import digest_of
from phaseline.domain.execution import Execution
from phaseline.watch.ports import Kind


class Scope:
    """The active executions of a workspace that match a filter. Equal ones are the same."""

    def __init__(self, workspace_id: str, matching: ExecutionFilter) -> None:
        self.workspace_id = workspace_id
        #: That they are active is said or not, and means the same.
        self.matching = msgspec.structs.replace(matching, active_only=True)
        self.digest = digest_of((workspace_id, self.matching))
        self._statuses = self.matching.wanted_statuses() or frozenset()
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
