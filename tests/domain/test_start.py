"""Starting an execution: what is refused, and what then exists."""

from datetime import timedelta

import pytest

from phaseline.domain.errors import InvalidArgument, Reason
from phaseline.domain.execution import NO_CONTENT, Content, Execution
from phaseline.domain.payload import Payload
from phaseline.domain.start import (
    Place,
    StartLimits,
    StartRequest,
    check_inputs,
    check_start,
    start,
)
from phaseline.domain.workflow import InputSpec, Workflow
from tests.support import make
from tests.support.clock import START as NOW
from tests.support.make import MINUTE, SECOND

LIMITS = StartLimits(inputs=20, task=10, payload=5)
PLACE = Place("default", "e1")


def _refused(**fields: object) -> list[tuple[str, str]]:
    with pytest.raises(InvalidArgument) as caught:
        check_start(_request(**fields), LIMITS)
    return [(each.field, each.reason) for each in caught.value.violations]


def _request(**fields: object) -> StartRequest:
    return StartRequest(**({"workflow_id": "flow"} | fields))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"workflow_id": ""}, "workflow_id"),
        ({"execution_id": "a b"}, "execution_id"),
        ({"execution_id": "x" * 129}, "execution_id"),
        ({"request_id": "x" * 129}, "request_id"),
        ({"parent_execution_id": "x" * 129}, "parent_execution_id"),
        ({"session_id": "x" * 129}, "session_id"),
        ({"user_id": "x" * 129}, "user_id"),
        ({"responder_id": "x" * 129}, "responder_id"),
        ({"chat_message_id": "x" * 129}, "chat_message_id"),
        ({"queue_name": "x" * 129}, "queue_name"),
        ({"deployment_id": "x" * 129}, "deployment_id"),
        ({"output_schema_name": "x" * 129}, "output_schema_name"),
        ({"concurrency_key": "x" * 257}, "concurrency_key"),
        ({"labels": {"": "v"}}, "labels[]"),
        ({"repos": ("a/b", "")}, "repos[1]"),
        ({"repos": ("x" * 257,)}, "repos[0]"),
        ({"repos": ("a/b",) * 33}, "repos"),
        ({"priority": 101}, "priority"),
        ({"priority": -101}, "priority"),
        ({"workflow_version": -1}, "workflow_version"),
        ({"run_timeout": timedelta()}, "run_timeout"),
        ({"step_key": "s"}, "step_key"),
        ({"payload": Payload(uri="x" * 2049)}, "payload.uri"),
        ({"payload": Payload(b"", media_type="x" * 129)}, "payload.media_type"),
    ],
)
def test_what_is_wrong_is_told_with_its_field(fields: dict[str, object], field: str) -> None:
    assert _refused(**fields) == [(field, "INVALID_FIELD")]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"inputs": {"ab": "ä" * 9 + "x"}}, "inputs"),
        ({"inputs": {"a": "0123456789", "b": "0123456789"}}, "inputs"),
        ({"task": "ä" * 5 + "x"}, "task"),
        ({"payload": Payload(b"123456")}, "payload.data"),
    ],
)
def test_what_is_too_large_is_told_with_its_field(fields: dict[str, object], field: str) -> None:
    assert _refused(**fields) == [(field, "PAYLOAD_TOO_LARGE")]


def test_what_is_just_small_enough_is_taken() -> None:
    check_start(
        _request(
            execution_id="A-z_0:9.",
            parent_execution_id="p",
            step_key="s" * 128,
            inputs={"ab": "ä" * 9},
            task="ä" * 5,
            payload=Payload(b"12345"),
            priority=100,
            repos=("a/b",) * 32,
            concurrency_key="x" * 256,
        ),
        LIMITS,
    )
    check_start(_request(lease_token="t", step_key="s", priority=-100), LIMITS)


def test_everything_that_is_wrong_is_told_at_once() -> None:
    assert [field for field, _ in _refused(workflow_id="", priority=500, task="x" * 11)] == [
        "workflow_id",
        "priority",
        "task",
    ]


class TestInputs:
    """What a workflow declares."""

    FLOW = make.workflow(
        inputs=(
            InputSpec("topic", required=True),
            InputSpec("tone", required=True, default_value="calm"),
            InputSpec("extra"),
        )
    )

    def test_required_ones_without_a_default_must_be_given(self) -> None:
        with pytest.raises(InvalidArgument) as caught:
            check_inputs(_request(inputs={"extra": "x"}), self.FLOW)
        (violation,) = caught.value.violations
        assert (violation.field, violation.reason) == ("inputs[topic]", Reason.MISSING_INPUT)

    def test_others_are_unknown(self) -> None:
        with pytest.raises(InvalidArgument, match="it takes topic, tone, extra") as caught:
            check_inputs(_request(inputs={"topic": "", "tpoic": "x"}), self.FLOW)
        (violation,) = caught.value.violations
        assert (violation.field, violation.reason) == ("inputs[tpoic]", Reason.UNKNOWN_INPUT)

    def test_missing_and_unknown_ones_are_told_together(self) -> None:
        with pytest.raises(InvalidArgument) as caught:
            check_inputs(_request(inputs={"tpoic": "x"}), self.FLOW)
        assert [each.reason for each in caught.value.violations] == [
            Reason.MISSING_INPUT,
            Reason.UNKNOWN_INPUT,
        ]

    def test_an_empty_value_is_a_value(self) -> None:
        check_inputs(_request(inputs={"topic": ""}), self.FLOW)

    def test_defaults_are_filled_in(self) -> None:
        _, content = start(_request(inputs={"topic": "x"}), self.FLOW, PLACE, NOW)
        assert content.inputs == {"topic": "x", "tone": "calm"}

    def test_a_given_value_goes_before_the_default(self) -> None:
        _, content = start(_request(inputs={"topic": "x", "tone": ""}), self.FLOW, PLACE, NOW)
        assert content.inputs["tone"] == ""


