"""Opening, keeping up and ending watches."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from phaseline.app.queries import ExecutionFilter
from phaseline.domain.errors import (
    InvalidArgument,
    PhaselineError,
    ResourceExhausted,
    Unavailable,
)
from phaseline.domain.ids import Key
from phaseline.v1.execution_service_pb2 import WatchResponse
from phaseline.watch.cursor import ActiveCursor
from phaseline.watch.scope import Scope
from phaseline.watch.shared import Terms
from tests.support import guarantees
from tests.watch.serving import CALLER, Process, Reader
from tests.watch.world import RUNNING, SECOND, WORKSPACE, Database, change

MINUTE = timedelta(minutes=1)
KEY = Key(WORKSPACE, "a")

Open = Callable[..., Reader]
KINDS = ["watch", "watch_active"]


def opening(process: Process, kind: str) -> Open:
    """Return what opens a watch of that kind."""
    if kind == "watch_active":
        return process.watch_active
    return lambda **asked: process.watch("a", **asked)


def begun(terms: Terms | None = None) -> Process:
    process = Process(Database(), terms=terms)
    process.commit(change("a"))
    return process


async def pass_time(process: Process, by: timedelta, *, steps: int = 1) -> None:
    for _ in range(steps):
        await process.database.clock.advance(by)
        await process.settle()


async def test_it_is_opened_before_anything_is_read() -> None:
    process = begun(Terms(retention=timedelta(days=2), max_age=MINUTE))
    watching = process.watching
    for frames in (
        watching.watch(CALLER, "a", bookmark_interval=7 * SECOND),
        watching.watch_active(CALLER, ExecutionFilter(), bookmark_interval=7 * SECOND),
    ):
        message = WatchResponse.FromString(await anext(frames))
        assert process.database.reads == 0
        opened = message.frame.opened
        assert opened.retention.ToTimedelta() == timedelta(days=2)
        assert opened.bookmark_interval.ToTimedelta() == 7 * SECOND
        assert opened.max_age.ToTimedelta() == MINUTE
        await frames.aclose()


@pytest.mark.parametrize("kind", KINDS)
async def test_synced_waits_for_what_a_silent_bell_holds_back(kind: str) -> None:
    process = Process(Database(), pause_seconds=5.0)
    process.commit(change("a"))
    opening(process, kind)()
    await process.settle()
    process.commit(change("a", RUNNING))
    await process.settle()
    process.commit(change("a"))
    late = opening(process, kind)(resume_token=token_of(process, kind, 2))
    await process.settle()
    assert [frame.kind for frame in late.stream] == ["opened"]
    await pass_time(process, 5 * SECOND)
    assert [frame.kind for frame in late.stream] == ["opened", "change_set", "bookmark"]
    guarantees.synced(late.stream)


@pytest.mark.parametrize("kind", KINDS)
async def test_an_idle_stream_speaks_within_its_interval(kind: str) -> None:
    process = begun()
    reader = opening(process, kind)(bookmark_interval=5 * SECOND)
    await process.settle()
    for at in range(30):
        await pass_time(process, SECOND)
        process.commit(change(f"other-{at}"), workspace_id="other")
    guarantees.bookmarked(reader.stream, 5 * SECOND, until=process.database.clock.time())
    marks = [frame for frame in reader.stream if frame.kind == "bookmark"]
    assert len({mark.token for mark in marks}) == len(marks), "each token has moved on"
    guarantees.synced(reader.stream)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_stream_that_has_news_needs_no_bookmark(kind: str) -> None:
    process = begun()
    reader = opening(process, kind)(bookmark_interval=5 * SECOND)
    await process.settle()
    for _ in range(12):
        await pass_time(process, SECOND)
        process.commit(change("a", RUNNING))
        await process.settle()
    assert [frame.synced for frame in reader.stream if frame.kind == "bookmark"] == [True]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_stream_ends_at_its_age(kind: str) -> None:
    process = begun(Terms(max_age=MINUTE))
    reader = opening(process, kind)()
    await process.settle()
    await pass_time(process, SECOND, steps=60)
    guarantees.closing(reader.stream, "MAX_AGE")
    assert reader.is_over
    assert reader.stream[-1].at <= MINUTE.total_seconds()
    resumed = opening(process, kind)(resume_token=reader.token)
    await process.settle()
    guarantees.unique([reader.stream, resumed.stream])
    guarantees.synced(resumed.stream)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_stream_ends_with_the_credentials(kind: str) -> None:
    process = begun()
    end = process.database.clock.now() + 10 * SECOND
    reader = opening(process, kind)(credentials_end=end)
    await process.settle()
    await pass_time(process, SECOND, steps=9)
    assert not reader.is_over
    await pass_time(process, SECOND)
    guarantees.closing(reader.stream, "CREDENTIALS_EXPIRED")


@pytest.mark.parametrize("kind", KINDS)
async def test_a_drain_ends_all_streams_and_says_when_to_come_back(kind: str) -> None:
    process = begun(Terms(reconnect_within=8 * SECOND))
    reader = opening(process, kind)()
    await process.settle()
    process.watching.drain()
    await process.settle()
    guarantees.closing(reader.stream, "DRAINING")
    delay = reader.messages[-1].frame.closing.reconnect_delay.ToTimedelta()
    assert delay == 4 * SECOND, "half of it is what this entropy draws"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_server_that_drains_lets_nobody_in(kind: str) -> None:
    process = begun()
    process.watching.drain()
    reader = opening(process, kind)()
    await process.settle()
    assert isinstance(reader.error, Unavailable)
    assert reader.error.reason == "DRAINING"


async def test_a_drain_reaches_a_reader_that_still_has_to_take_a_frame() -> None:
    process = begun()
    reader = process.watch_active()
    await process.settle()
    reader.is_slow = True
    process.commit(change("a", RUNNING))
    await process.settle()
    process.watching.drain()
    reader.is_slow = False
    await process.settle()
    assert [each.revision for each in reader.stream[-2].changes] == [2]
    guarantees.closing(reader.stream, "DRAINING")


@pytest.mark.parametrize("kind", KINDS)
async def test_there_are_no_more_watches_than_a_workspace_may_have(kind: str) -> None:
    process = begun(Terms(per_workspace=2))
    readers = [opening(process, kind)() for _ in range(3)]
    await process.settle()
    assert [type(reader.error) for reader in readers] == [
        type(None),
        type(None),
        ResourceExhausted,
    ]
    error = readers[2].error
    assert isinstance(error, ResourceExhausted)
    assert (error.reason, error.subject) == ("TOO_MANY_WATCHES", f"workspace:{WORKSPACE}")
    await readers[0].cut()
    again = opening(process, kind)()
    await process.settle()
    assert again.error is None


async def test_there_are_no_more_watches_than_a_process_may_have() -> None:
    process = begun(Terms(per_process=1))
    first, second = process.watch("a"), process.watch_active()
    await process.settle()
    assert first.error is None
    assert isinstance(second.error, ResourceExhausted)
    assert second.error.subject == "process"


async def test_a_watch_that_failed_is_not_counted() -> None:
    process = begun(Terms(per_process=1))
    missing = process.watch("missing")
    await process.settle()
    assert missing.error is not None
    reader = process.watch("a")
    await process.settle()
    assert reader.error is None


async def test_a_watch_that_nobody_reads_is_not_counted() -> None:
    process = begun(Terms(per_process=1))
    abandoned = process.watching.watch(CALLER, "a")
    reader = process.watch("a")
    await process.settle()
    assert reader.error is None
    await abandoned.aclose()


def token_of(process: Process, kind: str, revision: int) -> str:
    if kind == "watch":
        return process.tokens.of_execution(KEY, revision)
    scope = Scope(WORKSPACE, ExecutionFilter())
    return process.tokens.of_active(scope, ActiveCursor(revision))


async def refused(process: Process, kind: str, token: str) -> PhaselineError | None:
    reader = opening(process, kind)(resume_token=token)
    await process.settle()
    return reader.error


@pytest.mark.parametrize("kind", KINDS)
async def test_a_token_that_is_not_ours_is_refused_before_anything_is_sent(kind: str) -> None:
    process = begun()
    reader = opening(process, kind)(resume_token="bm8gdG9rZW4")
    await process.settle()
    assert isinstance(reader.error, InvalidArgument)
    assert reader.error.reason == "RESUME_TOKEN_INVALID"
    assert reader.stream == []


@pytest.mark.parametrize("kind", KINDS)
async def test_a_token_of_another_database_is_refused(kind: str) -> None:
    process = begun()
    other = Process(process.database, epoch="another-database")
    error = await refused(process, kind, token_of(other, kind, 1))
    assert isinstance(error, InvalidArgument)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_token_that_is_newer_than_the_database_is_refused(kind: str) -> None:
    """A backup was restored: what was sent since is no longer true."""
    process = begun()
    error = await refused(process, kind, token_of(process, kind, 2))
    assert isinstance(error, InvalidArgument)
    assert error.reason == "RESUME_TOKEN_INVALID"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_token_of_another_process_may_be_newer_than_what_this_one_heard(
    kind: str,
) -> None:
    process = begun()
    process.database.commit(change("a", RUNNING))
    reader = opening(process, kind)(resume_token=token_of(process, kind, 2))
    await process.settle()
    assert reader.error is None
    process.signal.advance(2)
    process.commit(change("a"))
    await process.settle()
    assert [each.revision for frame in reader.stream for each in frame.changes] == [3]


async def test_a_watch_in_another_workspace_is_not_resumed() -> None:
    process = begun()
    token = process.tokens.of_execution(Key("other", "a"), 1)
    assert isinstance(await refused(process, "watch", token), InvalidArgument)
