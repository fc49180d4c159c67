"""The guarantees hold whatever writers, trimming, processes and readers do, in any order."""

from __future__ import annotations

import asyncio
import itertools
from datetime import timedelta
from operator import add
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phaseline.app.changes import Commit, Entry
from phaseline.app.queries import ExecutionFilter
from phaseline.domain.ids import Key
from phaseline.domain.lifecycle import TERMINAL
from phaseline.watch.cursor import ActiveCursor, TreeCursor
from phaseline.watch.scope import Scope
from phaseline.watch.shared import Sizes
from tests.support import guarantees
from tests.support.guarantees import Frame, Version
from tests.watch.serving import Process, Reader
from tests.watch.world import COMPLETED, PAUSED, PENDING, RUNNING, WORKSPACE, Change, Database

ABOVE: dict[str, tuple[str, ...]] = {"b": (), "a": ("b",), "c": ("b",), "d": ("b", "c"), "e": ()}
FILTERS = (
    ExecutionFilter(),
    ExecutionFilter(statuses=(RUNNING,)),
    ExecutionFilter(root_execution_id="b"),
    ExecutionFilter(active_only=True, id_prefix="e"),
)
INTERVAL = timedelta(seconds=2)
TICK = timedelta(milliseconds=500)
TAIL = 4
#: So small that everything is cut.
SIZES = Sizes(changes=2, log_page=3, executions=2, operations=2, look=3)


class Follower:
    """Somebody who watches one thing, stream after stream."""

    def __init__(self, process: Process, began: int | None) -> None:
        self.process = process
        #: The revision of the first token; None if it began with a snapshot.
        self.began = began
        self.history: list[list[Frame]] = []
        self.synced_at: int | None = None
        self.is_over = self.is_slow = False
        token = "" if began is None else self.token_at(began)
        self.reader = self.open(process, token)

    def open(self, process: Process, token: str) -> Reader:
        raise NotImplementedError

    def token_at(self, revision: int) -> str:
        raise NotImplementedError

    def revision_of(self, token: str) -> int:
        """Return up to where everything was sent."""
        raise NotImplementedError

    def check(self, database: Database) -> None:
        raise NotImplementedError

    def turn(self) -> bool:
        """Read what has come, and return whether anything had. After a right error, begin anew."""
        reader = self.reader
        reader.is_slow = self.is_slow
        took = reader.take()
        if reader.error is not None:
            self._expired(reader)
        elif reader.is_over and not self.is_over:
            guarantees.closing(reader.stream, "COMPLETED")
            self.is_over = True
            self.pause()
        return took

    async def move(self, process: Process) -> None:
        """Break the stream, and go on with another one."""
        if self.is_over:
            return
        await self.reader.cut()
        token = self.pause()
        self.process = process
        self.reader = self.open(process, token)

    def pause(self) -> str:
        """Keep what was seen in this stream, and return where to go on."""
        stream = self.reader.stream
        if stream:
            self.history.append(stream)
        if self.synced_at is None:
            self.synced_at = self.reader.synced_at
        if self.history:
            return self.history[-1][-1].token
        return "" if self.began is None else self.token_at(self.began)

    def _expired(self, reader: Reader) -> None:
        token = self.pause()
        after = self.revision_of(token)
        oldest = self.process.database.trimmed_revision + 1
        guarantees.trimmed(reader.error, after=after, oldest=oldest)
        self.began, self.synced_at, self.history = None, None, []
        self.reader = self.open(self.process, "")


class TreeFollower(Follower):
    def __init__(self, process: Process, began: int | None, key: Key, descendants: bool) -> None:
        self.key, self.descendants = key, descendants
        super().__init__(process, began)

    def open(self, process: Process, token: str) -> Reader:
        return process.watch(
            self.key.execution_id,
            resume_token=token,
            descendants=self.descendants,
            bookmark_interval=INTERVAL,
        )

    def token_at(self, revision: int) -> str:
        return self.process.tokens.of_execution(self.key, revision)

    def revision_of(self, token: str) -> int:
        return self._cursor(token).after

    def check(self, database: Database) -> None:
        log = database.log(self._is_watched)
        if self.is_over:
            end = self._cursor(self.history[-1][-1].token).after
            log = [version for version in log if version.revision <= end]
            guarantees.closes_after_the_last_version(self.history, (self.key.execution_id,))
        guarantees.resumable(self.history, log, after=self.began)
        guarantees.in_commit_order(self.history)
        first = [version for version in log if version.revision <= (self.began or 0)]
        guarantees.kinds_fit(self.history, {version.id for version in first})

    def _cursor(self, token: str) -> TreeCursor:
        return self.process.tokens.read_tree(token, self.key, self.descendants)

    def _is_watched(self, entry: Entry) -> bool:
        above = ABOVE[entry.key.execution_id]
        return entry.key == self.key or (self.descendants and self.key.execution_id in above)


