"""There is a filter of each kind that executions give a value for."""

from __future__ import annotations

from google.protobuf.timestamp_pb2 import Timestamp

from phaseline.bench.filters import filters
from phaseline.v1.execution_pb2 import Execution, ExecutionStatus
from phaseline.v1.execution_service_pb2 import ExecutionFilter

COMPLETED = ExecutionStatus.EXECUTION_STATUS_COMPLETED


def test_each_value_of_an_execution_becomes_a_filter_by_it() -> None:
    one = Execution(
        execution_id="0190-1234-5678",
        root_execution_id="0190-1234-5678",
        status=COMPLETED,
        user_id="ada",
        labels={"team": "core", "env": "test"},
        repos=["acme/one", "acme/two"],
        created_at=Timestamp(seconds=5),
    )
    assert filters([one]) == {
        "status": ExecutionFilter(statuses=[COMPLETED]),
        "user_id": ExecutionFilter(user_ids=["ada"]),
        "repo": ExecutionFilter(repos=["acme/one"]),
        "label": ExecutionFilter(labels={"env": "test"}),
        "created_before": ExecutionFilter(created_before=Timestamp(seconds=5)),
        "id_prefix": ExecutionFilter(id_prefix="0190-1234-"),
    }


def test_a_root_says_nothing_of_trees_and_a_child_does() -> None:
    root = Execution(execution_id="root", root_execution_id="root")
    child = Execution(execution_id="child", root_execution_id="root", parent_execution_id="root")
    assert "root_execution_id" not in filters([root])
    assert filters([root, child])["root_execution_id"].root_execution_id == "root"


def test_the_first_execution_with_a_value_gives_it() -> None:
    found = filters([Execution(), Execution(user_id="ada"), Execution(user_id="bob")])
    assert found["user_id"].user_ids == ["ada"]
