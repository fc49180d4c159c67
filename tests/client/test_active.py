"""The dictionary of active executions lives."""

import asyncio

import pytest

from phaseline.client import ActiveChange, Client, LiveActive
from phaseline.domain.errors import OutOfRange, PermissionDenied, Reason, Unavailable
from phaseline.v1 import execution_service_pb2 as pb
from phaseline.v1 import watch_pb2
from phaseline.v1.execution_pb2 import Execution
from tests.client.frames import ADDED, MODIFIED, REMOVED, bookmark, changes, execution, opened
from tests.client.scripted import Hang, Script
from tests.support.clock import turns

SYNCED = bookmark("t9", synced=True)
AWAY = Unavailable("away")
EXPIRED = OutOfRange("the token is too old", reason=Reason.RESUME_TOKEN_EXPIRED)


def seen(change: ActiveChange) -> tuple[str, str, int]:
    """Return the kind, the id and the revision."""
    kind = watch_pb2.ChangeKind.Name(change.kind).removeprefix("CHANGE_KIND_")
    return kind, change.execution.execution_id, change.execution.revision


def held(active: LiveActive) -> dict[str, int]:
    """Return the revisions held."""
    return {key: each.revision for key, each in active.executions.items()}


async def read(active: LiveActive, count: int) -> list[tuple[str, str, int]]:
    """Return the first changes that a new reader gets."""
    found = []
    async for change in active:
        found.append(seen(change))
        if len(found) == count:
            break
    return found


async def test_it_holds_what_is_active(client: Client, script: Script) -> None:
    script.streaming(
        opened("t0"),
        changes("t1", execution("a", 1, ADDED), execution("b", 1, ADDED)),
        changes("t2", execution("a", 2, REMOVED), execution("b", 2, MODIFIED)),
        SYNCED,
        Hang(),
    )
    async with client.live_active() as active:
        await active.synced()
        assert held(active) == {"b": 2}


async def test_it_follows_what_is_asked_for(client: Client, script: Script) -> None:
    script.streaming(opened("t0"), SYNCED, Hang())
    filter = pb.ExecutionFilter(user_ids=["u-1"])
    async with client.live_active(filter) as active:
        await active.synced()
        assert held(active) == {}
    assert script.requests == [pb.WatchActiveRequest(filter=filter)]


async def test_a_reader_gets_what_is_there_and_then_each_change(
    client: Client, script: Script
) -> None:
    more = asyncio.Event()
    script.streaming(
        opened("t0"),
        changes("t1", execution("a", 1, ADDED)),
        SYNCED,
        more,
        changes("t2", execution("a", 2, MODIFIED)),
        Hang(),
    )
    async with client.live_active() as active:
        await active.synced()
        reader = aiter(active)
        assert seen(await anext(reader)) == ("ADDED", "a", 1)
        more.set()
        assert seen(await anext(reader)) == ("MODIFIED", "a", 2)


async def test_what_was_removed_may_come_back(client: Client, script: Script) -> None:
    """An execution that is retried."""
    failed, retried = asyncio.Event(), asyncio.Event()
    script.streaming(
        opened("t0"),
        changes("t1", execution("a", 1, ADDED)),
        SYNCED,
        failed,
        changes("t2", execution("a", 2, REMOVED)),
        retried,
        changes("t3", execution("a", 3, ADDED)),
        Hang(),
    )
    async with client.live_active() as active:
        reader = aiter(active)
        assert seen(await anext(reader)) == ("ADDED", "a", 1)
        failed.set()
        assert seen(await anext(reader)) == ("REMOVED", "a", 2)
        retried.set()
        assert seen(await anext(reader)) == ("ADDED", "a", 3)