def _started(
    request: StartRequest | None = None, flow: Workflow | None = None, place: Place = PLACE
) -> Execution:
    return start(request or _request(), flow or make.workflow(), place, NOW)[0]


def test_a_root_is_the_top_of_its_own_tree() -> None:
    spec = _started().spec
    assert (spec.parent_execution_id, spec.root_execution_id) == ("", "e1")
    assert (spec.ancestor_execution_ids, spec.batch_id) == ((), "")


def test_a_child_knows_all_above_it() -> None:
    spec = _started(place=Place("default", "e3", ("e1", "e2"), "b1")).spec
    assert (spec.parent_execution_id, spec.root_execution_id) == ("e2", "e1")
    assert (spec.ancestor_execution_ids, spec.batch_id) == (("e1", "e2"), "b1")


def test_the_workflow_says_what_the_caller_does_not() -> None:
    flow = make.workflow(
        queue_name="gpu", run_timeout=MINUTE, max_budget_nanos=9, output_schema_name="Report"
    )
    one = _started(flow=flow)
    assert (one.spec.queue_name, one.spec.output_schema_name) == ("gpu", "Report")
    assert (one.run_timeout, one.max_budget_nanos) == (MINUTE, 9)
    asked = _request(
        queue_name="cpu", run_timeout=SECOND, max_budget_nanos=0, output_schema_name="Other"
    )
    one = _started(asked, flow)
    assert (one.spec.queue_name, one.spec.output_schema_name) == ("cpu", "Other")
    assert (one.run_timeout, one.max_budget_nanos) == (SECOND, 0)


def test_the_queue_is_the_default_one_if_nobody_says() -> None:
    assert _started().spec.queue_name == "default"


def test_only_a_start_that_lies_ahead_is_kept() -> None:
    one = _started(_request(start_at=NOW + SECOND))
    assert (one.spec.start_at, one.waits_until) == (NOW + SECOND, NOW + SECOND)
    for past in (NOW, NOW - SECOND):
        one = _started(_request(start_at=past))
        assert (one.spec.start_at, one.waits_until) == (None, None)


def test_the_content_is_kept_apart() -> None:
    request = _request(task="do it", payload=Payload(b"x", media_type="text/plain"))
    one, content = start(request, make.workflow(), PLACE, NOW)
    assert content == Content(
        task="do it", payload_data=b"x", payload_media_type="text/plain", has_payload=True
    )
    assert one.spec.has_content
    one, content = start(_request(), make.workflow(), PLACE, NOW)
    assert (one.spec.has_content, content) == (False, NO_CONTENT)


def test_an_empty_payload_is_a_payload() -> None:
    _, content = start(_request(payload=Payload()), make.workflow(), PLACE, NOW)
    assert (content.has_payload, content.payload_data) == (True, None)


def test_the_size_of_the_content_counts_all_of_it() -> None:
    content = Content(inputs={"ab": "cdä"}, task="fg", payload_data=b"h", has_payload=True)
    assert content.size == 9
    assert Content(payload_uri="s3://b", has_payload=True).size == 6


class TestConcurrencyKey:
    """Which executions share a limit."""

    FLOW = make.workflow(
        inputs=(InputSpec("team", default_value="all"),),
        concurrency=make.limit(1, "{{workflow_id}}/{{team}}/$ARGUMENTS"),
    )

    def test_is_filled_from_the_template(self) -> None:
        one = _started(_request(task="t", inputs={"team": "x"}), self.FLOW)
        assert one.spec.concurrency_key == "flow/x/t"
        assert _started(flow=self.FLOW).spec.concurrency_key == "flow/all/"

    def test_is_what_the_caller_says(self) -> None:
        assert _started(_request(concurrency_key="k"), self.FLOW).spec.concurrency_key == "k"

    def test_is_kept_without_a_limit_too(self) -> None:
        assert _started(_request(concurrency_key="k")).spec.concurrency_key == "k"
        assert _started().spec.concurrency_key == ""

    def test_that_is_long_is_still_its_own(self) -> None:
        keys = {
            _started(_request(task="x" * 500 + end), self.FLOW).spec.concurrency_key
            for end in ("", "a", "b")
        }
        assert len(keys) == 3
        assert all(len(key) == 256 for key in keys)

    def test_waits_for_a_slot(self) -> None:
        assert _started(flow=self.FLOW).wants_slot
        assert not _started(flow=self.FLOW).admitted
        assert _started().admitted
