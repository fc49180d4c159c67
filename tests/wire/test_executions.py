"""An execution as a message tells all that is known of it."""

from datetime import timedelta

from msgspec.structs import replace

from phaseline.domain.execution import Content, Execution, ExecutionSpec
from phaseline.domain.ids import Key
from phaseline.domain.lifecycle import ExecutionStatus
from phaseline.domain.usage import NO_USAGE, Usage
from phaseline.v1 import execution_pb2
from phaseline.wire.executions import add_content, basic_message, status_message
from tests.wire.samples import (
    AGENTIC,
    CANCELLED,
    COMPLETED,
    CONTENT,
    EXECUTION,
    FAILED,
    PURGED,
    T0,
    WORKFLOW,
    at,
)

BASIC = basic_message(EXECUTION, at(35))
ONLY_FULL = {"usage_by_model", "artifact_ids", "inputs", "task", "payload", "result", "phases"}


def test_the_basic_view_has_nothing_of_the_full_one() -> None:
    assert {field.name for field, _ in BASIC.ListFields()}.isdisjoint(ONLY_FULL)


def test_an_execution_says_what_it_runs() -> None:
    assert (BASIC.execution_id, BASIC.workspace_id) == ("x-1", "acme")
    assert (BASIC.workflow_id, BASIC.workflow_name, BASIC.workflow_version) == (
        "survey",
        "Survey",
        3,
    )


def test_an_execution_says_where_it_stands() -> None:
    assert BASIC.status == execution_pb2.EXECUTION_STATUS_RUNNING
    assert (BASIC.current_phase, BASIC.completed_phases, BASIC.total_phases) == ("plan", 1, 3)
    assert BASIC.revision == 21


def test_an_active_execution_has_run_until_now() -> None:
    assert BASIC.duration.ToTimedelta() == timedelta(seconds=30)
    assert BASIC.display.duration == "30s"


def test_a_terminal_execution_has_run_until_its_end() -> None:
    message = basic_message(FAILED, at(9999))
    assert message.duration.ToTimedelta() == timedelta(seconds=120)
    assert message.display.duration == "2m 0s"


def test_an_execution_that_has_not_begun_has_no_duration() -> None:
    message = basic_message(replace(EXECUTION, started_at=None), at(35))
    assert not message.HasField("duration")
    assert message.display.duration == "—"


def test_less_than_a_second_is_told_as_such() -> None:
    assert basic_message(EXECUTION, at(5.9)).display.duration == "<1s"


def test_a_run_of_days_is_told_in_hours() -> None:
    assert basic_message(EXECUTION, at(5 + 2 * 86_400 + 61)).display.duration == "48h 1m"


def test_what_was_just_started_has_nothing_that_is_optional() -> None:
    key = Key("acme", "x-1")
    spec = ExecutionSpec("acme", "x-1", T0, root_execution_id="x-1", queue_name="default")
    message = basic_message(Execution(key, spec, WORKFLOW, ExecutionStatus.PENDING, T0), at(0))
    optional = {"started_at", "completed_at", "duration", "start_at", "run_timeout", "failure"}
    assert not optional & {field.name for field, _ in message.ListFields()}
    assert message.created_at == message.updated_at
    status = status_message(Execution(key, spec, WORKFLOW, ExecutionStatus.PENDING, T0))
    assert not status.HasField("started_at")


def test_figures_are_told_for_people_too() -> None:
    assert BASIC.display.total_tokens == "1k"
    assert BASIC.display.repos == "acme/site +2"


def test_a_cost_is_marked_for_people_only_if_it_is_not_complete() -> None:
    usage = Usage(cost_nanos=1_500_000_000)
    message = basic_message(replace(EXECUTION, usage=usage), at(35))
    assert (BASIC.usage.cost_complete, BASIC.display.total_cost) == (False, "≥$1.50")
    assert (message.usage.cost_complete, message.display.total_cost) == (True, "$1.50")


def test_the_usage_of_the_tree_includes_what_is_below() -> None:
    assert BASIC.usage.input_tokens == 101
    assert BASIC.tree_usage.input_tokens == 102
    assert BASIC.tree_usage.cost_usd == "1.500000001"


def test_without_anything_below_both_are_the_same() -> None:
    message = basic_message(replace(EXECUTION, below=NO_USAGE), at(35))
    assert message.usage == message.tree_usage


def test_limits_are_told_only_where_there_are_any() -> None:
    unlimited = replace(EXECUTION, max_budget_nanos=None, run_timeout=None)
    message = basic_message(unlimited, at(35))
    assert (message.max_budget_usd, message.HasField("run_timeout")) == ("", False)
    assert (BASIC.max_budget_usd, BASIC.run_timeout.seconds) == ("5", 3600)


def test_a_failure_shows_in_every_view() -> None:
    message = basic_message(FAILED, at(200))
    assert message.WhichOneof("outcome") == "failure"
    assert message.failure.phase_id == "review"


def test_a_cancellation_shows() -> None:
    assert basic_message(CANCELLED, at(200)).cancellation.cancelled_by == "ada"
    assert not BASIC.HasField("cancellation")


def test_the_detail_depends_on_who_chooses_the_steps() -> None:
    assert list(BASIC.workflow_detail.running_phases) == ["plan"]
    agentic = basic_message(AGENTIC, at(35))
    assert agentic.is_agentic
    assert agentic.agent_detail.model_call_count == 4
    assert list(agentic.agent_detail.tool_names) == ["Bash", "Read"]


def test_there_is_a_detail_even_when_there_is_nothing_to_tell() -> None:
    idle = replace(EXECUTION, running_phases=())
    assert basic_message(idle, at(35)).WhichOneof("detail") == "workflow_detail"


def test_purging_leaves_no_detail() -> None:
    message = basic_message(PURGED, at(200))
    assert message.is_purged
    assert message.WhichOneof("detail") is None


def test_what_was_given_is_added_for_the_full_view() -> None:
    message = execution_pb2.Execution()
    add_content(message, CONTENT)
    assert dict(message.inputs) == {"topic": "rivers"}
    assert message.task == "look around"
    assert message.payload.data == b"[1]"


def test_nothing_given_adds_nothing() -> None:
    message = execution_pb2.Execution()
    add_content(message, Content())
    assert message == execution_pb2.Execution()


def test_an_empty_payload_is_one() -> None:
    message = execution_pb2.Execution()
    add_content(message, Content(payload_data=b"", has_payload=True))
    assert message.payload.WhichOneof("source") == "data"


def test_the_status_tells_the_same_as_the_execution() -> None:
    status = status_message(FAILED)
    message = basic_message(FAILED, at(200))
    for field, value in status.ListFields():
        if field.name != "error_message":
            assert value == getattr(message, field.name)
    assert status.error_message == message.failure.message


def test_the_status_of_what_runs_has_no_end_and_no_error() -> None:
    status = status_message(EXECUTION)
    assert not status.HasField("completed_at")
    assert status.error_message == ""
    assert status_message(COMPLETED).HasField("completed_at")
