"""
Group commit: one task takes every command that waits, and makes all of them durable at once.

A batch is loaded with few queries, decided purely, written in one transaction and committed once;
only then is anything announced or answered. While it is being committed the next one gathers, so
the load makes batches larger instead of the line longer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from itertools import accumulate, islice
from typing import Any, Protocol, TypeVar

import structlog
from sqlalchemy import Connection

from phaseline import tracing
from phaseline.app.changes import Announcer
from phaseline.app.ports import Clock, Command, Committed, Encoder, Needs, StandingCommand
from phaseline.domain.errors import PhaselineError, Reason, Unavailable
from phaseline.faults import Point, Points
from phaseline.store.batch import Batch, Loaded
from phaseline.store.commit import Housekeeping, Prepared, Work, prepare
from phaseline.store.failures import StoreFailed
from phaseline.store.place import Place
from phaseline.store.pulse import Pulse
from phaseline.store.standing import Item, Waiting
from phaseline.store.working import Working

T = TypeVar("T")

log = structlog.get_logger(__name__)

# More would keep the event loop from all else for too long, and gain nothing.
_MOST_AT_ONCE = 256
_MOST_WEIGHT = 1_000
# So many commands in a batch are a crowd.
_CROWD = 8
#: Seconds that a batch waits for a crowd to come together.
_GATHERING = 0.003


class Backend(Protocol):
    """The database under the writer. All of it may raise `StoreFailed`."""

    @property
    def sets_no_more(self) -> bool:
        """Whether of a row no more is set than has changed."""

    def turn(self) -> AbstractAsyncContextManager[None]:
        """
        Let nobody else commit during the block, with which memory begins as the database is.

        `load` and `apply` are called in turns only, and `apply` at most once in each.
        """

    async def load(self, needs: Needs, working: Working, loaded: Loaded) -> None:
        """Fill *loaded* with what *needs* names and *working* lacks."""

    async def apply(self, work: Work) -> None:
        """Run *work* in one durable transaction. If this raises, it may be committed or not."""

    async def place(self) -> Place:
        """Return where the database stands."""

    async def write(self, job: Callable[[Connection], T]) -> T:
        """Run *job* in a transaction of its own."""


class Tidy(Housekeeping, Protocol):
    """Housekeeping, of which some is left to do after a commit."""

    def erase(self, connection: Connection) -> bool:
        """Erase some of what purged and deleted executions left; return whether there is more."""


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
        tidy: Tidy,
        points: Points,
        pulse: Pulse | None = None,
    ) -> None:
        self._backend, self._working = backend, working
        self._announcer, self._encoder, self._clock = announcer, encoder, clock
        self._tidy = tidy
        self._points = points
        self._pulse = pulse
        self._queue: list[Item[Any]] = []
        self._taken: list[Item[Any]] = []
        self._standing: dict[Waiting[Any], None] = {}
        self._work_came = asyncio.Event()
        self._is_closed = False
        # A batch that was sent to the database, which has not said that it is committed.
        self._in_doubt: tuple[Batch, Prepared] | None = None
        self._is_away = False
        # Something may be left from before the start.
        self._is_untidy = True
        self._work_came.set()

    @property
    def head(self) -> int:
        """The newest committed revision."""
        return self._working.head

    @property
    def is_well(self) -> bool:
        """Whether the store took the last commit that was tried; trying goes on until it does."""
        return self._in_doubt is None and not self._is_away

    def wake(self) -> None:
        """Ask standing commands again: others have committed something."""
        if self._standing:
            self._work_came.set()

    def post(self, command: Command[T], *, weight: int = 1) -> Awaitable[Committed[T]]:
        item = Item(command, asyncio.get_running_loop(), weight)
        if self._is_closed:
            item.fail(_closed())
        else:
            self._queue.append(item)
            self._work_came.set()
        return item.answer

    def stand(self, command: StandingCommand[T]) -> Waiting[T]:
        waiting = Waiting(command, self)
        if self._is_closed:
            waiting.fail(_closed())
        else:
            self._standing[waiting] = None
            self._work_came.set()
        return waiting

    def dismiss(self, waiting: Waiting[Any]) -> None:
        """Ask a standing command no more."""
        self._standing.pop(waiting, None)

    async def run(self) -> None:
        """
        Commit batch after batch until `close`, whose last batch is committed, too.

        However it ends, nobody is left waiting for an answer.
        """
        try:
            while not self._is_closed or self._queue:
                await self._work_came.wait()
                self._work_came.clear()
                await self._gather()
                most = _most(self._queue)
                self._taken, self._queue = self._queue[:most], self._queue[most:]
                if self._queue:
                    self._work_came.set()
                await self._commit(self._taken)
                if self._is_untidy and self._in_doubt is None:
                    await self._clear_up()
        finally:
            self.close()
            self._refuse([*self._taken, *self._queue], _closed())

    async def _gather(self) -> None:
        """
        Wait a moment if there was a crowd just now.

        Who was answered together comes back together, but not at the same instant. A batch costs
        as much as several commands in it do, so the first to come would make it dear for all.
        """
        crowd = len(self._taken)
        if crowd >= _CROWD and len(self._queue) < crowd and not self._is_closed:
            await asyncio.sleep(_GATHERING)

    def close(self) -> None:
        """Take in nothing more; `run` returns once all that was taken in is answered."""
        self._is_closed = True
        for waiting in list(self._standing):
            waiting.withdraw()
        self._work_came.set()

    async def _commit(self, items: Sequence[Item[Any]]) -> None:
        standing = list(self._standing)
        if not items and not any(map(self._may_get_something, standing)):
            return
        try:
            await self._attempt(items, standing)
        except StoreFailed as error:
            self._is_away = True
            log.warning("commit failed", commands=len(items), error=str(error))
            self._refuse(items, _unavailable())
        except Exception as error:
            # A defect must not end the one task that everything depends on.
            log.exception("commit broke", commands=len(items))
            await self._isolate(items, standing, error)

    async def _isolate(
        self, items: Sequence[Item[Any]], standing: Sequence[Waiting[Any]], error: Exception
    ) -> None:
        """Find the command that cannot be committed, to spare the others."""
        alone: list[Item[Any] | Waiting[Any]] = [*items, *standing]
        if len(alone) == 1:
            alone[0].fail(error)
            return
        for at, one in enumerate(alone):
            try:
                await self._attempt_alone(one)
            except StoreFailed as failure:
                self._is_away = True
                log.warning("commit failed", commands=len(items), error=str(failure))
                self._refuse(items[at:], _unavailable())
                return
            except Exception as failure:
                log.exception("command broke", command=type(one.command).__name__)
                one.fail(failure)

    async def _attempt_alone(self, one: Item[Any] | Waiting[Any]) -> None:
        if isinstance(one, Item):
            await self._attempt([one], [])
        else:
            await self._attempt([], [one])

    async def _attempt(self, items: Sequence[Item[Any]], standing: Sequence[Waiting[Any]]) -> None:
        """Commit and answer all of them, or change nothing and raise."""
        is_committed = False
        try:
            async with self._backend.turn():
                decided = await self._take_turn(items, standing)
                is_committed = True
                for item in items:
                    item.settle(self._working.head)
                for waiting in decided:
                    waiting.settle(self._working.head)
        except Exception:
            if not is_committed:
                raise
            # Committed is committed, however the turn ends. The next one tells if there is more.
            log.exception("leaving a turn broke", commands=len(items))

    async def _take_turn(
        self, items: Sequence[Item[Any]], standing: Sequence[Waiting[Any]]
    ) -> Sequence[Waiting[Any]]:
        """Commit all of them; return those that were standing and do something."""
        await self._settle_doubt()
        loaded = Loaded()
        needs = _union([item.command.needs() for item in items])
        if needs is not None:
            await self._backend.load(needs, self._working, loaded)
        now = self._clock.now()
        self._hold_leases(now)
        batch = Batch(now, self._working, loaded)
        decided: list[Waiting[Any]] = []
        try:
            for item in items:
                _decide(item, batch)
            # Behind what may have something for them, and first come first served.
            for waiting in standing:
                self._ask(waiting, batch, decided)
            if batch.needs is not None:
                await self._backend.load(batch.needs, self._working, loaded)
            if not batch.is_empty:
                await self._store(batch)
        except BaseException:
            batch.undo()
            for waiting in decided:
                waiting.undecide(_unavailable())
            raise
        return decided

    def _hold_leases(self, now: datetime) -> None:
        """Hold all leases if there was a time in which nobody could report."""
        skipped = self._pulse is not None and self._pulse.skipped(now)
        if skipped:
            log.warning("leases held", why="the server stood still, or the time of day jumped")
        if skipped or self._is_away:
            self._working.hold_leases(now, is_alone=False)
            self._is_away = False

    async def _store(self, batch: Batch) -> None:
        prepared = prepare(
            batch,
            self._working.place,
            self._encoder,
            self._tidy,
            sets_no_more=self._backend.sets_no_more,
        )
        await self._points.reached(Point.COMMIT_BEFORE)
        self._in_doubt = (batch, prepared)
        with tracing.span("commit", executions=len(prepared.executions)):
            await self._backend.apply(prepared.work)
        await self._points.reached(Point.COMMIT_AFTER)
        self._in_doubt = None
        self._take_over(batch, prepared)

    async def _settle_doubt(self) -> None:
        """Find out what became of a batch that the database broke off with."""
        if self._in_doubt is None:
            return
        batch, prepared = self._in_doubt
        place = await self._backend.place()
        if place == prepared.place and place != self._working.place:
            # Its callers were told that it may have failed; everybody else is told that it did not.
            batch.redo()
            self._take_over(batch, prepared)
        elif place != self._working.place:
            raise StoreFailed("this is another database, or one that somebody else wrote to")
        self._in_doubt = None

    def _take_over(self, batch: Batch, prepared: Prepared) -> None:
        """Make what is committed the state that everybody sees."""
        working = self._working
        working.place = prepared.place
        for execution in prepared.executions:
            working.replace(batch.before[execution.key], execution)
        for slot, epoch in batch.operations:
            working.record(slot, epoch, batch.newly_recorded(slot, epoch))
        for key, content in batch.contents:
            working.contents.put(key, content, content.size)
        for slot, output in batch.outputs.items():
            working.outputs.put(slot, output, output.size)
        for workflow in batch.workflows.values():
            working.put_workflow(workflow, is_latest=True)
        for key in batch.purged:
            purged = batch.execution(key)
            if purged is not None:
                working.forget_content(purged)
        for execution in batch.deleted.values():
            working.forget(execution)
        self._is_untidy = self._is_untidy or bool(batch.purged or batch.deleted)
        self._announce(prepared)

    def _announce(self, prepared: Prepared) -> None:
        try:
            if prepared.commit.entries:
                self._announcer.committed(prepared.commit)
            self._working.changed()
        except Exception:
            # Committed is committed, whoever cannot hear of it.
            log.exception("announcement broke", revision=prepared.commit.revision)

    def _ask(self, waiting: Waiting[Any], batch: Batch, decided: list[Waiting[Any]]) -> None:
        """Ask a standing command what it does now, and add it to *decided* if it does something."""
        command = waiting.command
        if waiting not in self._standing or not self._may_get_something(waiting):
            return
        waiting.was_asked = True
        try:
            decision = command.decide(batch)
        except PhaselineError as error:
            waiting.fail(error)
            return
        except Exception as error:
            log.exception("command broke", command=type(command).__name__)
            waiting.fail(error)
            return
        if decision is not None:
            batch.accept(decision)
            waiting.decision = decision
            decided.append(waiting)

    def _may_get_something(self, waiting: Waiting[Any]) -> bool:
        command, ready = waiting.command, self._working.indexes.ready
        return not waiting.was_asked or ready.offers(command.workspace_id, command.request)

    async def _clear_up(self) -> None:
        """Erase some of what was purged, between two batches."""
        try:
            self._is_untidy = await self._backend.write(self._tidy.erase)
        except StoreFailed as error:
            log.warning("erasing failed", error=str(error))
            return
        except Exception:
            log.exception("erasing broke")
            self._is_untidy = False
        if self._is_untidy:
            self._work_came.set()

    def _refuse(self, items: Sequence[Item[Any]], error: Unavailable) -> None:
        for item in items:
            item.fail(error)


def _most(queue: Sequence[Item[Any]]) -> int:
    """Return how many of *queue* one batch takes: one, however heavy, or all that are no burden."""
    weights = accumulate(item.weight for item in islice(queue, _MOST_AT_ONCE))
    return max(sum(weight <= _MOST_WEIGHT for weight in weights), 1)


def _decide(item: Item[Any], batch: Batch) -> None:
    item.decision = item.error = None
    try:
        decision = item.command.decide(batch)
    except PhaselineError as error:
        item.error = error
        return
    except Exception as error:
        log.exception("command broke", command=type(item.command).__name__)
        item.error = error
        return
    batch.accept(decision)
    item.decision = decision


def _union(needs: list[Needs]) -> Needs | None:
    """Return all that *needs* name together; None for nothing."""
    union = Needs(
        executions=tuple({key for one in needs for key in one.executions}),
        trees=tuple({key for one in needs for key in one.trees}),
        workflows=tuple({ref for one in needs for ref in one.workflows}),
        requests=tuple({name for one in needs for name in one.requests}),
        children=tuple({child for one in needs for child in one.children}),
        operations=tuple(attempt for one in needs for attempt in one.operations),
        purges=tuple({key for one in needs for key in one.purges}),
    )
    return None if union == Needs() else union


def _unavailable() -> Unavailable:
    return Unavailable.for_now("the store cannot be written at this moment")


def _closed() -> Unavailable:
    return Unavailable.for_now("the server is shutting down", reason=Reason.DRAINING)