class ActiveFollower(Follower):
    def __init__(self, process: Process, began: int | None, matching: ExecutionFilter) -> None:
        self.scope = Scope(WORKSPACE, matching)
        super().__init__(process, began)

    def open(self, process: Process, token: str) -> Reader:
        return process.watch_active(
            self.scope.matching, resume_token=token, bookmark_interval=INTERVAL
        )

    def token_at(self, revision: int) -> str:
        return self.process.tokens.of_active(self.scope, ActiveCursor(revision))

    def revision_of(self, token: str) -> int:
        return self.process.tokens.read_active(token, self.scope).after

    def check(self, database: Database) -> None:
        log = database.log_of(self.scope)
        had = _wanted_at(log, self.began or 0)
        after = self.synced_at if self.began is None else self.began
        assert after is not None, "was never synced"
        guarantees.ordered(self.history)
        guarantees.unique(self.history)
        guarantees.kinds_fit(self.history, had)
        guarantees.newest_versions(self.history, log, after=after, had=had)


class Schedule:
    """Does what it is told, one thing after the other."""

    def __init__(self, stalls: list[int]) -> None:
        cycle = itertools.cycle(stalls or [1])
        self.database = Database(lambda: next(cycle))
        self.process = self._new_process()
        self.unannounced: list[Commit] = []
        self.followers: list[Follower] = []

    async def commit(self, writes: dict[str, int], late: bool) -> None:
        changes = [self._change(id, what) for id, what in writes.items()]
        self.unannounced.append(self.database.commit(*changes))
        if not late:
            self._announce()

    async def elsewhere(self, id: str, what: int) -> None:
        """Another process commits, and this one hears no more than that it did."""
        self._announce()
        self.database.commit(self._change(id, what))
        self.process.signal.advance(self.database.head_revision)

    async def turn(self, count: int) -> None:
        for _ in range(count):
            await asyncio.sleep(0)
            for follower in self.followers:
                follower.turn()

    async def settle(self) -> None:
        """Let happen what can without time passing."""
        idle = 0
        while idle < 60:
            await asyncio.sleep(0)
            took = [follower.turn() for follower in self.followers]
            idle = 0 if any(took) else idle + 1

    async def tick(self, count: int) -> None:
        for _ in range(count):
            await self.database.clock.advance(TICK)
            await self.turn(40)

    async def watch(self, id: str, descendants: bool, age: int | None) -> None:
        key = Key(WORKSPACE, id)
        if key in self.database.executions:
            began = self._revision(age)
            self.followers.append(TreeFollower(self.process, began, key, descendants))

    async def watch_active(self, which: int, age: int | None) -> None:
        began = self._revision(age)
        self.followers.append(ActiveFollower(self.process, began, FILTERS[which]))

    async def cut(self, which: int) -> None:
        if self.followers:
            await self.followers[which % len(self.followers)].move(self.process)

    async def slow(self, which: int, is_slow: bool) -> None:
        if self.followers:
            self.followers[which % len(self.followers)].is_slow = is_slow

    async def trim(self, kept: int) -> None:
        self.database.trim(self.database.head_revision - kept)

    async def restart(self) -> None:
        """The process dies; what it committed and had not announced is announced by nobody."""
        self.unannounced.clear()
        self.process = self._new_process()
        for follower in self.followers:
            await follower.move(self.process)

    async def end(self) -> None:
        """Let everybody catch up and be idle for a while, and check what they saw."""
        self._announce()
        for follower in self.followers:
            follower.is_slow = False
        await self.tick(2)
        await self.settle()
        caught_up = {each: (each.reader, len(each.reader.stream)) for each in self.followers}
        reads = self.database.reads
        await self.tick(8)
        for follower, (reader, count) in caught_up.items():
            if not follower.is_over:
                assert follower.reader is reader, "began anew, and nothing was trimmed"
                self._check_idle(follower, reader.stream[count - 1 :])
                follower.pause()
            follower.check(self.database)
            for stream in follower.history:
                guarantees.well_formed(stream)
                guarantees.bounded(stream)
            guarantees.durable(follower.history, self.database.stored())
        assert self.database.reads == reads, "idle watches read the log"

    def _check_idle(self, follower: Follower, stream: list[Frame]) -> None:
        guarantees.synced(follower.reader.stream)
        guarantees.bookmarked(stream, INTERVAL, until=self.database.clock.time())
        assert {frame.kind for frame in stream[1:]} == {"bookmark"}
        assert follower.revision_of(stream[-1].token) == self.database.head_revision

    async def abandon(self) -> None:
        for follower in self.followers:
            await follower.reader.cut()

    def _announce(self) -> None:
        for commit in self.unannounced:
            self.process.signal.committed(commit)
        self.unannounced.clear()

    def _change(self, id: str, what: int) -> Change:
        spec = {"ancestor_execution_ids": ABOVE[id]}
        key = Key(WORKSPACE, id)
        before = self.database.executions.get(key)
        if before is None:
            return Change(id, PENDING, operations=range(what % 3), spec=spec)
        if before.status in TERMINAL:
            return Change(id, PENDING if what % 4 == 0 else None, phases=[0])
        status = (RUNNING, PAUSED, COMPLETED, None)[what % 4]
        recorded = len(self.database.stored_operations.get(key, ()))
        return Change(id, status, phases=range(what % 2), operations=range(recorded, recorded + 1))

    def _revision(self, age: int | None) -> int | None:
        return None if age is None else max(self.database.head_revision - age, 0)

    def _new_process(self) -> Process:
        return Process(self.database, sizes=SIZES, max_revisions=TAIL, pause_seconds=0.3)


