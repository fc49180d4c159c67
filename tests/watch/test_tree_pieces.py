"""How what one watch is told is cut, read and shared."""

from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from phaseline.app.changes import Entry, Resource, TreePage
from phaseline.domain.errors import OutOfRange, Unavailable
from phaseline.watch.cursor import Spot, TreeCursor
from phaseline.watch.shared import Sizes
from tests.support import guarantees
from tests.support.guarantees import Frame
from tests.watch.serving import Process, told
from tests.watch.world import RUNNING, SECOND, UNDER_A, Database, change, key, log_of


async def test_a_commit_larger_than_a_frame_is_cut_and_resumed_anywhere() -> None:
    database = Database()
    process = Process(database, sizes=Sizes(changes=2))
    process.commit(change("b", phase_count=2), change("a", phase_count=2), change("0"))
    process.commit(
        change("b", RUNNING, phases=[0, 1], operations=range(3)),
        change("0", spec={}),
        change("a", RUNNING, phases=[1], operations=range(2)),
    )
    token = process.tokens.of_execution(key("b"), 0)
    reader = process.watch("b", resume_token=token)
    await process.settle()
    log = log_of(database, "b")
    assert len(told(reader.stream)) == 5
    for at, frame in enumerate(reader.stream):
        resumed = process.watch("b", resume_token=frame.token)
        await process.settle()
        guarantees.resumable([reader.stream[: at + 1], resumed.stream], log, after=0)


async def test_a_commit_to_a_tree_is_cut_between_its_executions_too() -> None:
    for changes in (1, 2, 3):
        process = Process(Database(), sizes=Sizes(changes=changes))
        process.commit(change("a"), change("z", spec=UNDER_A), change("0", spec=UNDER_A))
        process.commit(*(change(id, RUNNING, phases=[0]) for id in ("z", "a", "0")))
        token = process.tokens.of_execution(key("a"), 0)
        reader = process.watch("a", descendants=True, resume_token=token)
        await process.settle()
        log = log_of(process.database, "a", "z", "0")
        for at, frame in enumerate(reader.stream):
            resumed = process.watch("a", descendants=True, resume_token=frame.token)
            await process.settle()
            guarantees.resumable([reader.stream[: at + 1], resumed.stream], log, after=0)


@pytest.mark.parametrize("changes", [1, 2, 5])
async def test_a_snapshot_is_cut_and_resumed_anywhere(changes: int) -> None:
    """On another process, and while what was sent and what was not sent goes on changing."""
    database = Database()
    sizes = Sizes(changes=changes, executions=2, operations=2)
    process = Process(database, sizes=sizes)
    process.commit(change("a", phase_count=2, operations=range(5)))
    process.commit(*(change(id, spec=UNDER_A, operations=range(3)) for id in ("b", "0", "z")))
    history: list[list[Frame]] = []
    token = ""
    for at in range(100):
        process = Process(database, sizes=sizes)
        reader = process.watch("a", descendants=True, resume_token=token)
        while len(reader.stream) < 3 and not any(frame.synced for frame in reader.stream):
            await process.settle(1)
        await process.close()
        history.append(reader.stream)
        token = reader.token
        if any(frame.synced for frame in reader.stream):
            break
        # Operations that the snapshot has sent, and some that it has not, and new ones.
        database.commit(change("a", RUNNING, phases=[at % 2], operations=[at % 6]))
        database.commit(change("0", operations=[3 + at % 3]), change("z", RUNNING))
    assert any(frame.synced for frame in history[-1])
    guarantees.resumable(history, log_of(database, "a", "b", "0", "z"))
    guarantees.kinds_fit(history)


async def test_a_piece_that_is_read_later_is_preceded_by_what_changed_meanwhile() -> None:
    process = Process(Database(), sizes=Sizes(changes=1, operations=2))
    process.commit(change("a", operations=range(4)))
    reader = process.watch("a")
    while len(told(reader.stream)) < 3:
        await process.settle(1)
    # Of the operations the first was sent, the second perhaps, and the others not.
    process.commit(change("a", RUNNING, operations=[0, 3]))
    await process.settle()
    guarantees.resumable([reader.stream], log_of(process.database, "a"))
    seen = [each for frame in told(reader.stream) for each in frame]
    assert "MODIFIED a/p-0/1/o-0 2" in seen
    assert "ADDED a/p-0/1/o-3 2" in seen


