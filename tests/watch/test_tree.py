"""Following one execution, alone or with all below it."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from phaseline.app.changes import Entry, Resource, TreePage
from phaseline.app.ports import Slot
from phaseline.domain.errors import NotFound, OutOfRange, Unavailable
from phaseline.domain.execution import Content
from phaseline.domain.ids import Key
from phaseline.domain.payload import Payload
from phaseline.watch.cursor import Spot, TreeCursor
from phaseline.watch.shared import Sizes
from tests.support import guarantees
from tests.support.guarantees import Frame, Version
from tests.watch.serving import Process
from tests.watch.world import COMPLETED, FAILED, PENDING, RUNNING, WORKSPACE, Database, change

SECOND = timedelta(seconds=1)
UNDER_A = {"ancestor_execution_ids": ("a",)}
UNDER_B = {"ancestor_execution_ids": ("a", "b")}


def key(execution_id: str) -> Key:
    return Key(WORKSPACE, execution_id)


def told(stream: list[Frame]) -> list[list[str]]:
    """Return what each frame of changes says."""
    return [
        [f"{each.kind} {'/'.join(each.id)} {each.revision}" for each in frame.changes]
        for frame in stream
        if frame.changes
    ]


def log_of(database: Database, *ids: str) -> list[Version]:
    def is_watched(entry: Entry) -> bool:
        return entry.key.execution_id in ids

    return database.log(is_watched)


async def test_it_begins_with_the_execution_its_phases_and_its_operations() -> None:
    process = Process(Database())
    process.commit(change("a", phase_count=2, operations=range(2)))
    reader = process.watch("a")
    await process.settle()
    assert told(reader.stream) == [
        [
            "ADDED a 1",
            "ADDED a/p-0 1",
            "ADDED a/p-1 1",
            "ADDED a/p-0/1/o-0 1",
            "ADDED a/p-0/1/o-1 1",
        ]
    ]
    assert [frame.kind for frame in reader.stream] == ["opened", "change_set", "bookmark"]
    guarantees.synced(reader.stream)


async def test_it_goes_on_with_every_version_in_order() -> None:
    process = Process(Database())
    process.commit(change("a", phase_count=2))
    reader = process.watch("a")
    await process.settle()
    reader.is_slow = True
    for at in range(30):
        process.commit(change("a", RUNNING, phases=[at % 2], operations=[at % 7]), change("other"))
        await process.settle(2)
    reader.is_slow = False
    await process.settle()
    guarantees.every_version([reader.stream], log_of(process.database, "a"))
    guarantees.in_commit_order([reader.stream])
    guarantees.kinds_fit([reader.stream])
    assert not any(frame.folded for frame in reader.stream)


async def test_the_token_of_its_start_gives_the_whole_history() -> None:
    process = Process(Database())
    process.commit(change("other"))
    started = process.commit(change("a", phase_count=2))
    process.commit(change("a", RUNNING, phases=[0]))
    process.commit(change("a", COMPLETED, phases=[0, 1]))
    token = process.tokens.of_execution(key("a"), started.revision - 1)
    reader = process.watch("a", resume_token=token)
    await process.settle()
    log = log_of(process.database, "a")
    guarantees.every_version([reader.stream], log, after=started.revision - 1)
    guarantees.kinds_fit([reader.stream])
    guarantees.closing(reader.stream, "COMPLETED")


async def test_it_ends_after_the_last_version() -> None:
    process = Process(Database())
    process.commit(change("a"))
    reader = process.watch("a")
    await process.settle()
    process.commit(change("a", FAILED, phases=[0], operations=[0]))
    await process.settle()
    assert told(reader.stream)[-1] == [
        "MODIFIED a 2",
        "MODIFIED a/p-0 2",
        "ADDED a/p-0/1/o-0 2",
    ]
    guarantees.closing(reader.stream, "COMPLETED")
    guarantees.closes_after_the_last_version([reader.stream], ("a",))
    assert reader.is_over


async def test_a_terminal_one_gives_its_snapshot_and_ends() -> None:
    process = Process(Database())
    process.commit(change("a"))
    process.commit(change("a", COMPLETED))
    reader = process.watch("a")
    await process.settle()
    kinds = [frame.kind for frame in reader.stream]
    assert kinds == ["opened", "change_set", "bookmark", "closing"]
    guarantees.synced(reader.stream)
    guarantees.closing(reader.stream, "COMPLETED")


async def test_a_watch_resumed_behind_the_end_ends_at_once() -> None:
    process = Process(Database())
    process.commit(change("a"))
    process.commit(change("a", COMPLETED))
    first = process.watch("a")
    await process.settle()
    for frame in first.stream:
        resumed = process.watch("a", resume_token=frame.token)
        await process.settle()
        guarantees.closing(resumed.stream, "COMPLETED")
        guarantees.synced(resumed.stream)
        guarantees.unique([first.stream[:-1], resumed.stream] if frame.synced else [])


async def test_a_retry_is_seen_by_a_watch_that_is_behind_it() -> None:
    """It does not stop at the first end when the execution has gone on since."""
    process = Process(Database())
    process.commit(change("a"))
    process.commit(change("a", FAILED))
    process.commit(change("a", PENDING))
    reader = process.watch("a", resume_token=process.tokens.of_execution(key("a"), 1))
    await process.settle()
    assert told(reader.stream) == [["MODIFIED a 2", "MODIFIED a 3"]]
    assert not reader.is_over
    process.commit(change("a", COMPLETED))
    await process.settle()
    guarantees.closing(reader.stream, "COMPLETED")


async def test_one_that_does_not_exist_is_not_found() -> None:
    process = Process(Database())
    process.commit(change("a"), workspace_id="other")
    reader = process.watch("a")
    await process.settle()
    assert [frame.kind for frame in reader.stream] == ["opened"]
    assert isinstance(reader.error, NotFound)
    assert reader.error.reason == "EXECUTION_NOT_FOUND"


async def test_those_below_are_left_out_unless_asked_for() -> None:
    process = Process(Database())
    process.commit(change("a"), change("b", spec=UNDER_A))
    reader = process.watch("a")
    await process.settle()
    process.commit(change("b", RUNNING))
    process.commit(change("a", COMPLETED))
    await process.settle()
    assert told(reader.stream) == [["ADDED a 1", "ADDED a/p-0 1"], ["MODIFIED a 3"]]
    guarantees.closing(reader.stream, "COMPLETED")


async def test_those_below_are_told_also_those_to_come() -> None:
    process = Process(Database())
    process.commit(change("a"), change("b", spec=UNDER_A))
    reader = process.watch("a", descendants=True)
    await process.settle()
    process.commit(change("c", spec=UNDER_B), change("alone"))
    process.commit(change("c", RUNNING), change("b", RUNNING))
    await process.settle()
    guarantees.every_version([reader.stream], log_of(process.database, "a", "b", "c"))
    guarantees.kinds_fit([reader.stream])
    assert "alone" not in {each.id[0] for frame in reader.stream for each in frame.changes}


async def test_a_tree_can_be_watched_from_the_middle() -> None:
    process = Process(Database())
    process.commit(change("a"), change("b", spec=UNDER_A), change("c", spec=UNDER_B))
    process.commit(change("aa", spec=UNDER_A))
    reader = process.watch("b", descendants=True)
    await process.settle()
    process.commit(*(change(id, RUNNING) for id in ("a", "aa", "b", "c")))
    await process.settle()
    guarantees.every_version([reader.stream], log_of(process.database, "b", "c"))
    seen = {each.id[0] for frame in reader.stream for each in frame.changes}
    assert seen == {"b", "c"}


async def test_a_tree_ends_when_all_of_it_has() -> None:
    process = Process(Database())
    process.commit(change("a"), change("b", spec=UNDER_A), change("c", spec=UNDER_B))
    reader = process.watch("a", descendants=True)
    await process.settle()
    for id in ("a", "c"):
        process.commit(change(id, COMPLETED))
        await process.settle()
        assert not reader.is_over
    process.commit(change("b", FAILED))
    await process.settle()
    guarantees.closing(reader.stream, "COMPLETED")
    guarantees.every_version([reader.stream], log_of(process.database, "a", "b", "c"))


async def test_a_tree_that_has_ended_gives_its_snapshot_and_ends() -> None:
    process = Process(Database())
    process.commit(change("a", COMPLETED), change("b", COMPLETED, spec=UNDER_A))
    reader = process.watch("a", descendants=True)
    await process.settle()
    guarantees.synced(reader.stream)
    guarantees.closing(reader.stream, "COMPLETED")


async def test_the_end_of_a_tree_is_asked_for_only_when_something_happened() -> None:
    process = Process(Database())
    process.commit(change("a", COMPLETED), change("b", spec=UNDER_A))
    reader = process.watch("a", descendants=True, bookmark_interval=SECOND)
    await process.settle()
    before = process.database.reads
    for _ in range(5):
        await process.database.clock.advance(SECOND)
        await process.settle()
    assert not reader.is_over
    assert process.database.reads == before


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


class TestInFull:
    """With payloads, which are stored apart."""

    def process(self) -> Process:
        database = Database()
        process = Process(database, sizes=Sizes(full_page=2))
        database.contents[key("a")] = Content(task="survey", inputs={"repo": "x"})
        process.commit(change("a", phase_count=2, operations=[0]))
        return process

    async def test_a_snapshot_has_what_was_given_and_produced(self) -> None:
        process = self.process()
        process.commit(change("a", COMPLETED))
        output = Payload(data=b"done", media_type="text/plain")
        process.database.stored_outputs[Slot(key("a"), 1)] = output
        reader = process.watch("a", full=True)
        await process.settle()
        changes = reader.messages[1].frame.change_set.changes
        assert changes[0].execution.task == "survey"
        assert changes[0].execution.result.data == b"done"
        assert not changes[1].phase.HasField("output")
        assert changes[2].phase.output.data == b"done"
        assert changes[3].operation.input.data == b"in"

    async def test_each_version_has_what_it_produced(self) -> None:
        process = self.process()
        reader = process.watch("a", full=True)
        await process.settle()
        output = Payload(data=b"done", media_type="text/plain")
        process.database.stored_outputs[Slot(key("a"), 1)] = output
        commit = process.database.commit(change("a", COMPLETED, phases=[0, 1], operations=[1]))
        [entry] = commit.entries
        marked = replace(
            entry,
            parts=tuple(
                replace(part, has_payload=part.ordinal == 1 or at == 0)
                for at, part in enumerate(entry.parts)
            ),
        )
        process.signal.committed(replace(commit, entries=(marked,)))
        await process.settle()
        changes = reader.messages[-2].frame.change_set.changes
        assert changes[0].execution.task == "survey"
        assert changes[0].execution.result.data == b"done"
        assert not changes[1].phase.HasField("output")
        assert changes[2].phase.output.data == b"done"
        assert changes[3].operation.input.data == b"in"

    async def test_the_basic_view_has_none_of_it(self) -> None:
        process = self.process()
        reader = process.watch("a")
        await process.settle()
        changes = reader.messages[1].frame.change_set.changes
        assert not changes[0].execution.task
        assert not changes[-1].operation.HasField("input")

    async def test_nothing_is_missing_when_frames_are_small(self) -> None:
        process = self.process()
        for at in range(20):
            process.commit(change("a", RUNNING, phases=[0, 1], operations=[at]))
        small = Process(process.database, sizes=Sizes(full_page=2, frame=200))
        token = process.tokens.of_execution(key("a"), 0)
        for server in (process, small):
            reader = server.watch("a", full=True, resume_token=token)
            await server.settle(200)
            guarantees.resumable([reader.stream], log_of(process.database, "a"), after=0)


async def test_a_token_says_exactly_where_a_watch_is() -> None:
    process = Process(Database())
    process.commit(change("a"))
    reader = process.watch("a", bookmark_interval=SECOND)
    await process.settle()
    assert process.tokens.read_tree(reader.token, key("a"), False) == TreeCursor(1)
