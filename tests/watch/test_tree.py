"""Following one execution, alone or with all below it."""

import pytest
from msgspec.structs import replace

from phaseline.app.ports import Slot
from phaseline.domain.errors import NotFound
from phaseline.domain.execution import Content
from phaseline.domain.payload import Payload
from phaseline.watch.cursor import TreeCursor
from phaseline.watch.shared import Sizes
from tests.support import guarantees
from tests.watch.serving import Process, told
from tests.watch.world import (
    COMPLETED,
    FAILED,
    PENDING,
    RUNNING,
    SECOND,
    UNDER_A,
    UNDER_B,
    Database,
    change,
    key,
    log_of,
)


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


@pytest.mark.parametrize("turns", range(12))
async def test_it_ends_when_the_end_comes_while_the_snapshot_is_read(turns: int) -> None:
    process = Process(Database(lambda: 1))
    process.commit(change("a"))
    reader = process.watch("a")
    await process.settle(turns)
    process.commit(change("a", COMPLETED))
    await process.settle()
    guarantees.closing(reader.stream, "COMPLETED")
    guarantees.closes_after_the_last_version([reader.stream], ("a",))


@pytest.mark.parametrize("turns", range(12))
async def test_it_goes_on_with_one_that_is_retried_while_the_snapshot_is_read(turns: int) -> None:
    process = Process(Database(lambda: 1))
    process.commit(change("a", FAILED))
    reader = process.watch("a")
    await process.settle(turns)
    process.commit(change("a", PENDING))
    if reader.is_over:
        return
    await process.settle()
    process.commit(change("a", COMPLETED))
    await process.settle()
    guarantees.closing(reader.stream, "COMPLETED")
    guarantees.closes_after_the_last_version([reader.stream], ("a",))


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


async def test_an_idle_one_reads_nothing_of_what_happens_to_others() -> None:
    process = Process(Database(), max_revisions=2)
    process.commit(change("a"))
    reader = process.watch("a", bookmark_interval=10 * SECOND)
    await process.settle()
    before, reads = reader.stream[-1], process.database.reads
    for _ in range(10):
        process.commit(change("b"))
    await process.settle()
    await process.database.clock.advance(10 * SECOND)
    await process.settle()
    assert process.database.reads == reads
    guarantees.moved_on(before, reader.stream[-1])


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


async def test_it_does_not_end_before_its_last_version_is_announced() -> None:
    """Whoever looks the execution up may see that before the commit is announced."""
    process = Process(Database())
    process.commit(change("a"))
    ended = process.database.commit(change("a", COMPLETED))
    reader = process.watch("a", resume_token=process.tokens.of_execution(key("a"), 1))
    await process.settle()
    assert [frame.kind for frame in reader.stream] == ["opened", "bookmark"]
    process.signal.committed(ended)
    await process.settle()
    assert told(reader.stream) == [["MODIFIED a 2"]]
    guarantees.closing(reader.stream, "COMPLETED")


async def test_a_tree_does_not_end_before_all_of_it_is_announced() -> None:
    process = Process(Database())
    process.commit(change("a"), change("b", spec=UNDER_A))
    reader = process.watch("a", descendants=True)
    await process.settle()
    top = process.database.commit(change("a", COMPLETED))
    below = process.database.commit(change("b", COMPLETED))
    process.signal.committed(top)
    await process.settle()
    assert not reader.is_over
    process.signal.committed(below)
    await process.settle()
    assert told(reader.stream)[-2:] == [["MODIFIED a 2"], ["MODIFIED b 3"]]
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


class TestInFull:
    """With payloads, which are stored apart."""

    def process(self) -> Process:
        database = Database()
        process = Process(database, sizes=Sizes(full_page=2))
        database.contents[key("a")] = Content(task="survey", inputs={"repo": "x"})
        process.commit(change("a", phase_count=2, operations=[0], spec={"has_content": True}))
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
        process.database.contents[key("a")] = Content(task="x" * 300)
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