async def test_a_slow_reader_gets_the_newest_of_each_and_misses_none(
    client: Client, script: Script
) -> None:
    more = asyncio.Event()
    script.streaming(
        opened("t0"),
        changes("t1", execution("a", 1, ADDED), execution("b", 1, ADDED)),
        SYNCED,
        more,
        changes("t2", execution("c", 1, ADDED), execution("a", 2), execution("d", 1, ADDED)),
        changes("t3", execution("a", 3), execution("b", 2, REMOVED), execution("d", 2, REMOVED)),
        changes("t4", execution("a", 4), execution("last", 1, ADDED)),
        Hang(),
    )
    async with client.live_active() as active:
        await active.synced()
        slow, quick = aiter(active), aiter(active)
        assert seen(await anext(slow)) == ("ADDED", "a", 1)
        more.set()
        async for change in quick:
            if change.execution.execution_id == "last":
                break
        assert [seen(await anext(slow)) for _ in range(5)] == [
            ("REMOVED", "b", 2),
            ("ADDED", "c", 1),
            ("MODIFIED", "a", 4),
            ("REMOVED", "d", 2),
            ("ADDED", "last", 1),
        ]


async def test_what_ended_while_the_token_expired_is_removed(
    client: Client, script: Script
) -> None:
    script.streaming(
        opened("t0"),
        changes("t1", execution("a", 1, ADDED), execution("b", 1, ADDED)),
        SYNCED,
        AWAY,
    )
    script.streaming(EXPIRED)
    restarted = asyncio.Event()
    script.streaming(
        restarted,
        opened("s0"),
        changes("s1", execution("b", 4, ADDED), execution("c", 1, ADDED)),
        bookmark("s2", synced=True),
        Hang(),
    )
    async with client.live_active() as active:
        await active.synced()
        reader = aiter(active)
        assert [seen(await anext(reader)) for _ in range(2)] == [
            ("ADDED", "a", 1),
            ("ADDED", "b", 1),
        ]
        restarted.set()
        assert [seen(await anext(reader)) for _ in range(3)] == [
            ("MODIFIED", "b", 4),
            ("ADDED", "c", 1),
            ("REMOVED", "a", 1),
        ]
        assert held(active) == {"b": 4, "c": 1}


async def test_an_error_is_raised_by_whatever_is_asked(client: Client, script: Script) -> None:
    script.streaming(PermissionDenied("not allowed"))
    async with client.live_active() as active:
        with pytest.raises(PermissionDenied):
            await active.synced()
        with pytest.raises(PermissionDenied):
            _ = active.executions
        with pytest.raises(PermissionDenied):
            await read(active, 1)


async def test_an_error_reaches_a_reader_that_waits(client: Client, script: Script) -> None:
    fail = asyncio.Event()
    script.streaming(opened("t0"), SYNCED, fail, PermissionDenied("not allowed"))
    async with client.live_active() as active:
        await active.synced()
        reader = asyncio.ensure_future(read(active, 1))
        await turns()
        fail.set()
        with pytest.raises(PermissionDenied):
            await reader


async def test_the_error_of_the_block_is_not_replaced(client: Client, script: Script) -> None:
    script.streaming(PermissionDenied("not allowed"))

    async def block() -> None:
        async with client.live_active() as active:
            with pytest.raises(PermissionDenied):
                await active.synced()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await block()


async def test_readers_end_with_the_block(client: Client, script: Script) -> None:
    script.streaming(opened("t0"), SYNCED, Hang())
    async with client.live_active() as active:
        await active.synced()
        reader = asyncio.ensure_future(read(active, 1))
        await turns()
    assert await reader == []


async def test_after_the_block_nothing_is_synced(client: Client, script: Script) -> None:
    script.streaming(opened("t0"), Hang())
    async with client.live_active() as active:
        pass
    with pytest.raises(RuntimeError, match="has ended"):
        await active.synced()


async def test_before_the_block_nothing_is_known(client: Client) -> None:
    with pytest.raises(RuntimeError, match="async with"):
        _ = client.live_active().executions


async def test_the_dictionary_cannot_be_written(client: Client, script: Script) -> None:
    script.streaming(opened("t0"), SYNCED, Hang())
    async with client.live_active() as active:
        with pytest.raises(TypeError):
            active.executions["a"] = Execution()  # type: ignore[index]


async def test_a_reader_that_leaves_is_forgotten(client: Client, script: Script) -> None:
    script.streaming(opened("t0"), changes("t1", execution("a", 1, ADDED)), SYNCED, Hang())
    async with client.live_active() as active:
        await active.synced()
        reader = aiter(active)
        await anext(reader)
        assert len(active._readers) == 1
        await reader.aclose()  # type: ignore[attr-defined]
        assert active._readers == []