async def test_a_read_that_shows_less_than_was_sent_ends_the_stream() -> None:
    class Behind(Database):
        async def execution_page(self, *args: Any, **kwargs: Any) -> TreePage | None:
            page = await super().execution_page(*args, **kwargs)
            return None if page is None else replace(page, revision=1)

    process = Process(Behind())
    process.commit(change("a", operations=range(4)))
    process.commit(change("a", RUNNING))
    spot = Spot("", Resource.OPERATION, 1)
    token = process.tokens.of_tree(key("a"), False, TreeCursor(2, spot))
    reader = process.watch("a", resume_token=token)
    await process.settle()
    assert told(reader.stream) == []
    assert isinstance(reader.error, Unavailable)


async def test_a_snapshot_that_is_shared_is_followed_by_what_came_since() -> None:
    process = Process(Database())
    process.commit(change("a"))
    process.watch("a")
    await process.settle()
    process.commit(change("a", RUNNING))
    late = process.watch("a")
    await process.settle()
    assert told(late.stream) == [["ADDED a 1", "ADDED a/p-0 1"], ["MODIFIED a 2"]]
    assert [frame.synced for frame in late.stream] == [False, False, False, True]


async def test_a_shared_piece_that_is_behind_a_watcher_is_not_used() -> None:
    process = Process(Database(), sizes=Sizes(changes=1))
    process.commit(change("a"))
    process.watch("a")
    await process.settle()
    process.commit(change("a", RUNNING, phases=[0]))
    token = process.tokens.of_tree(key("a"), False, TreeCursor(2, Spot("", Resource.EXECUTION)))
    resumed = process.watch("a", resume_token=token)
    await process.settle()
    assert told(resumed.stream) == [["ADDED a/p-0 2"]]


@pytest.mark.parametrize(
    ("changes", "frames"), [(7, [7, 7, 7, 7, 4]), (100, [12, 10, 10]), (12, [12, 10, 10])]
)
async def test_many_operations_are_read_in_pieces(changes: int, frames: list[int]) -> None:
    process = Process(Database(), sizes=Sizes(operations=10, changes=changes))
    process.commit(change("a", operations=range(30)))
    reader = process.watch("a")
    await process.settle()
    assert [len(frame.changes) for frame in reader.stream if frame.changes] == frames
    guarantees.every_version([reader.stream], log_of(process.database, "a"))
    guarantees.synced(reader.stream)


async def test_one_that_lags_behind_memory_reads_the_log() -> None:
    process = Process(Database(), max_revisions=4, sizes=Sizes(log_page=5))
    process.commit(change("a"))
    reader = process.watch("a", resume_token=process.tokens.of_execution(key("a"), 0))
    for at in range(40):
        process.commit(change("a", RUNNING, phases=[0], operations=[at]))
    await process.settle()
    guarantees.resumable([reader.stream], log_of(process.database, "a"), after=0)
    assert sum(1 for frame in reader.stream if frame.changes) < 20, "many versions share a frame"


@pytest.mark.parametrize("max_revisions", [1, 100])
async def test_nothing_is_encoded_twice_however_large_a_commit_is(max_revisions: int) -> None:
    """To make all frames of some commits for each of them took hours for 100,000 changes."""
    process = Process(Database(), max_revisions=max_revisions, sizes=Sizes(changes=5))
    for at in range(4):
        process.commit(change("a", RUNNING, operations=range(at * 50, at * 50 + 50)))
    encoded = 0
    change_of = process.shared.codec.change

    def counting(*args: Any, **kwargs: Any) -> bytes:
        nonlocal encoded
        encoded += 1
        return change_of(*args, **kwargs)

    process.shared.codec.change = counting  # type: ignore[method-assign]
    reader = process.watch("a", resume_token=process.tokens.of_execution(key("a"), 0))
    await process.settle()
    log = log_of(process.database, "a")
    guarantees.resumable([reader.stream], log, after=0)
    # A frame ends with the change that does not fit any more, which is made again for the next.
    assert encoded <= len(log) + len(reader.stream)


async def test_a_page_of_the_log_is_as_long_as_its_entries_are_short() -> None:
    asked: list[int] = []

    class Asked(Database):
        async def entries_of(self, *args: Any, limit: int, **kwargs: Any) -> Sequence[Entry]:
            asked.append(limit)
            return await super().entries_of(*args, limit=limit, **kwargs)

    process = Process(Asked(), max_revisions=1, sizes=Sizes(log_page=64, log_parts=200))
    for at in range(100):
        process.commit(change("a", RUNNING, operations=[at]))
    for _ in range(20):
        process.commit(change("a", RUNNING, operations=range(100)))
    reader = process.watch("a", resume_token=process.tokens.of_execution(key("a"), 0))
    await process.settle()
    guarantees.resumable([reader.stream], log_of(process.database, "a"), after=0)
    assert max(asked) == 64
    assert asked[-1] < 10


