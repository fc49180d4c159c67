"""Keeping the memory of one process as the database is that it shares with others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from operator import attrgetter

import structlog
from msgspec.structs import replace
from sqlalchemy import Connection, select

from phaseline.app.changes import Announcer, Commit, Entry
from phaseline.domain.execution import Execution
from phaseline.domain.ids import Key
from phaseline.store import tables
from phaseline.store.failures import StoreFailed
from phaseline.store.load import read_active, read_executions
from phaseline.store.log import entries_of, read_between
from phaseline.store.pieces import read_place
from phaseline.store.place import Place
from phaseline.store.touched import Touched
from phaseline.store.working import Working

log = structlog.get_logger(__name__)

# More is not told one by one: whoever waits for it reads the log.
_MOST_TOLD = 2_000


class Replica:
    """
    Brings memory up to what others have committed.

    Memory is changed by who holds `lock` alone: a batch that is being decided, or a catching up.
    """

    def __init__(self, working: Working) -> None:
        self.lock = asyncio.Lock()
        self._working = working
        self._announcer: Announcer | None = None
        self._wake: Callable[[], None] = lambda: None

    def attach(self, announcer: Announcer, wake: Callable[[], None]) -> None:
        """Tell *announcer* what others commit, and *wake* the writer after it."""
        self._announcer, self._wake = announcer, wake

    def catch_up(self, place: Place, connection: Connection) -> None:
        """
        Take in what was committed up to *place*, where the database stands, with the lock held.

        Raises `StoreFailed` if this is no more the database that it was.
        """
        working = self._working
        before = working.place
        if place == before:
            return
        if place.epoch != before.epoch or place.commits < before.commits:
            raise StoreFailed(
                "the database is not the one that it was, or has lost what was committed: it was "
                "restored, or a copy that lagged has taken its place; restart this server"
            )
        touched = _read_touched(connection, before, place)
        if touched is None:
            self._start_over(connection, place)
        else:
            self._take_in(connection, touched, place)

    def _take_in(self, connection: Connection, touched: Touched, place: Place) -> None:
        working = self._working
        found = read_executions(connection, touched.executions, working)
        fresh = {execution.key: execution for execution in found}
        entries = self._read_entries(connection, place.head, fresh)
        # Nothing is waited for from here on, so that nobody sees a half of it.
        self._forget(touched, fresh)
        # What is active first: who is above it stays in memory, others that ended may go at once.
        there = [key for key in touched.executions if key in fresh]
        for key in sorted(there, key=lambda key: fresh[key].done):
            known = working.get(key)
            working.adopt(_still_held(known, fresh[key]), known)
        self._have_come_to(place, entries)

    def _start_over(self, connection: Connection, place: Place) -> None:
        """Read all that is active, since what has changed is not known any more."""
        log.warning("memory is read anew", commits=place.commits - self._working.place.commits)
        active = read_active(connection, self._working)
        self._working.clear()
        for execution in active:
            self._working.adopt(execution)
        self._have_come_to(place, None)

    def _have_come_to(self, place: Place, entries: Sequence[Entry] | None) -> None:
        self._working.place = place
        if self._announcer is not None:
            if entries is None:
                self._announcer.advance(place.head)
            else:
                for revision, of_commit in groupby(entries, attrgetter("revision")):
                    self._announcer.committed(Commit(revision, tuple(of_commit)))
        self._working.changed()
        self._wake()

    def _forget(self, touched: Touched, fresh: Mapping[Key, Execution]) -> None:
        """Let go of what is old now."""
        working = self._working
        for name in touched.workflows:
            working.forget_latest(*name)
        for attempt in touched.attempts:
            working.attempts.drop(attempt)
        for slot in touched.outputs:
            working.outputs.drop(slot)
        for keys, forget in (
            (touched.purged, working.forget_content),
            (touched.deleted, working.forget),
        ):
            for key in keys:
                known = working.get(key) or fresh.get(key)
                working.contents.drop(key)
                if known is not None:
                    forget(known)

    def _read_entries(
        self, connection: Connection, head: int, fresh: Mapping[Key, Execution]
    ) -> Sequence[Entry] | None:
        """Return what happened up to *head*; None if that is too much, or not kept any more."""
        before = self._working.head
        if head == before:
            return []
        trimmed = connection.execute(select(tables.identity.c.trimmed)).scalar_one()
        if self._announcer is None or trimmed > before or head - before > _MOST_TOLD:
            return None
        found = read_between(connection, before, head, _MOST_TOLD + 1)
        if len(found) > _MOST_TOLD:
            return None
        return entries_of(connection, found, self._working, fresh)


def _still_held(before: Execution | None, after: Execution) -> Execution:
    """Return *after* with those leases held that *before* holds here, and nobody has renewed."""
    if before is None or not any(lease.held_until for _, _, lease in before.leases()):
        return after
    for position, phase, lease in list(after.leases()):
        known = before.phases[position].lease
        if known is not None and replace(known, held_until=lease.held_until) == lease:
            after = after.with_phase(position, replace(phase, lease=known))
    return after


def _read_touched(connection: Connection, before: Place, place: Place) -> Touched | None:
    """Return what was changed between two places; None if that is not known any more."""
    c = tables.touched.c
    statement = select(c.body).where(c.number > before.commits, c.number <= place.commits)
    bodies = connection.execute(statement).scalars().all()
    if len(bodies) < place.commits - before.commits:
        return None
    return Touched.together(bodies)


def catch_up_in(replica: Replica, connection: Connection) -> None:
    """Let *replica*, whose lock is held, catch up in the snapshot of *connection*."""
    replica.catch_up(read_place(connection), connection)
