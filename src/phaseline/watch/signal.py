"""The head of the log, and who wants to know when it moves."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import structlog

from phaseline.app.changes import Commit, Entry
from phaseline.domain.ids import Key
from phaseline.watch.belfry import Belfry
from phaseline.watch.bell import Bell, Waker
from phaseline.watch.ports import Clock
from phaseline.watch.scope import Scope
from phaseline.watch.scopes import Scopes
from phaseline.watch.tail import Tail
from phaseline.watch.waking import Pace, Waking

log = structlog.stdlib.get_logger(__name__)


class Signal:
    """
    Hears of every commit, keeps it in the tail, and wakes whom it concerns. Nobody else.

    A slow watcher costs nothing here, and can neither lose a change nor hold up the writer.
    Implements `Announcer` and `Feed`.
    """

    def __init__(self, clock: Clock, tail: Tail, *, pace: Pace | None = None) -> None:
        self.tail = tail
        self._waking = Waking(clock, pace)
        #: The bells know of every revision up to here.
        self._announced = tail.head
        self._fresh: list[Commit] = []
        self._missed = 0
        self._is_due = False
        self._grew = asyncio.Event()
        #: Of each execution those who wait for its next change.
        self._waiting: dict[Key, dict[asyncio.Future[None], None]] = {}
        self._executions: Belfry[Key] = Belfry(self._new_bell)
        self._trees: Belfry[Key] = Belfry(self._new_bell)
        self._scopes: dict[str, Scopes] = {}

    @property
    def head(self) -> int:
        """The newest committed revision."""
        return self.tail.head

    def committed(self, commit: Commit) -> None:
        """Take note of *commit*; revisions that are missing before it were committed elsewhere."""
        if commit.revision <= self.tail.head:
            return
        if commit.revision != self.tail.head + 1:
            self._missed = commit.revision - 1
        self.tail.append(commit)
        self._fresh.append(commit)
        self._announce_soon()

    def advance(self, head: int) -> None:
        """Take note that others committed up to *head*; what that was is read from the log."""
        if head <= self.tail.head:
            return
        self.tail.restart(head)
        self._fresh.clear()
        self._missed = head
        self._announce_soon()

    async def changed(self, key: Key, *, after: int) -> None:
        """
        Return once a revision past *after* changed the execution.

        *after* is the head before the caller looked. An older one may be past telling; then this
        returns at once, for another look.
        """
        while self.tail.last_revision(key) <= after and after >= self.tail.floor:
            await self._news_of(key)

    async def reached(self, revision: int) -> None:
        """Return once everybody could hear of *revision*."""
        while self._announced < revision:
            await self._grew.wait()

    @contextmanager
    def execution_bell(self, key: Key, waker: Waker) -> Iterator[Bell]:
        """Wake *waker* when the execution has changed."""
        with self._executions.listening(key, waker) as bell:
            yield bell

    @contextmanager
    def tree_bell(self, key: Key, waker: Waker) -> Iterator[Bell]:
        """Wake *waker* when the execution or one below it has changed."""
        with self._trees.listening(key, waker) as bell:
            yield bell

    @contextmanager
    def scope_bell(self, scope: Scope, waker: Waker) -> Iterator[Bell]:
        """Wake *waker* when something in *scope* has changed."""
        bells = self._scopes.setdefault(scope.workspace_id, Scopes(self._new_bell))
        try:
            with bells.listening(scope, waker) as bell:
                yield bell
        finally:
            if not bells and self._scopes.get(scope.workspace_id) is bells:
                del self._scopes[scope.workspace_id]

    def horizon(self, bell: Bell) -> int:
        """Return up to which revision those who wait for *bell* should read."""
        return bell.horizon(self._announced)

    def quiet_until(self, bell: Bell, after: int) -> int:
        """Return up to which revision nothing past *after* concerns those who wait for *bell*."""
        return bell.quiet_until(after, self._announced)

    async def _news_of(self, key: Key) -> None:
        # Without a bell: one caller waits for this one answer, and shall not do so behind watchers.
        news = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(key, {})
        waiting[news] = None
        try:
            await news
        finally:
            del waiting[news]
            if not waiting and self._waiting.get(key) is waiting:
                del self._waiting[key]

    def _tell(self, keys: Iterable[Key]) -> None:
        """End the waits for news of these executions."""
        for key in keys:
            for news in self._waiting.get(key, ()):
                if not news.done():
                    news.set_result(None)

    def _new_bell(self) -> Bell:
        return Bell(self._waking, since=self._announced)

    def _announce_soon(self) -> None:
        # Not at once: the writer still has to answer those whose commit it is.
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._announce)

    def _announce(self) -> None:
        self._is_due = False
        fresh, self._fresh = self._fresh, []
        touched: dict[Bell, None] = {}
        if self._missed > self._announced:
            self._tell(self._waiting)
            for bell in self._all_bells():
                bell.miss(self._missed)
                touched[bell] = None
        for commit in fresh:
            self._tell(entry.key for entry in commit.entries)
            try:
                touched |= dict.fromkeys(self._noted(commit))
            except Exception:
                # Whom it concerns is not known then, and nobody may skip it unseen.
                for bell in self._all_bells():
                    bell.miss(commit.revision)
                    touched[bell] = None
                log.exception("announcement broke", revision=commit.revision)
        self._announced = self.tail.head
        # A fresh one each time: a waiter that wakes late still sees its own one set.
        grew, self._grew = self._grew, asyncio.Event()
        grew.set()
        for bell in touched:
            bell.ring()

    def _noted(self, commit: Commit) -> Iterator[Bell]:
        """Take *commit* down with all bells that it concerns, and yield them."""
        for entry in commit.entries:
            for bell in self._bells_for(entry):
                bell.note(commit.revision)
                yield bell

    def _bells_for(self, entry: Entry) -> Iterator[Bell]:
        yield from self._executions.of(entry.key)
        if self._trees:
            for key in _tree_keys(entry):
                yield from self._trees.of(key)
        scopes = self._scopes.get(entry.key.workspace_id)
        if scopes is not None:
            yield from scopes.concerned(entry)

    def _all_bells(self) -> Iterator[Bell]:
        yield from self._executions
        yield from self._trees
        for bells in self._scopes.values():
            yield from bells


def _tree_keys(entry: Entry) -> Iterator[Key]:
    """Yield the execution and all above it."""
    workspace_id, execution_id = entry.key
    yield entry.key
    if entry.execution is not None:
        for above in entry.execution.spec.ancestor_execution_ids:
            yield Key(workspace_id, above)
    elif entry.root_execution_id != execution_id:
        yield Key(workspace_id, entry.root_execution_id)
