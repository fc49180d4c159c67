"""On a terminal, what is watched is drawn in place, and Ctrl-C leaves it alone."""

import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest

from phaseline.domain.errors import Unavailable
from phaseline.v1 import artifact_service_pb2, execution_pb2
from phaseline.v1 import execution_service_pb2 as service_pb2
from tests.support.fake_service import FakeService
from tests.support.messages import (
    EXECUTION_ID,
    change,
    changes,
    closing,
    execution,
    opened,
    operation,
    phase,
    synced,
    watched,
)
from tests.support.terminal import Terminal

BEGUN = watched(
    opened(), changes(change(execution()), change(phase()), change(operation())), synced()
)


class Held:
    """A stream that sends some frames, and the others once it is let go."""

    def __init__(self, *after: service_pb2.WatchResponse) -> None:
        self._after = after
        self._let_go = threading.Event()

    def __iter__(self) -> Iterator[service_pb2.WatchResponse]:
        yield from BEGUN
        self._let_go.wait(20)
        yield from self._after

    def let_go(self) -> None:
        self._let_go.set()


@pytest.fixture
def stream() -> Iterator[Held]:
    ended = execution("COMPLETED", revision=2, completed_phases=2)
    held = Held(*watched(changes(change(ended), token="t-2"), closing()))
    yield held
    held.let_go()


def test_an_execution_is_drawn_in_place_until_it_ends(service: FakeService, stream: Held) -> None:
    result = execution_pb2.Payload(data=b"# All is fine")
    done = execution("COMPLETED", completed_phases=2, result=result)
    service.answer("Get", service_pb2.GetResponse(execution=done))
    service.stream("Watch", stream)
    with Terminal(["watch", EXECUTION_ID], {"PHASELINE_SERVER": service.address}) as terminal:
        terminal.wait_for("Read tool")
        stream.let_go()
        assert terminal.ended() == 0
    assert "PHASE" in terminal.text
    assert terminal.text.count("✔ completed in 1m 2s · 2 of 2 phases") == 1
    assert "# All is fine" in terminal.text
    assert b"\x1b[1A" in terminal.raw, "it moves up to draw over what it drew"
    assert b"\x1b[?25h" in terminal.raw, "the cursor is back"


def test_ctrl_c_ends_the_watch_and_not_the_execution(service: FakeService, stream: Held) -> None:
    service.stream("Watch", stream)
    with Terminal(["watch", EXECUTION_ID], {"PHASELINE_SERVER": service.address}) as terminal:
        terminal.wait_for("Read tool")
        terminal.press(b"\x03")
        assert terminal.ended() == 130
    assert "Traceback" not in terminal.text
    assert f"it goes on; follow it again: phaseline watch {EXECUTION_ID}" in terminal.text
    assert b"\x1b[?25h" in terminal.raw
    assert service.requests("Cancel") == []


def test_purge_asks_first(service: FakeService) -> None:
    service.answer("Purge", service_pb2.PurgeResponse(execution=execution("COMPLETED")))
    environment = {"PHASELINE_SERVER": service.address}
    with Terminal(["purge", EXECUTION_ID], environment) as terminal:
        terminal.wait_for("for good? [y/N]")
        terminal.press(b"n\n")
        assert terminal.ended() == 2
    assert service.requests("Purge") == []
    with Terminal(["purge", EXECUTION_ID], environment) as terminal:
        terminal.wait_for("for good? [y/N]")
        terminal.press(b"y\n")
        assert terminal.ended() == 0
    assert len(service.requests("Purge")) == 1


def test_bytes_that_are_no_text_are_kept_from_the_terminal(service: FakeService) -> None:
    response = artifact_service_pb2.GetArtifactResponse()
    response.artifact.name = "image.png"
    response.artifact.content.data = b"\x89PNG\x1b[2J"
    service.answer("GetArtifact", response)
    with Terminal(["artifact", "get", "a"], {"PHASELINE_SERVER": service.address}) as terminal:
        assert terminal.ended() == 2
    assert "hint: write it to a file with -o FILE" in terminal.text
    assert b"\x1b[2J" not in terminal.raw


def test_all_active_executions_are_drawn_in_place(service: FakeService) -> None:
    let_go = threading.Event()

    def frames() -> Iterator[service_pb2.WatchActiveResponse]:
        for frame in (opened(), changes(change(execution(), "ADDED")), synced()):
            yield service_pb2.WatchActiveResponse(frame=frame)
        let_go.wait(20)
        ended = change(execution("FAILED", revision=2), "REMOVED")
        yield service_pb2.WatchActiveResponse(frame=changes(ended, token="t-2"))
        yield service_pb2.WatchActiveResponse(frame=closing())

    service.stream("WatchActive", frames())
    with Terminal(["watch"], {"PHASELINE_SERVER": service.address}) as terminal:
        terminal.wait_for("1 active · 1 running")
        let_go.set()
        terminal.wait_for("ended last")
        assert terminal.ended() == 0
    assert "0192f3a1-c7b2  repo-survey" in terminal.text


def test_a_cut_shows_until_the_watch_goes_on(service: FakeService) -> None:
    done = execution("COMPLETED", revision=2)
    let_go = threading.Event()

    def cut() -> Iterator[service_pb2.WatchResponse | Exception]:
        yield from BEGUN
        yield Unavailable("gone", reason="DRAINING", retry_after=timedelta(seconds=1))

    def resumed() -> Iterator[service_pb2.WatchResponse]:
        let_go.wait(20)
        yield from watched(opened(), changes(change(done), token="t-2"), closing())

    service.stream("Watch", cut(), resumed())
    service.answer("Get", service_pb2.GetResponse(execution=done))
    with Terminal(["watch", EXECUTION_ID], {"PHASELINE_SERVER": service.address}) as terminal:
        terminal.wait_for("Read tool")
        terminal.wait_for("no connection to the server; trying again")
        let_go.set()
        assert terminal.ended() == 0
    assert "✔ completed" in terminal.text.rpartition("trying again")[2]