async def test_those_who_catch_up_together_share_what_was_read() -> None:
    process = Process(Database(), max_revisions=4)
    for at in range(40):
        process.commit(change("a", RUNNING, operations=[at]))
    token = process.tokens.of_execution(key("a"), 0)
    first = process.watch("a", resume_token=token)
    await process.settle()
    alone = process.database.reads
    others = [process.watch("a", resume_token=token) for _ in range(10)]
    await process.settle()
    assert all(told(other.stream) == told(first.stream) for other in others)
    # Each looks up the execution, which pauses twice.
    assert process.database.reads == alone + 20


async def test_a_reader_that_trimming_overtakes_is_told_so() -> None:
    process = Process(Database(), max_revisions=2)
    process.commit(change("a"))
    reader = process.watch("a")
    await process.settle()
    reader.is_slow = True
    process.commit(change("a", RUNNING))
    await process.settle()
    for _ in range(8):
        process.commit(change("a"))
    process.database.trim(6)
    reader.is_slow = False
    await process.settle()
    assert isinstance(reader.error, OutOfRange)
    guarantees.trimmed(reader.error, after=2, oldest=7)


async def test_a_watch_is_not_woken_by_other_executions() -> None:
    """And it reads nothing, and its token moves on all the same."""
    process = Process(Database(), max_revisions=4)
    process.commit(change("a"))
    reader = process.watch("a", bookmark_interval=SECOND)
    await process.settle()
    before, synced = process.database.reads, reader.stream[-1]
    for at in range(20):
        process.commit(change(f"e-{at}"))
    await process.settle()
    assert reader.stream[-1] is synced
    await process.database.clock.advance(SECOND)
    await process.settle()
    guarantees.moved_on(synced, reader.stream[-1])
    assert process.tokens.read_tree(reader.token, key("a"), False).after == 21
    assert process.database.reads == before


async def test_all_below_are_in_the_snapshot_however_many_there_are() -> None:
    process = Process(Database(), sizes=Sizes(executions=2))
    process.commit(change("a"), *(change(f"b-{at}", spec=UNDER_A) for at in range(5)))
    reader = process.watch("a", descendants=True)
    await process.settle()
    assert [len(frame.changes) for frame in reader.stream if frame.changes] == [2, 4, 4, 2]


async def test_a_frame_takes_no_more_bytes_than_a_client() -> None:
    process = Process(Database(), sizes=Sizes(frame=300))
    for at in range(10):
        process.commit(change("a", RUNNING, phases=[0], operations=[at]))
    from_snapshot = process.watch("a")
    from_log = process.watch("a", resume_token=process.tokens.of_execution(key("a"), 0))
    await process.settle()
    for reader in (from_snapshot, from_log):
        assert max(frame.size for frame in reader.stream) < 300 + 100


async def test_what_was_read_from_the_log_is_used_while_others_commit() -> None:
    process = Process(Database(), max_revisions=1)
    for at in range(10):
        process.commit(change("a", RUNNING, operations=range(at * 30, at * 30 + 30)))
    reader = process.watch("a", resume_token=process.tokens.of_execution(key("a"), 0))
    for at in range(40):
        process.commit(change(f"other-{at}"))
        await process.settle(1)
    await process.settle()
    guarantees.resumable([reader.stream], log_of(process.database, "a"), after=0)
    # The status, one page of the log with what is trimmed, and the look for more of it.
    assert process.database.reads <= 2 + 3 + 3


async def test_a_deleted_child_does_not_stop_a_snapshot() -> None:
    process = Process(Database(), sizes=Sizes(changes=1))
    process.commit(change("a"), change("b", spec=UNDER_A), change("c", spec=UNDER_A))
    reader = process.watch("a", descendants=True)
    while not any(each.id[0] == "b" for frame in reader.stream for each in frame.changes):
        await process.settle(1)
    del process.database.executions[key("b")]
    await process.settle()
    assert told(reader.stream)[-2:] == [["ADDED c 1"], ["ADDED c/p-0 1"]]
    guarantees.synced(reader.stream)
