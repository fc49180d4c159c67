"""The guarantees hold whatever writers, trimming, processes and readers do, in any order."""

from __future__ import annotations

import asyncio
import itertools
from datetime import timedelta
from operator import add
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from phaseline.app.changes import Commit
from phaseline.app.queries import ExecutionFilter
from phaseline.domain.ids import Key
from phaseline.domain.lifecycle import TERMINAL
from phaseline.watch.shared import Sizes
from tests.support import guarantees
from tests.support.guarantees import Frame
from tests.watch.followers import ActiveFollower, Follower, TreeFollower
from tests.watch.serving import Process
from tests.watch.world import COMPLETED, PAUSED, PENDING, RUNNING, WORKSPACE, Change, Database

ABOVE: dict[str, tuple[str, ...]] = {"b": (), "a": ("b",), "c": ("b",), "d": ("b", "c"), "e": ()}
FILTERS = (
    ExecutionFilter(),
    ExecutionFilter(statuses=(RUNNING,)),
    ExecutionFilter(root_execution_id="b"),
    ExecutionFilter(active_only=True, id_prefix="e"),
)
TICK = timedelta(milliseconds=500)
TAIL = 4
#: So small that everything is cut.
SIZES = Sizes(changes=2, log_page=3, executions=2, operations=2, look=3)


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
        interval = self.process.bookmark_interval
        guarantees.bookmarked(stream, interval, until=self.database.clock.time())
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


#: What happens beside a tree of which one below is left: it is not to be asked after again.
LEFT_ALONE = [
    *(("commit", {"c": 0, "d": 0}, False), ("commit", {"c": 2}, False)),
    *(("watch", "c", True, 0), ("turn", 4), ("commit", {"a": 0}, False)),
]


@given(schedules, stalls)
@example(LEFT_ALONE, [0])
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
