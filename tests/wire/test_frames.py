"""Frames put together from bytes are the messages of the contract."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from phaseline.app.changes import Part, Resource
from phaseline.domain.report import OperationReport
from phaseline.v1 import execution_pb2, watch_pb2
from phaseline.v1.execution_service_pb2 import WatchActiveResponse, WatchResponse
from phaseline.wire.encoder import Encoder
from phaseline.wire.frames import Frames
from phaseline.wire.scalars import timestamp
from tests.wire.samples import COMPLETED, CONTENT, EXECUTION, OPERATION, OUTPUT, T0

FRAMES, ENCODER = Frames(), Encoder()
ADDED = watch_pb2.CHANGE_KIND_ADDED
SECOND = timedelta(seconds=1)

WHOLE = Part(
    Resource.EXECUTION, True, ENCODER.execution(EXECUTION), ENCODER.execution_extra(EXECUTION)
)
PHASE = Part(Resource.PHASE, True, ENCODER.phase(EXECUTION, 2))
STEP = Part(Resource.OPERATION, True, ENCODER.operation(OPERATION))


def change(part: Part, *, full: bool = False, payloads: bytes = b"") -> watch_pb2.Change:
    body = FRAMES.change(ADDED, T0, part, full=full, payloads=payloads)
    return watch_pb2.Change.FromString(body)


def frame(body: bytes) -> watch_pb2.WatchFrame:
    """Return the frame in *body*, which both watches have in common."""
    response = WatchResponse.FromString(body)
    assert WatchActiveResponse.FromString(body).frame == response.frame
    return response.frame


@pytest.mark.parametrize(
    ("part", "resource"), [(WHOLE, "execution"), (PHASE, "phase"), (STEP, "operation")]
)
def test_a_change_holds_its_resource(part: Part, resource: str) -> None:
    made = change(part)
    assert made.WhichOneof("resource") == resource
    assert getattr(made, resource).SerializeToString() == part.body
    assert (made.kind, made.changed_at) == (ADDED, timestamp(T0))


def test_only_the_full_view_has_the_extra() -> None:
    assert not change(WHOLE).execution.usage_by_model
    assert len(change(WHOLE, full=True).execution.usage_by_model) == 2


def test_the_full_view_has_what_an_execution_was_given() -> None:
    execution = change(WHOLE, full=True, payloads=FRAMES.content(CONTENT)).execution
    assert execution.execution_id == "x-1"
    assert dict(execution.inputs) == {"topic": "rivers"}
    assert execution.payload.data == b"[1]"


def test_the_full_view_has_what_an_execution_produced() -> None:
    body = Part(Resource.EXECUTION, False, ENCODER.execution(COMPLETED))
    made = change(body, full=True, payloads=FRAMES.result(OUTPUT))
    assert made.execution.result.data == OUTPUT.data


def test_the_full_view_has_what_a_phase_produced() -> None:
    made = change(PHASE, full=True, payloads=FRAMES.output(OUTPUT))
    assert (made.phase.phase_id, made.phase.output.data) == ("sum-up", OUTPUT.data)


def test_the_full_view_has_input_and_output_of_an_operation() -> None:
    payloads = FRAMES.operation_payloads(OPERATION.reported)
    made = change(STEP, full=True, payloads=payloads).operation
    assert (made.operation_id, made.input.data) == ("op-1", b"ls")
    assert made.output.uri == "s3://bucket/log"


def test_an_operation_without_payloads_adds_nothing() -> None:
    assert FRAMES.operation_payloads(OperationReport("op", "tool")) == b""


@given(st.integers(1, 100), st.integers(0, 2**40), st.integers(0, 300), st.text(max_size=200))
def test_a_set_of_changes_of_any_size_is_read_back(
    count: int, folded: int, extra: int, token: str
) -> None:
    # Of many sizes, so that lengths take one byte, two and three.
    long = replace(
        STEP, body=execution_pb2.Operation(error_message="e" * extra).SerializeToString()
    )
    bodies = [FRAMES.change(ADDED, T0, part, full=False) for part in (WHOLE, long)] * count
    read = frame(FRAMES.change_set(bodies, folded, token))
    assert [each.SerializeToString() for each in read.change_set.changes] == bodies
    assert (read.change_set.folded_count, read.resume_token) == (folded, token)


def test_the_first_frame_says_what_to_expect() -> None:
    opened = frame(FRAMES.opened(7 * SECOND, 15 * SECOND, 60 * SECOND, "t"))
    assert opened.resume_token == "t"
    assert opened.opened.retention.seconds == 7
    assert opened.opened.bookmark_interval.seconds == 15
    assert opened.opened.max_age.seconds == 60


@pytest.mark.parametrize("synced", [True, False])
def test_a_bookmark_moves_the_token_on(synced: bool) -> None:
    read = frame(FRAMES.bookmark("t", synced=synced))
    assert read.WhichOneof("kind") == "bookmark"
    assert (read.bookmark.synced, read.resume_token) == (synced, "t")


def test_the_last_frame_says_why_and_when_to_come_back() -> None:
    read = frame(FRAMES.closing(watch_pb2.CLOSE_REASON_DRAINING, 2 * SECOND, "t"))
    assert read.closing.reason == watch_pb2.CLOSE_REASON_DRAINING
    assert read.closing.reconnect_delay.seconds == 2
