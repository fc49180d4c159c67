"""Who watches the active executions of a workspace, found by what they filter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from phaseline.app.changes import Entry
from phaseline.watch.belfry import Belfry
from phaseline.watch.bell import Bell, Waker
from phaseline.watch.scope import Mark, Scope, marks_of


class Scopes:
    """
    The bells of a workspace's filters.

    Each commit would else be held against each filter, of which there may be as many as there are
    users who follow their own executions.
    """

    def __init__(self, new_bell: Callable[[], Bell]) -> None:
        self._bells: Belfry[Scope] = Belfry(new_bell)
        #: Each scope is under each of its marks.
        self._marked: dict[Mark, dict[Scope, None]] = {}

    def __bool__(self) -> bool:
        return bool(self._bells)

    def __iter__(self) -> Iterator[Bell]:
        return iter(self._bells)

    @contextmanager
    def listening(self, scope: Scope, waker: Waker) -> Iterator[Bell]:
        """Let a bell wake *waker* within the block."""
        with self._bells.listening(scope, waker) as bell:
            for mark in scope.marks:
                self._marked.setdefault(mark, {})[scope] = None
            try:
                yield bell
            finally:
                if len(self._bells.of(scope)) == 1 and bell.listeners == 1:
                    self._forget(scope)

    def concerned(self, entry: Entry) -> Iterator[Bell]:
        """Yield the bells of those who must be told of *entry*."""
        for scope in self._candidates(entry):
            if scope.concerns(entry):
                yield from self._bells.of(scope)

    def _candidates(self, entry: Entry) -> dict[Scope, None]:
        marked = self._marked
        # What a deleted one was is not known any more.
        marks = marked.keys() if entry.execution is None else marks_of(entry.execution)
        found = [marked[mark] for mark in marks if mark in marked]
        # One that several marks lead to is told once.
        return found[0] if len(found) == 1 else {scope: None for some in found for scope in some}

    def _forget(self, scope: Scope) -> None:
        for mark in scope.marks:
            scopes = self._marked[mark]
            del scopes[scope]
            if not scopes:
                del self._marked[mark]
