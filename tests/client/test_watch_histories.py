"""Whatever happens to its streams, a watch tells every change once and in order."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phaseline.client import EventKind, Watch, WatchEvent
from phaseline.client.blocking import run
from phaseline.domain.errors import Internal, OutOfRange, PhaselineError, Reason, Unavailable
from phaseline.v1 import execution_service_pb2, watch_pb2
from tests.client.frames import bookmark, changes, closing, completed, execution, opened, operation
from tests.client.scripted import QuickClock

EXPIRED = OutOfRange("the token is too old", reason=Reason.RESUME_TOKEN_EXPIRED)


@dataclass(frozen=True)
class Fault:
    """How one stream ends before its time."""

    after_frames: int
    how: str
    #: How many changes the server sends again at the start of the stream that follows.
    repeats: int


Answer = watch_pb2.WatchFrame | PhaselineError | None


class Server:
    """
    Keeps a log, and follows it from a token: the number of changes that went before.

    Its streams end as the faults say, one after the other; the first without a fault ends well.
    """

    def __init__(self, log: list[watch_pb2.Change], sizes: list[int], faults: list[Fault]) -> None:
        self._log = log
        self._sizes = sizes
        self._faults = iter(faults)
        self._repeats = 0
        #: Tokens before it have expired; it is where a watch without one begins.
        self.oldest = 0

    def stream(self, resume_token: str) -> "FakeStream":
        return FakeStream(self._answers(resume_token))

    def _answers(self, token: str) -> Iterator[Answer]:
        start = int(token) if token else self.oldest
        if start < self.oldest:
            yield EXPIRED
            return
        fault = next(self._faults, None)
        repeats, self._repeats = self._repeats, fault.repeats if fault else 0
        for number, frame in enumerate(self._frames(start, repeats)):
            if fault is not None and number == fault.after_frames:
                yield _last_answer(fault, token)
                return
            token = frame.resume_token
            yield frame

    def _frames(self, start: int, repeats: int) -> Iterator[watch_pb2.WatchFrame]:
        yield opened(str(start))
        at = max(self.oldest, start - repeats)
        while at < len(self._log):
            frame = self._log[at : at + self._sizes[at % len(self._sizes)]]
            at += len(frame)
            yield changes(str(max(at, start)), *frame)
        yield bookmark(str(max(at, start)), synced=True)
        yield completed(str(max(at, start)))


def _last_answer(fault: Fault, token: str) -> Answer:
    match fault.how:
        case "closed":
            return closing(token, watch_pb2.CLOSE_REASON_DRAINING)
        case "reset" if fault.after_frames > 1:
            return Internal("reset by a proxy")
        case "ended":
            return None
        case _:
            return Unavailable("away")


class FakeStream:
    def __init__(self, answers: Iterator[Answer]) -> None:
        self._answers = answers

    async def read(self, silence: float) -> execution_service_pb2.WatchResponse | None:
        answer = next(self._answers, None)
        if isinstance(answer, PhaselineError):
            raise answer
        return None if answer is None else execution_service_pb2.WatchResponse(frame=answer)

    def cancel(self) -> None:
        pass


def read_all(server: Server, resume_token: str = "") -> list[WatchEvent]:
    watch = Watch(
        server.stream,
        QuickClock(),
        resume_token=resume_token,
        bookmark_interval=None,
        patience=timedelta(days=1),
    )
    events = []
    while True:
        try:
            events.append(run(anext(watch)))
        except StopAsyncIteration:
            return events


def told(events: list[WatchEvent]) -> list[watch_pb2.Change]:
    return [event.change for event in events if event.change is not None]


class NotedStream(FakeStream):
    """Notes what is done with it."""

    def __init__(self, *answers: Answer) -> None:
        super().__init__(iter(answers))
        self.noted: list[float | str] = []

    async def read(self, silence: float) -> execution_service_pb2.WatchResponse | None:
        self.noted.append(silence)
        return await super().read(silence)

    def cancel(self) -> None:
        self.noted.append("cancelled")


def test_a_stream_is_dead_after_twice_its_interval_and_is_left_to_end_by_itself() -> None:
    interval = timedelta(seconds=10)
    stream = NotedStream(opened("t0", bookmark_interval=interval), completed("t1"))
    watch = Watch(
        lambda _: stream,
        QuickClock(),
        resume_token="",
        bookmark_interval=None,
        patience=timedelta(days=1),
    )
    with pytest.raises(StopAsyncIteration):
        run(anext(watch))
    assert stream.noted == [30.0, 20.0, 5.0, "cancelled"]


@st.composite
def logs(draw: st.DrawFn) -> list[watch_pb2.Change]:
    """Return versions of a few resources in which revisions rise."""
    revisions: dict[str, int] = {}
    log = []
    for name in draw(st.lists(st.sampled_from("abcde"), max_size=30)):
        revisions[name] = revisions.get(name, 0) + draw(st.integers(1, 3))
        make = operation if name in "ab" else execution
        log.append(make(name, revisions[name]))
    return log


sizes = st.lists(st.integers(1, 5), min_size=1, max_size=4)
faults = st.lists(
    st.builds(
        Fault,
        st.integers(0, 6),
        st.sampled_from(["closed", "reset", "ended", "unavailable"]),
        st.integers(0, 8),
    ),
    max_size=6,
)


@given(logs(), sizes, faults)
def test_every_change_is_told_once_and_in_order(
    log: list[watch_pb2.Change], sizes: list[int], faults: list[Fault]
) -> None:
    events = read_all(Server(log, sizes, faults))
    assert told(events) == log
    assert [event.kind for event in events].count(EventKind.SYNCED) == 1


@given(logs(), sizes, faults)
def test_no_token_skips_or_goes_back_further_than_its_frame(
    log: list[watch_pb2.Change], sizes: list[int], faults: list[Fault]
) -> None:
    """Resumed from the token of any event, nothing is missing after what was told up to then."""
    events = read_all(Server(log, sizes, faults))
    for number, event in enumerate(events, start=1):
        had = len(told(events[:number]))
        again = told(read_all(Server(log, sizes, []), event.resume_token or "0"))
        missed = log[had:]
        assert again[len(again) - len(missed) :] == missed
        assert len(again) - len(missed) < max(sizes)


@given(logs(), sizes, faults, st.integers(0, 30))
def test_after_a_restart_the_present_state_is_told_whole(
    log: list[watch_pb2.Change], sizes: list[int], faults: list[Fault], oldest: int
) -> None:
    """The log was cut off below the place of a stored token."""
    server = Server(log, sizes, faults)
    server.oldest = oldest
    events = read_all(server, "0" if oldest else "")
    restarts = [n for n, event in enumerate(events) if event.kind is EventKind.RESTARTED]
    assert len(restarts) == bool(oldest)
    assert told(events) == log[oldest:]
