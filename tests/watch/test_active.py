"""Following the active executions."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from phaseline.app.changes import ActivePage, Folded
from phaseline.app.queries import ExecutionFilter
from phaseline.domain.errors import OutOfRange, Unavailable
from phaseline.watch.active import ActiveFollower
from phaseline.watch.bell import Waker
from phaseline.watch.cursor import ActiveCursor
from phaseline.watch.scope import Scope
from phaseline.watch.shared import Sizes
from tests.support import guarantees
from tests.watch.serving import CALLER, Process, Reader, told
from tests.watch.world import COMPLETED, PAUSED, RUNNING, SECOND, WORKSPACE, Database, change

ALL = Scope(WORKSPACE, ExecutionFilter())


def token_at(process: Process, revision: int, scope: Scope = ALL) -> str:
    return process.tokens.of_active(scope, ActiveCursor(revision))


async def test_it_begins_with_what_is_active_and_goes_on_with_what_happens() -> None:
    process = Process(Database())
    process.commit(change("a"), change("b"))
    process.commit(change("b", COMPLETED))
    reader = process.watch_active()
    await process.settle()
    process.commit(change("c"))
    await process.settle()
    process.commit(change("a", RUNNING))
    await process.settle()
    process.commit(change("a", COMPLETED))
    await process.settle()
    assert told(reader.stream) == [
        ["ADDED a 1"],
        ["ADDED c 3"],
        ["MODIFIED a 4"],
        ["REMOVED a 5"],
    ]
    assert [frame.kind for frame in reader.stream[:3]] == ["opened", "change_set", "bookmark"]
    guarantees.synced(reader.stream)


async def test_nothing_active_is_synced_at_once() -> None:
    process = Process(Database())
    reader = process.watch_active()
    await process.settle()
    assert [(frame.kind, frame.synced) for frame in reader.stream] == [
        ("opened", False),
        ("bookmark", True),
    ]


async def test_a_watch_sees_its_own_workspace_only() -> None:
    process = Process(Database())
    process.commit(change("a"), workspace_id="other")
    reader = process.watch_active()
    await process.settle()
    process.commit(change("a", RUNNING), workspace_id="other")
    await process.settle()
    assert told(reader.stream) == []


async def test_a_slow_reader_gets_the_newest_version_of_each_and_how_many_it_missed() -> None:
    process = Process(Database())
    process.commit(change("a"), change("b"))
    reader = process.watch_active(resume_token=token_at(process, 1))
    await process.settle()
    reader.is_slow = True
    for status in (RUNNING, PAUSED, RUNNING):
        process.commit(change("a", status))
        await process.settle()
    process.commit(change("b", COMPLETED))
    process.commit(change("c"))
    process.commit(change("c", COMPLETED))
    await process.settle()
    reader.is_slow = False
    await process.settle()
    # The first was on its way when the reader stopped.
    assert told(reader.stream) == [
        ["MODIFIED a 2"],
        ["MODIFIED a 4", "REMOVED b 5", "REMOVED c 7"],
    ]
    assert [frame.folded for frame in reader.stream if frame.changes] == [0, 2]
    guarantees.counted([reader.stream], process.database.log_of(ALL), after=1)


async def test_a_reader_that_is_far_behind_gets_the_newest_versions_from_the_log() -> None:
    process = Process(Database(), max_revisions=2)
    process.commit(change("a"), change("b"))
    for _ in range(10):
        process.commit(change("a", RUNNING))
        process.commit(change("b", RUNNING))
    reader = process.watch_active(resume_token=token_at(process, 1))
    await process.settle()
    assert told(reader.stream) == [["MODIFIED a 20", "MODIFIED b 21"]]
    guarantees.counted([reader.stream], process.database.log_of(ALL), after=1)


async def test_a_commit_larger_than_a_frame_is_cut_and_resumed() -> None:
    process = Process(Database(), sizes=Sizes(changes=2))
    process.commit(*(change(f"e-{at}") for at in range(5)))
    reader = process.watch_active(resume_token=token_at(process, 0))
    await process.settle()
    assert [len(frame.changes) for frame in reader.stream if frame.changes] == [2, 2, 1]
    for at, frame in enumerate(reader.stream):
        resumed = process.watch_active(resume_token=frame.token)
        await process.settle()
        guarantees.newest_versions(
            [reader.stream[: at + 1], resumed.stream], process.database.log_of(ALL), after=0
        )
        guarantees.unique([reader.stream[: at + 1], resumed.stream])


async def test_what_is_left_of_a_round_is_seen_from_where_it_began() -> None:
    """Else the reader is told MODIFIED of what it never had."""
    process = Process(Database(), sizes=Sizes(changes=1))
    process.commit(change("a"))
    process.commit(change("b"))
    process.commit(change("a", RUNNING))
    reader = process.watch_active(resume_token=token_at(process, 0))
    await process.settle()
    assert told(reader.stream) == [["ADDED b 2"], ["ADDED a 3"]]


async def test_the_log_is_read_page_by_page() -> None:
    process = Process(Database(), max_revisions=2, sizes=Sizes(log_page=3, changes=4))
    for at in range(10):
        process.commit(change(f"e-{at}"))
    reader = process.watch_active(resume_token=token_at(process, 0))
    await process.settle()
    assert [each for frame in told(reader.stream) for each in frame] == [
        f"ADDED e-{at} {at + 1}" for at in range(10)
    ]


async def test_looking_at_much_for_nothing_leaves_room_for_others() -> None:
    process = Process(Database(), sizes=Sizes(look=4))
    scope = Scope(WORKSPACE, ExecutionFilter(batch_id="mine"))
    for at in range(10):
        process.commit(change(f"e-{at}"))
    await process.settle()
    with process.signal.scope_bell(scope, Waker(process.database.clock)) as bell:
        follower = ActiveFollower(process.shared, scope, ActiveCursor(0), bell, timedelta())
        assert [await follower.step() for _ in range(4)] == [b"", b"", b"", None]


async def test_a_read_that_shows_less_than_was_sent_ends_the_stream() -> None:
    class Behind(Database):
        async def active_page(self, *args: Any, **kwargs: Any) -> ActivePage:
            page = await super().active_page(*args, **kwargs)
            return replace(page, revision=1)

    process = Process(Behind())
    process.commit(change("a"), change("b"))
    process.commit(change("a", RUNNING))
    token = process.tokens.of_active(ALL, ActiveCursor(2, "a"))
    reader = process.watch_active(resume_token=token)
    await process.settle()
    assert told(reader.stream) == []
    assert isinstance(reader.error, Unavailable)


async def test_a_frame_takes_no_more_bytes_than_a_client() -> None:
    process = Process(Database(), sizes=Sizes(frame=300))
    process.commit(*(change(f"e-{at}") for at in range(6)))
    from_snapshot = process.watch_active()
    from_log = process.watch_active(resume_token=token_at(process, 0))
    await process.settle()
    for reader in (from_snapshot, from_log):
        assert sum(len(frame.changes) for frame in reader.stream) == 6
        assert max(frame.size for frame in reader.stream) < 300 + 100


async def test_a_snapshot_is_right_at_every_moment_though_it_is_read_in_pages() -> None:
    """What was sent changes between two pages, and what was not sent is gone or has come."""
    process = Process(Database(), sizes=Sizes(changes=2))
    process.commit(*(change(id) for id in "abcdef"))
    reader = process.watch_active()
    while not reader.stream or not reader.stream[-1].changes:
        await process.settle(1)
    reader.is_slow = True
    await process.settle()
    # Two pages are sent or on their way: a and b, c and d.
    process.commit(*(change(id, RUNNING) for id in "adf"), change("e", COMPLETED))
    process.commit(change("b", COMPLETED), change("aa"), change("g"))
    reader.is_slow = False
    await process.settle()
    guarantees.kinds_fit([reader.stream])
    guarantees.unique([reader.stream])
    guarantees.newest_versions([reader.stream], process.database.log_of(ALL), after=3)
    seen = {each for frame in told(reader.stream) for each in frame}
    assert {
        "MODIFIED a 2",
        "MODIFIED d 2",
        "REMOVED b 3",
        "ADDED aa 3",
        "ADDED f 2",
        "ADDED g 3",
    } <= seen
    assert not any(" e " in each for each in seen)


async def test_a_snapshot_goes_on_where_it_was_cut_on_another_process() -> None:
    database = Database()
    process = Process(database, sizes=Sizes(changes=1))
    process.commit(*(change(id) for id in "abcd"))
    reader = process.watch_active()
    while len(told(reader.stream)) < 2:
        await process.settle(1)
    await process.close()
    process.commit(change("a", RUNNING), change("d", COMPLETED))
    other = Process(database, sizes=Sizes(changes=1))
    resumed = other.watch_active(resume_token=reader.token)
    await other.settle()
    assert told(reader.stream) == [["ADDED a 1"], ["ADDED b 1"]]
    assert told(resumed.stream) == [["MODIFIED a 2"], ["ADDED c 1"]]
    guarantees.synced(resumed.stream)


async def test_watchers_that_open_together_do_not_each_read_the_snapshot() -> None:
    process = Process(Database())
    process.commit(*(change(f"e-{at}") for at in range(5)))
    readers = [process.watch_active() for _ in range(20)]
    await process.settle()
    # As many as may read at the same time; each pauses twice.
    assert process.database.reads == 2 * process.shared.terms.readers
    assert {tuple(map(tuple, told(reader.stream))) for reader in readers} == {
        (tuple(f"ADDED e-{at} 1" for at in range(5)),)
    }


async def test_a_snapshot_that_is_shared_is_followed_by_what_came_since() -> None:
    process = Process(Database())
    process.commit(change("a"))
    process.watch_active()
    await process.settle()
    process.commit(change("a", RUNNING))
    late = process.watch_active()
    await process.settle()
    assert told(late.stream) == [["ADDED a 1"], ["MODIFIED a 2"]]
    synced = next(at for at, frame in enumerate(late.stream) if frame.synced)
    assert synced == 3, "only behind what existed when it was opened"
    await process.database.clock.advance(2 * SECOND)
    fresh = process.watch_active()
    await process.settle()
    assert told(fresh.stream) == [["ADDED a 2"]]


async def test_a_shared_piece_that_is_behind_a_watcher_is_not_used() -> None:
    process = Process(Database(), sizes=Sizes(changes=1))
    process.commit(change("a"), change("b"))
    process.watch_active()
    await process.settle()
    process.commit(change("a", RUNNING), change("b", RUNNING))
    token = process.tokens.of_active(ALL, ActiveCursor(2, "a"))
    resumed = process.watch_active(resume_token=token)
    await process.settle()
    assert told(resumed.stream) == [["ADDED b 2"]]


async def test_a_shared_piece_that_is_behind_memory_is_not_used() -> None:
    """The log would have to be read for what came since."""
    process = Process(Database(), max_revisions=2)
    process.commit(change("a"))
    process.watch_active()
    await process.settle()
    for _ in range(5):
        process.commit(change("a", RUNNING))
    late = process.watch_active()
    await process.settle()
    assert told(late.stream) == [["ADDED a 6"]]


async def test_watchers_at_the_same_place_share_the_bytes_of_a_frame() -> None:
    process = Process(Database())
    watches = [process.watching.watch_active(CALLER, ExecutionFilter()) for _ in range(2)]
    for watch in watches:
        for _ in range(2):
            await anext(watch)
    process.commit(change("a"))
    first, second = [await anext(watch) for watch in watches]
    assert first is second
    for watch in watches:
        await watch.aclose()


async def test_a_filtered_watch_is_not_woken_by_what_is_not_for_it() -> None:
    """And it reads nothing, and its token moves on all the same."""
    scope = Scope(WORKSPACE, ExecutionFilter(batch_id="mine"))
    process = Process(Database(), max_revisions=4)
    reader = process.watch_active(scope.matching, bookmark_interval=SECOND)
    await process.settle()
    before, synced = process.database.reads, reader.stream[-1]
    for at in range(20):
        process.commit(change(f"e-{at}"))
    await process.settle()
    assert reader.stream[-1] is synced
    await process.database.clock.advance(SECOND)
    await process.settle()
    guarantees.moved_on(synced, reader.stream[-1])
    assert process.tokens.read_active(reader.token, scope).after == 20
    assert process.database.reads == before


async def test_a_token_over_foreign_changes_only_is_caught_up_in_one_step() -> None:
    """It would else look at them again and again."""
    process = Process(Database())
    for _ in range(3):
        process.commit(change("a"), workspace_id="other")
    reader = process.watch_active(resume_token=token_at(process, 0), bookmark_interval=SECOND)
    await process.settle()
    assert [frame.synced for frame in reader.stream] == [False, True]
    assert process.tokens.read_active(reader.token, ALL).after == 3


async def test_bursts_of_news_are_apart_by_the_interval_that_was_asked_for() -> None:
    process = Process(Database(), sizes=Sizes(changes=2))
    clock = process.database.clock
    process.commit(*(change(id) for id in "abc"))
    reader = process.watch_active(min_interval=10 * SECOND)
    await process.settle()
    assert len(told(reader.stream)) == 2, "the snapshot is not held back"
    process.commit(*(change(id, RUNNING) for id in "abc"))
    await process.settle()
    assert len(told(reader.stream)) == 4, "nor is what does not fit a frame"
    process.commit(change("a", PAUSED))
    process.commit(change("a", RUNNING))
    for _ in range(9):
        await clock.advance(SECOND)
        await process.settle()
        assert len(told(reader.stream)) == 4
    await clock.advance(SECOND)
    await process.settle()
    assert told(reader.stream)[4:] == [["MODIFIED a 4"]]
    guarantees.bookmarked(reader.stream, 15 * SECOND, until=clock.time())


async def test_an_interval_leaves_bookmarks_alone() -> None:
    process = Process(Database())
    clock = process.database.clock
    process.commit(change("a"))
    reader = process.watch_active(min_interval=30 * SECOND, bookmark_interval=SECOND)
    await process.settle()
    process.commit(change("a", RUNNING))
    await process.settle()
    process.commit(change("a", PAUSED))
    for _ in range(40):
        await clock.advance(SECOND)
        await process.settle()
    guarantees.bookmarked(reader.stream, SECOND, until=clock.time())
    assert told(reader.stream) == [["ADDED a 1"], ["MODIFIED a 2"], ["MODIFIED a 3"]]


async def test_a_token_of_what_is_no_longer_kept_is_refused() -> None:
    process = Process(Database(), max_revisions=2)
    for _ in range(10):
        process.commit(change("a"))
    process.database.trim(5)
    for after in range(10):
        reader = process.watch_active(resume_token=token_at(process, after))
        await process.settle()
        guarantees.trimmed(reader.error, after=after, oldest=6)


async def test_a_reader_that_trimming_overtakes_is_told_so() -> None:
    process = Process(Database(), max_revisions=2)
    process.commit(change("a"))
    reader = process.watch_active(resume_token=token_at(process, 1))
    await process.settle()
    reader.is_slow = True
    process.commit(change("a", RUNNING))
    await process.settle()
    for _ in range(8):
        process.commit(change("a"))
    process.database.trim(6)
    reader.is_slow = False
    await process.settle()
    assert told(reader.stream) == [["MODIFIED a 2"]]
    assert isinstance(reader.error, OutOfRange)
    guarantees.trimmed(reader.error, after=2, oldest=7)


async def test_what_is_trimmed_while_it_is_read_is_missed_by_nobody() -> None:
    class TrimmedMeanwhile(Database):
        async def folded(self, *args: Any, **kwargs: Any) -> Sequence[Folded]:
            self.trim(6)
            return await super().folded(*args, **kwargs)

    process = Process(TrimmedMeanwhile(), max_revisions=2)
    for at in range(10):
        process.commit(change(f"e-{at}"))
    reader = process.watch_active(resume_token=token_at(process, 2))
    await process.settle()
    assert told(reader.stream) == []
    guarantees.trimmed(reader.error, after=2, oldest=7)


async def test_memory_is_enough_where_the_log_is_trimmed() -> None:
    process = Process(Database())
    for _ in range(5):
        process.commit(change("a", RUNNING))
    process.database.trim(5)
    reader = process.watch_active(resume_token=token_at(process, 2))
    await process.settle()
    assert told(reader.stream) == [["MODIFIED a 5"]]


@pytest.mark.parametrize("elsewhere", [True, False])
async def test_commits_of_another_process_are_seen(elsewhere: bool) -> None:
    process = Process(Database())
    process.commit(change("a"))
    reader = process.watch_active()
    await process.settle()
    process.database.commit(change("a", RUNNING))
    if elsewhere:
        process.signal.advance(2)
    process.commit(change("b"))
    await process.settle()
    assert told(reader.stream)[1:] in (
        [["MODIFIED a 2", "ADDED b 3"]],
        [["MODIFIED a 2"], ["ADDED b 3"]],
    )


async def test_a_slow_reader_holds_up_nobody_and_holds_one_frame() -> None:
    process = Process(Database())
    fast, slow = process.watch_active(), process.watch_active()
    await process.settle()
    slow.is_slow = True
    for at in range(50):
        process.commit(change(f"e-{at}"))
        await process.settle(5)
    assert len(_ids(fast)) == 50
    assert len(_ids(slow)) == 0
    slow.is_slow = False
    await process.settle()
    assert [len(frame) for frame in told(slow.stream)] == [1, 49]


def _ids(reader: Reader) -> set[str]:
    return {each.id[0] for frame in reader.stream for each in frame.changes}
