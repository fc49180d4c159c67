"""Workflows survive the wire, and reading one back and applying it changes nothing."""

from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import Struct
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from phaseline.domain.errors import InvalidArgument
from phaseline.domain.money import MAX_NANOS
from phaseline.domain.workflow import (
    ConcurrencyLimit,
    InputSpec,
    PhaseSpec,
    RetryPolicy,
    WorkflowSpec,
)
from phaseline.v1 import workflow_pb2, workflow_service_pb2
from phaseline.wire.reading import Checks
from phaseline.wire.structs import object_message, read_object
from phaseline.wire.workflows import (
    head_message,
    read_apply,
    read_get_workflow,
    read_workflow,
    workflow_message,
)
from tests.wire.samples import SPEC, WORKFLOW

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
spans = st.timedeltas(timedelta(), timedelta(days=999))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@st.composite
def objects(draw: st.DrawFn) -> str:
    """Return a JSON object in its canonical form, or none."""
    value = draw(st.none() | st.dictionaries(texts, json_values, max_size=3))
    if value is None:
        return ""
    struct = Struct()
    struct.update(value)
    return read_object("config", struct, Checks())


phases = st.builds(
    PhaseSpec,
    phase_id=st.just("p"),
    handler=texts,
    name=texts.filter(lambda name: name != "p"),
    prompt=texts,
    config=objects(),
    model=texts,
    timeout=st.none() | spans,
    retry_policy=st.none()
    | st.builds(
        RetryPolicy,
        st.integers(1, 100),
        spans,
        spans,
        st.floats(1, 10),
        st.lists(texts, max_size=3).map(tuple),
    ),
    depends_on=st.lists(texts, max_size=3).map(tuple),
    parallel=st.booleans(),
)
specs = st.builds(
    WorkflowSpec,
    workflow_id=st.just("w"),
    phases=st.lists(phases, max_size=3).map(tuple),
    name=texts.filter(lambda name: name != "w"),
    description=texts,
    inputs=st.lists(st.builds(InputSpec, texts, texts, st.booleans(), texts), max_size=2).map(
        tuple
    ),
    queue_name=texts.filter(lambda name: name != "default"),
    concurrency=st.none() | st.builds(ConcurrencyLimit, st.integers(1, 99), texts),
    run_timeout=st.none() | spans,
    max_budget_nanos=st.none() | st.integers(0, MAX_NANOS),
    is_agentic=st.booleans(),
    output_schema=objects(),
    output_schema_name=texts,
    labels=st.dictionaries(texts, texts, max_size=3),
)


@given(specs)
def test_a_workflow_survives(spec: WorkflowSpec) -> None:
    checks = Checks()
    sent = workflow_message(replace(WORKFLOW, spec=spec)).SerializeToString()
    assert read_workflow(workflow_pb2.Workflow.FromString(sent), checks) == spec
    assert checks.found == []


def test_the_names_and_the_queue_in_effect_are_told() -> None:
    plain = WorkflowSpec("survey", (PhaseSpec("plan", "agent"),))
    message = workflow_message(replace(WORKFLOW, spec=plain))
    assert (message.name, message.queue_name) == ("survey", "default")
    assert message.phases[0].name == "plan"
    assert read_workflow(message, Checks()) == plain


def test_a_stored_workflow_tells_its_version_and_times() -> None:
    message = workflow_message(WORKFLOW)
    assert message.version == 3
    assert message.created_at.seconds < message.updated_at.seconds


def test_what_the_server_sets_is_not_read() -> None:
    given_back = workflow_message(WORKFLOW)
    assert read_workflow(given_back, Checks()) == SPEC


def test_a_list_leaves_out_phases_and_output_schema() -> None:
    message = head_message(WORKFLOW)
    assert message.workflow_id == "survey"
    assert [given.name for given in message.inputs] == ["topic"]
    assert not message.phases
    assert not message.HasField("output_schema")


def test_a_retry_policy_has_defaults() -> None:
    phase = workflow_pb2.PhaseSpec(retry_policy=workflow_pb2.RetryPolicy())
    spec = read_workflow(workflow_pb2.Workflow(phases=[phase]), Checks())
    assert spec.phases[0].retry_policy == RetryPolicy()


def test_an_empty_object_is_not_the_same_as_none() -> None:
    message = workflow_pb2.Workflow(output_schema=Struct())
    assert read_workflow(message, Checks()).output_schema == "{}"
    assert read_workflow(workflow_pb2.Workflow(), Checks()).output_schema == ""


def test_equal_objects_have_equal_text() -> None:
    one, other = Struct(), Struct()
    one.update({"b": 1, "a": [None, "é"]})
    other.update({"a": [None, "é"], "b": 1.0})
    texts = {read_object("config", each, Checks()) for each in (one, other)}
    assert texts == {'{"a":[null,"é"],"b":1}'}
    assert object_message(texts.pop()) == one


@pytest.mark.parametrize("number", [float("inf"), float("nan")])
def test_an_object_holds_only_what_json_knows(number: float) -> None:
    struct = Struct()
    struct.update({"a": number})
    checks = Checks()
    read_object("config", struct, checks)
    assert [each.field for each in checks.found] == ["config"]


def apply(**fields: Any) -> None:
    workflow = workflow_pb2.Workflow(**fields)
    read_apply(workflow_service_pb2.ApplyWorkflowRequest(workflow=workflow))


NEGATIVE = Duration(seconds=-1)


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"max_budget_usd": "much"}, "workflow.max_budget_usd"),
        ({"run_timeout": NEGATIVE}, "workflow.run_timeout"),
        (
            {"phases": [workflow_pb2.PhaseSpec(), workflow_pb2.PhaseSpec(timeout=NEGATIVE)]},
            "workflow.phases[1].timeout",
        ),
        (
            {"phases": [{"retry_policy": {"initial_delay": NEGATIVE}}]},
            "workflow.phases[0].retry_policy.initial_delay",
        ),
        (
            {"phases": [{"retry_policy": {"max_delay": NEGATIVE}}]},
            "workflow.phases[0].retry_policy.max_delay",
        ),
        ({"description": "x" * (3 * 1024 * 1024)}, "workflow"),
    ],
)
def test_what_cannot_be_read_has_its_path(fields: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidArgument) as error:
        apply(**fields)
    assert [each.field for each in error.value.violations] == [path]


def test_a_workflow_is_asked_for_by_id_and_version() -> None:
    request = workflow_service_pb2.GetWorkflowRequest(workflow_id="survey", version=2)
    asked = read_get_workflow(request)
    assert (asked.workflow_id, asked.version) == ("survey", 2)


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (workflow_service_pb2.GetWorkflowRequest(), "workflow_id"),
        (workflow_service_pb2.GetWorkflowRequest(workflow_id="w", version=-1), "version"),
    ],
)
def test_a_version_that_cannot_be_is_refused(
    request_: workflow_service_pb2.GetWorkflowRequest, field: str
) -> None:
    with pytest.raises(InvalidArgument) as error:
        read_get_workflow(request_)
    assert [each.field for each in error.value.violations] == [field]
