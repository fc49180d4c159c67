"""A watch goes on, whatever becomes of its streams."""

import asyncio
from datetime import timedelta

import grpc
import pytest

from phaseline.client import Client, EventKind, Watch, WatchEvent
from phaseline.client.requests import duration
from phaseline.domain.errors import (
    Internal,
    InvalidArgument,
    NotFound,
    OutOfRange,
    PhaselineError,
    Reason,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
)
from phaseline.v1 import execution_service_pb2 as pb
from phaseline.v1 import watch_pb2
from tests.client.frames import (
    bookmark,
    changes,
    closing,
    completed,
    execution,
    opened,
    operation,
    phase,
)
from tests.client.scripted import Frame, Hang, QuickClock, Script

EXPIRED = OutOfRange("the token is too old", reason=Reason.RESUME_TOKEN_EXPIRED)
AWAY = grpc.StatusCode.UNAVAILABLE


async def everything(watch: Watch) -> list[WatchEvent]:
    return [event async for event in watch]


async def revisions(watch: Watch) -> list[int]:
    return [each.change.execution.revision async for each in watch if each.change is not None]


def tokens(script: Script) -> list[str]:
    """Return where each stream was asked to begin."""
    return [request.resume_token for request in script.requests]


async def test_a_watch_tells_all_of_one_stream(client: Client, script: Script) -> None:
    told = [execution("x-1", 1), phase("plan", 1), operation("o", 1)]
    script.streaming(
        opened("t0"), changes("t1", *told), bookmark("t2", synced=True), completed("t3")
    )
    events = await everything(client.watch("x-1"))
    assert [event.change for event in events] == [*told, None]
    assert events[-1].kind is EventKind.SYNCED


async def test_a_watch_asks_for_what_is_given(client: Client, script: Script) -> None:
    script.streaming(completed("t"))
    await everything(
        client.watch(
            "x-1",
            resume_token="t0",
            include_descendants=True,
            bookmark_interval=timedelta(seconds=2),
        )
    )
    assert script.requests == [
        pb.WatchRequest(
            execution_id="x-1",
            resume_token="t0",
            include_descendants=True,
            bookmark_interval=duration(timedelta(seconds=2)),
        )
    ]


async def test_watching_all_asks_for_what_is_given(client: Client, script: Script) -> None:
    script.streaming(completed("t"))
    filter = pb.ExecutionFilter(workflow_ids=["survey"])
    await everything(
        client.watch_active(filter=filter, resume_token="t0", min_interval=timedelta(seconds=1))
    )
    assert script.requests == [
        pb.WatchActiveRequest(
            filter=filter, resume_token="t0", min_interval=duration(timedelta(seconds=1))
        )
    ]


CUTS: dict[str, list[Frame | grpc.StatusCode]] = {
    "unavailable": [AWAY],
    "an end without a word": [],
    "cancelled by a proxy": [grpc.StatusCode.CANCELLED],
    "reset by a proxy": [grpc.StatusCode.INTERNAL],
    "too long for a proxy": [grpc.StatusCode.DEADLINE_EXCEEDED],
    "draining": [closing("t2", watch_pb2.CLOSE_REASON_DRAINING)],
    "too old": [closing("t2", watch_pb2.CLOSE_REASON_MAX_AGE)],
    "credentials expired": [closing("t2", watch_pb2.CLOSE_REASON_CREDENTIALS_EXPIRED)],
    "a reason of the future": [closing("t2", 99)],  # type: ignore[arg-type]
}


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
async def test_a_cut_does_not_show(
    client: Client, script: Script, cut: list[Frame | grpc.StatusCode]
) -> None:
    script.streaming(opened("t0"), changes("t2", execution("x-1", 1), execution("x-1", 2)), *cut)
    script.streaming(opened("t2"), changes("t3", execution("x-1", 3)), completed("t4"))
    assert await revisions(client.watch("x-1")) == [1, 2, 3]
    assert tokens(script) == ["", "t2"]


async def test_a_watch_says_whether_news_arrive_at_once(client: Client, script: Script) -> None:
    script.streaming(opened("t0"), changes("t1", execution("x-1", 1)), AWAY)
    script.streaming(opened("t1"), changes("t2", execution("x-1", 2)), completed("t3"))
    watch = client.watch("x-1")
    assert not watch.is_connected
    await anext(watch)
    assert watch.is_connected
    seen: list[bool] = []

    async def look() -> None:
        seen.append(watch.is_connected)

    watch._clock = QuickClock(on_sleep=look)
    await anext(watch)
    assert watch.is_connected
    assert seen == [False]
    await everything(watch)
    assert not watch.is_connected


async def test_a_cut_before_anything_was_told_begins_again(client: Client, script: Script) -> None:
    script.streaming(AWAY)
    script.streaming(opened("t0"), AWAY)
    script.streaming(opened("t0"), changes("t1", execution("x-1", 1)), completed("t2"))
    assert await revisions(client.watch("x-1")) == [1]
    assert tokens(script) == ["", "", "t0"]


