"""The bytes of a version are what an answer would have said at its moment."""

from typing import Any

import pytest
from msgspec.structs import replace

from phaseline.app.ports import Encoder as EncoderPort
from phaseline.domain.execution import Phase
from phaseline.domain.lifecycle import PhaseStatus
from phaseline.v1 import execution_pb2
from phaseline.wire.encoder import Encoder
from phaseline.wire.executions import basic_message
from phaseline.wire.phases import phase_message
from tests.wire.samples import EXECUTION, OPERATION, T0

ENCODER: EncoderPort = Encoder()


def test_an_execution_is_told_as_of_its_last_change() -> None:
    read = execution_pb2.Execution.FromString(ENCODER.execution(EXECUTION))
    assert read == basic_message(EXECUTION, EXECUTION.updated_at)


def test_body_and_extra_are_one_message() -> None:
    whole = ENCODER.execution(EXECUTION) + ENCODER.execution_extra(EXECUTION)
    read = execution_pb2.Execution.FromString(whole)
    assert read.execution_id == "x-1"
    assert [usage.model for usage in read.usage_by_model] == ["claude-large", "house-model"]
    assert list(read.artifact_ids) == ["a-1", "a-2"]


def test_an_execution_that_used_nothing_has_no_extra() -> None:
    idle = replace(EXECUTION, usage_by_model=(), artifact_ids=())
    assert ENCODER.execution_extra(idle) == b""


def test_a_phase_has_no_output_attempts_and_operations() -> None:
    read = execution_pb2.Phase.FromString(ENCODER.phase(EXECUTION, 2))
    assert read.phase_id == "sum-up"
    assert not {"output", "attempts", "operations"} & {field.name for field, _ in read.ListFields()}


@pytest.mark.parametrize("status", PhaseStatus)
@pytest.mark.parametrize("session_id", ["", "s-9"])
def test_a_phase_that_has_not_begun_is_told_like_any_other(
    status: PhaseStatus, session_id: str
) -> None:
    encoder = Encoder()
    for execution_id, revision in (("x-1", 3), ("x-2", 300)):
        execution = replace(
            EXECUTION,
            spec=replace(EXECUTION.spec, execution_id=execution_id, session_id=session_id),
            phases=tuple(Phase(each.phase_id, status, revision) for each in EXECUTION.phases),
        )
        for position in range(execution.total_phases):
            read = execution_pb2.Phase.FromString(encoder.phase(execution, position))
            assert read == phase_message(execution, position, execution.updated_at)


@pytest.mark.parametrize(
    "of_its_own",
    [{"epoch": 1, "attempt": 2}, {"completed_at": T0}, {"next_attempt_at": T0}],
    ids=str,
)
def test_what_a_phase_has_of_its_own_is_told(of_its_own: dict[str, Any]) -> None:
    encoder = Encoder()
    plain = replace(EXECUTION, phases=tuple(Phase(each.phase_id) for each in EXECUTION.phases))
    own = replace(plain, phases=(replace(plain.phases[0], **of_its_own), *plain.phases[1:]))
    for execution in (plain, own, plain):
        read = execution_pb2.Phase.FromString(encoder.phase(execution, 0))
        assert read == phase_message(execution, 0, execution.updated_at)


def test_an_operation_has_no_input_and_output() -> None:
    read = execution_pb2.Operation.FromString(ENCODER.operation(OPERATION))
    assert read.operation_id == "op-1"
    assert not read.HasField("input")
    assert not read.HasField("output")