def _wanted_at(log: list[Version], revision: int) -> dict[guarantees.Id, int]:
    newest = {version.id: version for version in log if version.revision <= revision}
    return {id: version.revision for id, version in newest.items() if version.is_wanted}


ids = st.sampled_from(sorted(ABOVE))
whats = st.integers(0, 7)
some = st.integers(0, 9)
ages = st.none() | st.integers(0, 9)
writes = st.dictionaries(ids, whats, min_size=1, max_size=3)

commit = st.tuples(st.just("commit"), writes, st.booleans())
turn = st.tuples(st.just("turn"), st.integers(1, 12))
watch = st.one_of(
    st.tuples(st.just("watch"), ids, st.booleans(), ages),
    st.tuples(st.just("watch_active"), st.integers(0, len(FILTERS) - 1), ages),
)
other = st.one_of(
    st.tuples(st.just("elsewhere"), ids, whats),
    st.tuples(st.just("tick"), st.integers(1, 4)),
    st.tuples(st.just("cut"), some),
    st.tuples(st.just("slow"), some, st.booleans()),
    st.tuples(st.just("trim"), st.integers(0, 8)),
    st.tuples(st.just("restart")),
)
# Half of the time something is written, or time is given to what was.
actions = st.one_of(commit, turn, commit, turn, watch, other)
begun = st.lists(commit, min_size=2, max_size=8)
schedules = st.tuples(begun, st.lists(actions, min_size=4, max_size=40)).map(lambda two: add(*two))
stalls = st.lists(st.integers(0, 6), max_size=4)


@given(schedules, stalls)
@settings(max_examples=100, report_multiple_bugs=False)
def test_the_guarantees_hold_for_any_schedule(
    schedule: list[tuple[Any, ...]], stalls: list[int]
) -> None:
    asyncio.run(_play(schedule, stalls))


@pytest.mark.long
@pytest.mark.timeout(300)
@given(schedules, stalls)
@settings(max_examples=2000, report_multiple_bugs=False)
def test_they_hold_for_very_many(schedule: list[tuple[Any, ...]], stalls: list[int]) -> None:
    asyncio.run(_play(schedule, stalls))


async def _play(actions: list[tuple[Any, ...]], stalls: list[int]) -> None:
    schedule = Schedule(stalls)
    try:
        for name, *values in actions:
            await getattr(schedule, name)(*values)
        await schedule.end()
    finally:
        await schedule.abandon()