async def test_repeats_after_a_cut_are_dropped(client: Client, script: Script) -> None:
    script.streaming(opened("t0"), changes("t1", execution("x-1", 1), execution("x-1", 2)), AWAY)
    script.streaming(
        opened("t1"), changes("t3", execution("x-1", 2), execution("x-1", 3)), completed("t4")
    )
    assert await revisions(client.watch("x-1")) == [1, 2, 3]


async def test_the_server_says_how_long_to_stay_away(
    client: Client, script: Script, clock: QuickClock
) -> None:
    draining = closing("t1", watch_pb2.CLOSE_REASON_DRAINING, reconnect_delay=1.25)
    script.streaming(opened("t0"), bookmark("t1"), draining)
    script.streaming(completed("t2"))
    await everything(client.watch("x-1"))
    assert clock.sleeps == [1.25]


async def test_a_server_that_only_closes_is_left_alone_for_longer_each_time(
    client: Client, script: Script, clock: QuickClock
) -> None:
    for _ in range(4):
        script.streaming(opened("t0"), closing("t0", watch_pb2.CLOSE_REASON_MAX_AGE))
    script.streaming(completed("t0"))
    await everything(client.watch("x-1"))
    assert clock.sleeps == sorted(clock.sleeps)
    assert clock.sleeps[-1] >= 0.4


async def test_a_server_that_is_away_says_for_how_long(
    client: Client, script: Script, clock: QuickClock
) -> None:
    script.streaming(opened("t0"), Unavailable("draining", retry_after=timedelta(seconds=7)))
    script.streaming(completed("t0"))
    await everything(client.watch("x-1"))
    assert clock.sleeps[0] >= 7


async def test_delays_begin_anew_once_there_is_news(
    client: Client, script: Script, clock: QuickClock
) -> None:
    script.streaming(*[opened("t0")])
    for _ in range(3):
        script.streaming(AWAY)
    script.streaming(opened("t0"), bookmark("t1"), AWAY)
    script.streaming(completed("t2"))
    await everything(client.watch("x-1"))
    assert clock.sleeps[3] >= 0.4
    assert clock.sleeps[4] <= 0.1


async def test_an_open_watch_never_gives_up(
    client: Client, script: Script, clock: QuickClock
) -> None:
    script.streaming(opened("t0"), AWAY)
    for _ in range(50):
        script.streaming(AWAY)
    script.streaming(completed("t0"))
    await everything(client.watch("x-1"))
    assert sum(clock.sleeps) > 100


async def test_a_watch_that_never_opened_gives_up(
    client: Client, script: Script, clock: QuickClock
) -> None:
    for _ in range(50):
        script.streaming(AWAY)
    with pytest.raises(Unavailable):
        await everything(client.watch("x-1"))
    assert 25 < sum(clock.sleeps) < 30


async def test_an_expired_token_restarts_with_the_present_state(
    client: Client, script: Script
) -> None:
    script.streaming(EXPIRED)
    script.streaming(
        opened("s0"),
        changes("s1", execution("x-1", 7)),
        bookmark("s2", synced=True),
        completed("s3"),
    )
    events = await everything(client.watch("x-1", resume_token="old"))
    assert [event.kind.value for event in events] == ["restarted", "changed", "synced"]
    assert [event.resume_token for event in events] == ["s0", "s1", "s2"]
    assert tokens(script) == ["old", ""]


async def test_a_token_may_expire_while_the_server_is_away(client: Client, script: Script) -> None:
    script.streaming(
        opened("t0"), changes("t1", execution("x-1", 7)), bookmark("t2", synced=True), AWAY
    )
    script.streaming(AWAY)
    script.streaming(EXPIRED)
    script.streaming(
        opened("s0"),
        changes("s1", execution("x-1", 7)),
        bookmark("s2", synced=True),
        completed("s3"),
    )
    events = await everything(client.watch("x-1"))
    assert [event.kind.value for event in events] == [
        *("changed", "synced", "restarted", "changed", "synced")
    ]


async def test_a_fresh_watch_that_expires_is_an_error(client: Client, script: Script) -> None:
    """Or it would begin again for ever."""
    script.streaming(EXPIRED)
    with pytest.raises(OutOfRange):
        await everything(client.watch("x-1"))


@pytest.mark.parametrize(
    "error",
    [
        NotFound("execution", "x-1"),
        InvalidArgument.of("resume_token", "is not ours", Reason.RESUME_TOKEN_INVALID),
        Unauthenticated("the token has expired"),
        ResourceExhausted("too many watches", reason=Reason.TOO_MANY_WATCHES),
        Internal("internal error"),
    ],
)
async def test_what_trying_again_cannot_cure_is_raised(
    client: Client, script: Script, error: PhaselineError
) -> None:
    script.streaming(error)
    with pytest.raises(type(error)):
        await everything(client.watch("x-1"))
    assert len(script.requests) == 1


