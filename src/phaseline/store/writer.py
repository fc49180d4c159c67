"""
Group commit: one task takes every command that waits, and makes all of them durable at once.

A batch is loaded with few queries, decided purely, written in one transaction and committed once;
only then is anything announced or answered. While it is being committed the next one gathers, so
the load makes batches larger instead of the line longer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, Generic, Protocol, TypeVar

import structlog

from phaseline.app.changes import Announcer
from phaseline.app.ports import (
    Clock,
    Command,
    Committed,
    Decision,
    Encoder,
    Needs,
    StandingCommand,
    Withdrawn,
)
from phaseline.domain.errors import PhaselineError, Reason, Unavailable
from phaseline.store.batch import Batch, Loaded
from phaseline.store.commit import Prepared, Work, prepare
from phaseline.store.faults import Point, Points
from phaseline.store.statements import Statements
from phaseline.store.working import Working

T = TypeVar("T")

log = structlog.get_logger(__name__)

_MOST_AT_ONCE = 1000


class StoreFailed(Exception):
    """The database could not do what was asked; nothing of it happened."""


class Backend(Protocol):
    """The database under the writer."""

    @property
    def statements(self) -> Statements:
        """The statements in its dialect."""

    async def load(self, needs: Needs, working: Working, loaded: Loaded) -> None:
        """Fill *loaded* with what *needs* names and *working* lacks; may raise `StoreFailed`."""

    async def apply(self, work: Work) -> None:
        """Run *work* in one durable transaction; raise `StoreFailed` if that is impossible now."""


class _Item(Generic[T]):
    """A command, and the future that its answer goes to."""

    __slots__ = ("answer", "command", "decision", "error")

    def __init__(self, command: Command[T], loop: asyncio.AbstractEventLoop) -> None:
        self.command = command
        self.answer: asyncio.Future[Committed[T]] = loop.create_future()
        self.decision: Decision[T] | None = None
        self.error: Exception | None = None

    def settle(self, revision: int) -> None:
        """Give the caller what was decided; one that has gone is not waited for."""
        if self.answer.done():
            return
        if self.error is not None:
            self.answer.set_exception(self.error)
        elif self.decision is not None:
            self.answer.set_result(Committed(self.decision.answer, revision))


class _Waiting(Generic[T]):
    """A standing command: `Standing` of app/ports.py."""

    def __init__(self, command: StandingCommand[T], writer: GroupWriter) -> None:
        self.command = command
        self.is_decided = False
        self.outcome: asyncio.Future[Committed[T]] = asyncio.get_running_loop().create_future()
        self._writer = writer

    async def answer(self) -> Committed[T]:
        return await asyncio.shield(self.outcome)

    def withdraw(self) -> bool:
        if self.is_decided:
            return False
        self._writer.withdraw(self)
        if not self.outcome.done():
            self.outcome.set_exception(Withdrawn())
            # Nobody needs to look: whoever withdrew it knows.
            self.outcome.exception()
        return True


class GroupWriter:
    """`Writer` of app/ports.py. Run `run` as one task; nothing is committed without it."""

    def __init__(
        self,
        backend: Backend,
        working: Working,
        announcer: Announcer,
        encoder: Encoder,
        clock: Clock,
        *,
        head: int,
        points: Points,
    ) -> None:
        self._backend, self._working = backend, working
        self._announcer, self._encoder, self._clock = announcer, encoder, clock
        self._head = head
        self._points = points
        self._queue: list[_Item[Any]] = []
        self._standing: dict[_Waiting[Any], None] = {}
        self._work_came = asyncio.Event()
        self._retry_standing = False
        self._is_closed = False

    @property
    def head(self) -> int:
        """The newest committed revision."""
        return self._head

    def post(self, command: Command[T]) -> Awaitable[Committed[T]]:
        item = _Item(command, asyncio.get_running_loop())
        if self._is_closed:
            item.answer.set_exception(_closed())
        else:
            self._queue.append(item)
            self._work_came.set()
        return item.answer

    def stand(self, command: StandingCommand[T]) -> _Waiting[T]:
        waiting = _Waiting(command, self)
        if self._is_closed:
            waiting.outcome.set_exception(_closed())
            return waiting
        self._standing[waiting] = None
        self._retry_standing = True
        self._work_came.set()
        return waiting

    def withdraw(self, waiting: _Waiting[Any]) -> None:
        """Ask a standing command no more."""
        self._standing.pop(waiting, None)

    async def run(self) -> None:
        """Commit batch after batch until `close`, whose last batch is committed, too."""
        while True:
            await self._work_came.wait()
            self._work_came.clear()
            while self._queue or self._retry_standing:
                taken, self._queue = self._queue[:_MOST_AT_ONCE], self._queue[_MOST_AT_ONCE:]
                self._retry_standing = False
                await self._commit(taken)
            if self._is_closed:
                return

    def close(self) -> None:
        """Take in nothing more; `run` returns once all that was taken in is answered."""
        self._is_closed = True
        for waiting in list(self._standing):
            waiting.withdraw()
        self._work_came.set()

    async def _commit(self, items: list[_Item[Any]]) -> None:
        try:
            await self._try_commit(items)
        except StoreFailed as error:
            log.warning("commit failed", commands=len(items), error=str(error))
            self._working.restart()
            await self._fail_or_split(items, error)
        except Exception as error:
            # A defect must not end the one task that everything depends on.
            log.exception("commit broke", commands=len(items))
            self._working.restart()
            await self._fail_or_split(items, error)

    async def _fail_or_split(self, items: list[_Item[Any]], error: Exception) -> None:
        """Tell the callers, or find the command that the database refuses, to spare the others."""
        is_away = isinstance(error, StoreFailed)
        if len(items) > 1 and not is_away:
            for item in items:
                item.decision = item.error = None
                await self._commit([item])
            return
        for item in items:
            item.error = _unavailable() if is_away else error
            item.settle(self._head)

    async def _try_commit(self, items: list[_Item[Any]]) -> None:
        loaded = Loaded()
        needs = _union([item.command.needs() for item in items])
        if needs is not None:
            await self._backend.load(needs, self._working, loaded)
        batch = Batch(self._clock.now(), self._working, loaded)
        for item in items:
            _decide(item, batch)
        answered = self._decide_standing(batch)
        try:
            if not batch.is_empty:
                await self._store(batch)
        except BaseException:
            self._stand_again(answered)
            raise
        for item in items:
            item.settle(self._head)
        for waiting, decision in answered:
            waiting.outcome.set_result(Committed(decision.answer, self._head))

    async def _store(self, batch: Batch) -> None:
        prepared = prepare(batch, self._head + 1, self._backend.statements, self._encoder)
        await self._points.reached(Point.COMMIT_BEFORE)
        await self._backend.apply(prepared.work)
        await self._points.reached(Point.COMMIT_AFTER)
        self._take_over(batch, prepared)

    def _take_over(self, batch: Batch, prepared: Prepared) -> None:
        """Make what is committed the state that everybody sees."""
        for execution in prepared.executions:
            self._working.put(execution)
        for key, content in batch.contents:
            self._working.contents.put(key, content, content.size)
        for slot, output in batch.outputs.items():
            self._working.outputs.put(slot, output, output.size)
        for workflow in batch.workflows.values():
            self._working.put_workflow(workflow, is_latest=True)
        if prepared.commit.entries:
            self._head = prepared.commit.revision
            self._announcer.committed(prepared.commit)

    def _decide_standing(self, batch: Batch) -> list[tuple[_Waiting[Any], Decision[Any]]]:
        """Ask those that wait, first come first served, whether they have something to do now."""
        answered: list[tuple[_Waiting[Any], Decision[Any]]] = []
        for waiting in list(self._standing):
            try:
                decision = waiting.command.decide(batch)
            except PhaselineError as error:
                self.withdraw(waiting)
                waiting.outcome.set_exception(error)
                continue
            if decision is not None:
                batch.accept(decision)
                waiting.is_decided = True
                self.withdraw(waiting)
                answered.append((waiting, decision))
        return answered

    def _stand_again(self, answered: list[tuple[_Waiting[Any], Decision[Any]]]) -> None:
        for waiting, _ in answered:
            waiting.is_decided = False
            self._standing[waiting] = None


def _decide(item: _Item[Any], batch: Batch) -> None:
    try:
        item.decision = item.command.decide(batch)
    except PhaselineError as error:
        item.error = error
        return
    except Exception as error:
        log.exception("command broke", command=type(item.command).__name__)
        item.error = error
        return
    batch.accept(item.decision)


def _union(needs: list[Needs]) -> Needs | None:
    """Return all that *needs* name together; None for nothing."""
    union = Needs(
        executions=tuple({key for one in needs for key in one.executions}),
        trees=tuple({key for one in needs for key in one.trees}),
        workflows=tuple({ref for one in needs for ref in one.workflows}),
        requests=tuple({name for one in needs for name in one.requests}),
        children=tuple({child for one in needs for child in one.children}),
        operations=tuple(attempt for one in needs for attempt in one.operations),
    )
    return None if union == Needs() else union


def _unavailable() -> Unavailable:
    return Unavailable("the store cannot be written at this moment")


def _closed() -> Unavailable:
    return Unavailable("the server is shutting down", reason=Reason.DRAINING)
