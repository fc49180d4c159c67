"""The options of a filter say all that the contract knows."""

from phaseline.cli.options import Filter
from phaseline.domain.lifecycle import ExecutionStatus
from phaseline.v1 import execution_pb2
from tests.support.messages import NOON, timestamp


def test_a_filter_of_nothing_filters_nothing() -> None:
    assert Filter().message(NOON).ByteSize() == 0


def test_a_filter_says_all_that_the_contract_knows() -> None:
    message = Filter(
        status=[ExecutionStatus.RUNNING, ExecutionStatus.FAILED],
        workflow_id=["w"],
        responder_id=["r"],
        session_id=["s"],
        user_id=["u"],
        chat_message_id="c",
        batch_id="b",
        parent_execution_id="p",
        root_execution_id="t",
        queue_name=["q"],
        repo=["a/b"],
        label=["k=v"],
        created_after="1h",
        created_before="2026-01-31T12:00:00Z",
        id_prefix="0",
    ).message(NOON, active_only=True)
    assert {field.name for field, _ in message.ListFields()} == {
        field.name for field in message.DESCRIPTOR.fields
    }
    assert list(message.statuses) == [
        execution_pb2.EXECUTION_STATUS_RUNNING,
        execution_pb2.EXECUTION_STATUS_FAILED,
    ]
    assert message.created_after == timestamp(seconds=-3600)