async def test_a_server_that_breaks_without_news_is_not_asked_for_ever(
    client: Client, script: Script
) -> None:
    script.streaming(opened("t0"), bookmark("t1"), Internal("internal error"))
    script.streaming(opened("t0"), Internal("internal error"))
    with pytest.raises(Internal):
        await everything(client.watch("x-1"))


async def test_a_stream_too_many_may_be_our_own_dead_one(client: Client, script: Script) -> None:
    script.streaming(opened("t0"), AWAY)
    script.streaming(ResourceExhausted("too many watches", reason=Reason.TOO_MANY_WATCHES))
    script.streaming(completed("t1"))
    await everything(client.watch("x-1"))
    assert len(script.requests) == 3


async def test_a_silent_stream_is_dead(client: Client, script: Script) -> None:
    interval = timedelta(milliseconds=50)
    script.streaming(opened("t0", bookmark_interval=interval), bookmark("t1"), Hang())
    script.streaming(opened("t1"), changes("t2", execution("x-1", 1)), completed("t3"))
    assert await revisions(client.watch("x-1")) == [1]
    assert tokens(script) == ["", "t1"]


async def test_a_server_that_never_opens_the_stream_is_dead_too(
    client: Client, script: Script
) -> None:
    script.streaming(Hang())
    script.streaming(completed("t3"))
    await everything(client.watch("x-1", bookmark_interval=timedelta(milliseconds=50)))
    assert len(script.requests) == 2


async def test_a_watch_that_was_never_answered_says_so(client: Client, script: Script) -> None:
    watch = client.within(timedelta(0)).watch("x-1", bookmark_interval=timedelta(milliseconds=50))
    with pytest.raises(Unavailable, match=r"the stream was silent for 0\.1 s"):
        await anext(watch)


async def test_a_stored_token_goes_on_in_another_watch(client: Client, script: Script) -> None:
    script.streaming(opened("t0"), changes("t1", execution("x-1", 1)), Hang())
    async with client.watch("x-1") as watch:
        token = (await anext(watch)).resume_token
    script.streaming(opened("t1"), changes("t2", execution("x-1", 2)), completed("t3"))
    assert await revisions(client.watch("x-1", resume_token=token)) == [2]
    assert tokens(script) == ["", "t1"]


async def test_the_token_moves_on_while_nothing_happens(client: Client, script: Script) -> None:
    """Else a watch that is seldom told anything would keep a token until it expires."""
    script.streaming(
        opened("t0"), changes("t1", execution("x-1", 1)), bookmark("t2"), completed("t3")
    )
    watch = client.watch("x-1")
    event = await anext(watch)
    assert (event.resume_token, watch.resume_token) == ("t1", "t1")
    await everything(watch)
    assert watch.resume_token == "t3"


async def test_within_a_frame_the_token_stays_before_it(client: Client, script: Script) -> None:
    script.streaming(
        opened("t0"), changes("t1", execution("x-1", 1), execution("x-1", 2)), completed("t2")
    )
    watch = client.watch("x-1")
    await anext(watch)
    assert watch.resume_token == "t0"
    await anext(watch)
    assert watch.resume_token == "t1"


async def test_a_read_that_is_cancelled_loses_nothing(client: Client, script: Script) -> None:
    script.streaming(opened("t0"), changes("t1", execution("x-1", 1)), Hang())
    script.streaming(opened("t1"), changes("t2", execution("x-1", 2)), completed("t3"))
    watch = client.watch("x-1")
    await anext(watch)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await anext(watch)
    assert await revisions(watch) == [2]
    assert tokens(script) == ["", "t1"]


async def test_a_closed_watch_is_at_its_end(client: Client, script: Script) -> None:
    script.streaming(opened("t0"), changes("t1", execution("x-1", 1), execution("x-1", 2)), Hang())
    async with client.watch("x-1") as watch:
        await anext(watch)
    assert await everything(watch) == []


async def test_a_watch_that_is_over_stays_over(client: Client, script: Script) -> None:
    script.streaming(completed("t0"))
    watch = client.watch("x-1")
    assert await everything(watch) == []
    assert await everything(watch) == []
    assert len(script.requests) == 1


async def test_new_credentials_are_taken_for_the_next_stream(
    address: str, script: Script, clock: QuickClock
) -> None:
    tokens = iter(["old", "new"])
    expired = closing("t1", watch_pb2.CLOSE_REASON_CREDENTIALS_EXPIRED)
    script.streaming(opened("t0"), bookmark("t1"), expired)
    script.streaming(completed("t2"))
    async with Client(address, token=lambda: next(tokens), clock=clock) as client:
        await everything(client.watch("x-1"))
    assert [each["authorization"] for each in script.metadata] == ["Bearer old", "Bearer new"]
