"""Get shows everything, within the size of an answer."""

import pytest
from msgspec.structs import replace

from phaseline.app.ports import Detail
from phaseline.domain.execution import Execution
from phaseline.domain.payload import Payload
from phaseline.v1 import execution_pb2
from phaseline.wire.full_view import full_message
from tests.wire.samples import (
    CANCELLED,
    COMPLETED,
    CONTENT,
    EXECUTION,
    FAILED,
    OPERATION,
    OUTPUT,
    at,
    detail,
)

KIB = 1024


def shown(execution: Execution = EXECUTION, *phase_ids: str) -> execution_pb2.Execution:
    return full_message(detail(execution), at(200), phase_ids)


def test_everything_is_there() -> None:
    message = shown()
    assert [phase.phase_id for phase in message.phases] == ["plan", "review", "sum-up"]
    assert [len(phase.attempts) for phase in message.phases] == [2, 1, 0]
    assert [len(phase.operations) for phase in message.phases] == [1, 0, 0]
    assert message.phases[2].output.data == OUTPUT.data
    assert message.payload.data == b"[1]"
    assert dict(message.inputs) == {"topic": "rivers"}
    assert [usage.model for usage in message.usage_by_model] == ["claude-large", "house-model"]
    assert list(message.artifact_ids) == ["a-1", "a-2"]


def test_the_operations_of_a_phase_come_without_input_and_output() -> None:
    operation = shown().phases[0].operations[0]
    assert operation.operation_id == "op-1"
    assert not operation.HasField("input")


def test_only_the_phases_asked_for_are_there() -> None:
    message = shown(EXECUTION, "sum-up", "review")
    assert [phase.phase_id for phase in message.phases] == ["review", "sum-up"]


def test_the_result_of_a_completed_execution_is_the_output_of_its_last_phase() -> None:
    assert shown(COMPLETED).result.data == OUTPUT.data


@pytest.mark.parametrize("execution", [EXECUTION, FAILED, CANCELLED])
def test_only_a_completed_execution_has_a_result(execution: Execution) -> None:
    assert shown(execution).WhichOneof("outcome") != "result"


def large(payload_size: int, *, operations: int = 0) -> Detail:
    """Return a completed execution of three phases whose payloads have that size each."""
    payload = Payload(data=b"x" * payload_size, media_type="text/plain")
    told = replace(OPERATION.reported, error_message="e" * 1000)
    return replace(
        detail(COMPLETED),
        content=replace(CONTENT, payload_data=payload.data),
        outputs=dict.fromkeys(range(3), payload),
        operations=(replace(OPERATION, reported=told),) * operations,
    )


def test_a_payload_that_does_not_fit_comes_without_its_bytes() -> None:
    message = full_message(large(100 * KIB), at(200), size=350 * KIB)
    assert message.result.WhichOneof("source") == "data"
    assert message.payload.WhichOneof("source") == "data"
    sources = [phase.output.WhichOneof("source") for phase in message.phases]
    assert sources == ["data", None, None]
    assert message.phases[1].output.media_type == "text/plain"
    assert message.ByteSize() <= 350 * KIB


def test_a_phase_asked_for_alone_comes_with_its_bytes() -> None:
    message = full_message(large(100 * KIB), at(200), ("review",), size=250 * KIB)
    assert message.phases[0].output.WhichOneof("source") == "data"
    assert message.ByteSize() <= 250 * KIB


def test_operations_never_take_an_answer_past_its_size() -> None:
    message = full_message(large(KIB, operations=100), at(200), size=50 * KIB)
    assert 0 < len(message.phases[0].operations) < 50
    assert message.ByteSize() <= 50 * KIB
