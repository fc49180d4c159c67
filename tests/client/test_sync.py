"""The client for threads does what the other does."""

import inspect
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from phaseline.client import Client, EventKind, SyncClient
from phaseline.client.blocking import run
from phaseline.domain.errors import DeadlineExceeded, NotFound, Unavailable
from phaseline.v1 import execution_pb2, watch_pb2
from phaseline.v1 import execution_service_pb2 as pb
from tests.client.frames import bookmark, changes, closing, completed, execution, opened
from tests.client.scripted import Hang, QuickClock, Script
from tests.support.clock import turns

COMPLETED = execution_pb2.Execution(execution_id="x-1")


def test_it_has_the_methods_of_the_other() -> None:
    """All but what needs an event loop."""

    def methods(kind: type) -> set[str]:
        return {name for name, _ in inspect.getmembers(kind, callable) if not name.startswith("_")}

    assert methods(Client) - methods(SyncClient) == {"aclose", "live_active"}
    assert methods(SyncClient) - methods(Client) == {"close"}


def test_a_method_looks_like_the_other() -> None:
    assert SyncClient.execute.__doc__ == Client.execute.__doc__
    assert inspect.signature(SyncClient.get) == inspect.signature(Client.get)


def test_a_call_is_answered(blocking_client: SyncClient, script: Script) -> None:
    script.replying("Execute", pb.ExecuteResponse(execution_id="x-1"))
    assert blocking_client.execute("survey", task="look").execution_id == "x-1"
    assert script.requests[0].task == "look"


def test_a_call_is_repeated(blocking_client: SyncClient, script: Script, clock: QuickClock) -> None:
    script.replying("GetStatus", Unavailable("away", retry_after=timedelta(seconds=3)))
    blocking_client.get_status("x-1")
    assert clock.sleeps[0] >= 3


def test_errors_are_ours(blocking_client: SyncClient, script: Script) -> None:
    script.replying("Get", NotFound("execution", "x-1"))
    with pytest.raises(NotFound) as caught:
        blocking_client.get("x-1")
    assert caught.value.resource_name == "x-1"


def test_a_call_has_a_deadline(blocking_client: SyncClient, script: Script) -> None:
    script.replying("Get", Hang())
    with pytest.raises(DeadlineExceeded):
        blocking_client.within(timedelta(milliseconds=20)).get("x-1")


def test_it_waits(blocking_client: SyncClient, script: Script) -> None:
    script.replying("Wait", pb.WaitResponse())
    script.replying("Wait", pb.WaitResponse(execution=COMPLETED, satisfied=True))
    assert blocking_client.wait("x-1") == COMPLETED


def test_pages_are_read_as_they_are_needed(blocking_client: SyncClient, script: Script) -> None:
    one, two = (execution_pb2.Execution(execution_id=name) for name in "ab")
    script.replying(
        "List",
        pb.ListResponse(executions=[one], next_page_token="p2"),
        pb.ListResponse(executions=[two]),
    )
    found = blocking_client.iter_executions()
    assert next(found) == one
    assert len(script.requests) == 1
    assert list(found) == [two]


def test_a_watch_outlives_its_streams(blocking_client: SyncClient, script: Script) -> None:
    draining = closing("t2", watch_pb2.CLOSE_REASON_DRAINING)
    script.streaming(opened("t0"), changes("t1", execution("x-1", 1)), Unavailable("away"))
    script.streaming(opened("t1"), changes("t2", execution("x-1", 2)), draining)
    script.streaming(opened("t2"), bookmark("t3", synced=True), completed("t4"))
    events = list(blocking_client.watch("x-1"))
    assert [event.resume_token for event in events] == ["t1", "t2", "t3"]
    assert events[-1].kind is EventKind.SYNCED


def test_a_silent_stream_is_dead(blocking_client: SyncClient, script: Script) -> None:
    interval = timedelta(milliseconds=50)
    script.streaming(opened("t0", bookmark_interval=interval), bookmark("t1"), Hang())
    script.streaming(completed("t2"))
    assert list(blocking_client.watch_active()) == []
    assert [each.resume_token for each in script.requests] == ["", "t1"]


def test_a_watch_that_was_never_answered_says_so(blocking_client: SyncClient) -> None:
    client = blocking_client.within(timedelta(0))
    with pytest.raises(Unavailable, match=r"the stream was silent for 0\.1 s"):
        next(client.watch("x-1", bookmark_interval=timedelta(milliseconds=50)))


def test_a_stream_that_speaks_is_not_cut(
    blocking_client: SyncClient, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each read is watched, and no longer once it is done."""
    watched: list[float] = []
    ended: list[float] = []

    class Timer:
        def __init__(self, interval: float, function: Callable[[], None]) -> None:
            self.interval = interval

        def start(self) -> None:
            watched.append(self.interval)

        def cancel(self) -> None:
            ended.append(self.interval)

    monkeypatch.setattr("phaseline.client.blocking.threading.Timer", Timer)
    script.streaming(opened("t0", bookmark_interval=timedelta(seconds=10)), completed("t1"))
    assert list(blocking_client.watch("x-1")) == []
    assert watched == ended == [30.0, 20.0, 5.0]


def test_a_watch_that_is_left_ends(blocking_client: SyncClient, script: Script) -> None:
    script.streaming(opened("t0"), changes("t1", execution("x-1", 1)), Hang())
    for event in blocking_client.watch("x-1"):
        assert event.kind is EventKind.CHANGED
        break


def test_many_threads_may_call(blocking_client: SyncClient, script: Script) -> None:
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(blocking_client.get_status, map(str, range(40))))
    assert {each.execution_id for each in script.requests} == set(map(str, range(40)))


def test_what_would_suspend_is_refused() -> None:
    with pytest.raises(RuntimeError, match="must not suspend"):
        run(turns(1))
