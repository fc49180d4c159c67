"""Whom the signal wakes."""

import asyncio
from contextlib import ExitStack

import pytest
from structlog.testing import capture_logs

from phaseline.app.changes import Entry
from phaseline.app.queries import ExecutionFilter
from phaseline.domain.ids import Key
from phaseline.watch.bell import Waker
from phaseline.watch.scope import Scope
from phaseline.watch.signal import Signal
from phaseline.watch.tail import Tail
from phaseline.watch.waking import Pace
from tests.support.clock import turns
from tests.watch.world import COMPLETED, RUNNING, WORKSPACE, Change, Database, change


class Heard:
    """A signal, and who was woken by it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.signal = Signal(database.clock, Tail(database.head_revision), pace=Pace(least_rest=0))
        self.sleeps: dict[str, asyncio.Task[None]] = {}

    async def woken_by(self, *changes: Change) -> set[str]:
        """Commit, and return the names of those who are woken by it."""
        await turns()
        self.signal.committed(self.database.commit(*changes))
        await turns()
        return {name for name, sleep in self.sleeps.items() if sleep.done()}

    def sleeping(self, name: str) -> Waker:
        waker = Waker(self.database.clock)
        self.sleeps[name] = asyncio.create_task(waker.sleep())
        return waker


async def test_only_those_are_woken_whom_a_commit_concerns() -> None:
    heard = Heard(Database())
    signal, key = heard.signal, Key(WORKSPACE, "a")
    everything = Scope(WORKSPACE, ExecutionFilter())
    with (
        signal.execution_bell(key, heard.sleeping("a")),
        signal.execution_bell(Key(WORKSPACE, "b"), heard.sleeping("b")),
        signal.execution_bell(Key("other", "a"), heard.sleeping("a elsewhere")),
        signal.tree_bell(key, heard.sleeping("tree of a")),
        signal.scope_bell(everything, heard.sleeping("all")),
        signal.scope_bell(Scope("other", ExecutionFilter()), heard.sleeping("all elsewhere")),
    ):
        assert await heard.woken_by(change("a")) == {"a", "tree of a", "all"}


async def test_a_tree_is_concerned_by_all_that_is_below_it() -> None:
    heard = Heard(Database())
    leaf = change("leaf", spec={"ancestor_execution_ids": ("root", "middle")})
    with (
        heard.signal.tree_bell(Key(WORKSPACE, "root"), heard.sleeping("root")),
        heard.signal.tree_bell(Key(WORKSPACE, "middle"), heard.sleeping("middle")),
        heard.signal.tree_bell(Key(WORKSPACE, "other"), heard.sleeping("other")),
        heard.signal.execution_bell(Key(WORKSPACE, "root"), heard.sleeping("root alone")),
    ):
        assert await heard.woken_by(leaf) == {"root", "middle"}


async def test_a_filter_hears_of_what_comes_stays_and_leaves() -> None:
    heard = Heard(Database())
    running = Scope(WORKSPACE, ExecutionFilter(statuses=(RUNNING,)))

    async def is_woken_by(*changes: Change) -> bool:
        waker = heard.sleeping("running")
        with heard.signal.scope_bell(running, waker):
            woken = await heard.woken_by(*changes)
        heard.sleeps.pop("running").cancel()
        return bool(woken)

    assert not await is_woken_by(change("a"))
    assert await is_woken_by(change("a", RUNNING))
    assert await is_woken_by(change("a"))
    assert await is_woken_by(change("a", COMPLETED))
    assert not await is_woken_by(change("a"))


async def test_a_commit_elsewhere_wakes_all_since_it_may_be_theirs() -> None:
    heard = Heard(Database())
    with (
        heard.signal.execution_bell(Key(WORKSPACE, "a"), heard.sleeping("a")) as bell,
        heard.signal.tree_bell(Key(WORKSPACE, "b"), heard.sleeping("b")),
        heard.signal.scope_bell(Scope("other", ExecutionFilter()), heard.sleeping("all")),
    ):
        await turns()
        heard.signal.advance(5)
        await turns()
        assert all(sleep.done() for sleep in heard.sleeps.values())
        assert heard.signal.quiet_until(bell, 3) == 3, "what that was is not known"
    assert (heard.signal.head, heard.signal.tail.floor) == (5, 5)


async def test_a_commit_after_one_that_was_missed_wakes_all() -> None:
    database = Database()
    heard = Heard(database)
    database.commit(change("a"))
    with heard.signal.execution_bell(Key(WORKSPACE, "a"), heard.sleeping("a")):
        assert await heard.woken_by(change("b")) == {"a"}
    assert heard.signal.tail.floor == 1


async def test_what_is_known_is_heard_once() -> None:
    database = Database()
    heard = Heard(database)
    commit = database.commit(change("a"))
    heard.signal.committed(commit)
    await turns()
    with heard.signal.execution_bell(Key(WORKSPACE, "a"), heard.sleeping("a")):
        heard.signal.committed(commit)
        heard.signal.advance(1)
        await turns()
        assert not heard.sleeps["a"].done()
    heard.sleeps["a"].cancel()


async def test_who_waits_for_a_change_hears_of_the_next_one_only() -> None:
    database = Database()
    signal = Heard(database).signal
    key = Key(WORKSPACE, "a")
    signal.committed(database.commit(change("a")))
    waiting = asyncio.create_task(signal.changed(key, after=1))
    await turns()
    signal.committed(database.commit(change("b")))
    await turns()
    assert not waiting.done()
    signal.committed(database.commit(change("a")))
    await turns()
    assert waiting.done()


async def test_who_waits_for_a_change_that_has_happened_does_not_wait() -> None:
    database = Database()
    signal = Heard(database).signal
    signal.committed(database.commit(change("a")))
    await asyncio.wait_for(signal.changed(Key(WORKSPACE, "a"), after=0), 1)


async def test_who_waits_since_before_the_tail_is_sent_to_look_again() -> None:
    database = Database()
    database.commit(change("a"))
    signal = Heard(database).signal
    await asyncio.wait_for(signal.changed(Key(WORKSPACE, "a"), after=0), 1)


async def test_a_change_elsewhere_ends_the_wait() -> None:
    database = Database()
    signal = Heard(database).signal
    waiting = asyncio.create_task(signal.changed(Key(WORKSPACE, "a"), after=0))
    await turns()
    signal.advance(3)
    await turns()
    assert waiting.done()


async def test_who_waits_for_an_answer_does_not_wait_behind_watchers() -> None:
    database = Database()
    heard = Heard(database)
    key = Key(WORKSPACE, "a")
    with ExitStack() as watching:
        for at in range(100):
            watching.enter_context(heard.signal.execution_bell(key, heard.sleeping(f"{at}")))
        await turns()
        waiting = asyncio.create_task(heard.signal.changed(key, after=0))
        await turns(2)
        heard.signal.committed(database.commit(change("a")))
        await turns(3)
        assert waiting.done()
        assert not all(sleep.done() for sleep in heard.sleeps.values())
        await turns()
        assert all(sleep.done() for sleep in heard.sleeps.values())


async def test_nothing_is_kept_of_a_wait_that_was_given_up() -> None:
    database = Database()
    signal = Heard(database).signal
    key = Key(WORKSPACE, "a")
    first, second = (asyncio.create_task(signal.changed(key, after=0)) for _ in range(2))
    await turns()
    first.cancel()
    await turns()
    signal.committed(database.commit(change("a")))
    await turns()
    assert (first.cancelled(), second.done()) == (True, True)


async def test_the_writer_is_not_held_up_by_those_who_are_woken() -> None:
    """They run once the writer has answered whose commit it is."""
    database = Database()
    heard = Heard(database)
    with heard.signal.execution_bell(Key(WORKSPACE, "a"), heard.sleeping("a")):
        await turns()
        heard.signal.committed(database.commit(change("a")))
        assert not heard.sleeps["a"].done()
        await turns()
        assert heard.sleeps["a"].done()


async def test_nothing_is_kept_for_those_who_left() -> None:
    heard = Heard(Database())
    signal, key = heard.signal, Key(WORKSPACE, "a")
    scope = Scope(WORKSPACE, ExecutionFilter())
    for ring in (signal.execution_bell, signal.tree_bell):
        with ring(key, heard.sleeping("a")) as first, ring(key, heard.sleeping("b")) as second:
            assert first is second
        with ring(key, heard.sleeping("c")) as third:
            assert third is not first
    with signal.scope_bell(scope, heard.sleeping("d")) as fourth:
        pass
    with signal.scope_bell(scope, heard.sleeping("e")) as fifth:
        assert fifth is not fourth
    for sleep in heard.sleeps.values():
        sleep.cancel()


async def test_what_cannot_be_told_apart_concerns_everybody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heard = Heard(Database())

    def broken(scope: Scope, entry: Entry) -> bool:
        raise RuntimeError("a defect")

    monkeypatch.setattr(Scope, "concerns", broken)
    everything = Scope(WORKSPACE, ExecutionFilter())
    with (
        heard.signal.scope_bell(everything, heard.sleeping("all")) as bell,
        heard.signal.execution_bell(Key(WORKSPACE, "b"), heard.sleeping("b")),
    ):
        after = heard.signal.head
        with capture_logs() as logged:
            assert await heard.woken_by(change("a")) == {"all", "b"}
        assert [line["event"] for line in logged] == ["announcement broke"]
        assert heard.signal.quiet_until(bell, after) == after, "nobody skips it unseen"
