"""The bytes of a version are what an answer would have said at its moment."""

from msgspec.structs import replace

from phaseline.app.ports import Encoder as EncoderPort
from phaseline.v1 import execution_pb2
from phaseline.wire.encoder import Encoder
from phaseline.wire.executions import basic_message
from tests.wire.samples import EXECUTION, OPERATION

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


def test_an_operation_has_no_input_and_output() -> None:
    read = execution_pb2.Operation.FromString(ENCODER.operation(OPERATION))
    assert read.operation_id == "op-1"
    assert not read.HasField("input")
    assert not read.HasField("output")
