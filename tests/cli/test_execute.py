"""An execution is started with what the options say."""

import json
from pathlib import Path

import pytest

from phaseline.domain.errors import FieldViolation, InvalidArgument, NotFound
from phaseline.v1 import execution_pb2
from phaseline.v1 import execution_service_pb2 as service_pb2
from tests.cli.conftest import Program
from tests.support import messages
from tests.support.fake_service import FakeService
from tests.support.messages import EXECUTION_ID

STARTED = service_pb2.ExecuteResponse(
    execution_id=EXECUTION_ID,
    workflow_id="repo-survey",
    status=execution_pb2.EXECUTION_STATUS_PENDING,
    message="Workflow execution started",
    created=True,
    resume_token="t-0",
)


def request(service: FakeService) -> service_pb2.ExecuteRequest:
    [only] = service.requests("Execute")
    assert isinstance(only, service_pb2.ExecuteRequest)
    return only


@pytest.fixture
def started(service: FakeService) -> FakeService:
    """A server that starts everything."""
    service.answer("Execute", STARTED)
    return service


def test_the_answer_is_told_with_a_way_to_follow_it(program: Program, started: FakeService) -> None:
    ended = program("execute", "repo-survey")
    assert ended.code == 0
    assert ended.out == f"○ {EXECUTION_ID} pending  Workflow execution started\n"
    assert ended.err == f"follow it: phaseline watch {EXECUTION_ID}\n"


def test_the_id_can_be_printed_alone(program: Program, started: FakeService) -> None:
    assert program("execute", "repo-survey", "-q").out == f"{EXECUTION_ID}\n"


def test_the_answer_as_json_is_that_of_the_contract(program: Program, started: FakeService) -> None:
    ended = program("execute", "repo-survey", "-o", "json")
    assert json.loads(ended.out)["created"] is True
    assert ended.err == ""


def test_every_field_can_be_given(program: Program, started: FakeService, tmp_path: Path) -> None:
    (tmp_path / "data.json").write_text("{}")
    (tmp_path / "note.txt").write_text("hi")
    ended = program(
        *("execute", "repo-survey", "--task", "survey it", "--input", "a=1", "-i", "b=x=y"),
        *("--input-file", "c=note.txt", "--payload", "data.json", "--request-id", "r"),
        *("--execution-id", "mine", "--parent", "p", "--step-key", "s", "--session-id", "s"),
        *("--user-id", "u", "--responder-id", "r", "--chat-message-id", "c", "--repo", "a/b"),
        *("--repo", "c/d", "--label", "k=v", "--queue", "gpu", "--concurrency-key", "key"),
        *("--priority", "-5", "--deployment-id", "v2", "--run-timeout", "1h", "--budget", "2.50"),
        *("--output-schema-name", "o", "--start-at", "2026-01-31T12:00:00Z"),
        *("--workflow-version", "3", "--validate-only"),
    )
    assert ended.code == 0
    sent = request(started)
    fields = {field.name for field, _ in sent.ListFields()}
    unused = {"lease_token", "provider"}
    assert fields == {field.name for field in sent.DESCRIPTOR.fields} - unused
    assert dict(sent.inputs) == {"a": "1", "b": "x=y", "c": "hi"}
    assert (sent.payload.data, sent.payload.media_type) == (b"{}", "application/json")
    assert sent.start_at == messages.timestamp()
    assert sent.run_timeout == messages.duration(3600)
    assert (sent.priority, sent.max_budget_usd) == (-5, "2.50")


def test_a_repeat_with_the_same_key_can_be_asked_for(
    program: Program, started: FakeService
) -> None:
    program("execute", "repo-survey", "--request-id", "mine")
    assert request(started).request_id == "mine"


def test_nothing_is_started_by_a_check(program: Program, service: FakeService) -> None:
    service.answer("Execute", service_pb2.ExecuteResponse(message="Request is valid"))
    ended = program("execute", "repo-survey", "--validate-only", "--watch")
    assert (ended.code, ended.out, ended.err) == (0, "Request is valid\n", "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--input", "a"), "--input must be KEY=VALUE, is 'a'"),
        (("--input", "a=1", "--input", "a=2"), "--input a is given twice"),
        (("--run-timeout", "soon"), "--run-timeout must be a duration"),
        (("--start-at", "noon"), "--start-at must be a time"),
        (("--payload", "missing"), "--payload cannot read missing: No such file or directory"),
        (("--input-file", "a=missing"), "--input-file cannot read missing"),
        (("--priority", "101"), "invalid value for '--priority'"),
    ],
)
def test_what_cannot_be_read_is_refused_before_anything_is_sent(
    program: Program, started: FakeService, arguments: tuple[str, ...], said: str
) -> None:
    ended = program("execute", "repo-survey", *arguments)
    assert ended.code == 2
    assert said in ended.err
    assert started.requests("Execute") == []


def test_an_input_given_in_two_ways_is_refused(
    program: Program, started: FakeService, tmp_path: Path
) -> None:
    (tmp_path / "f").write_text("x")
    ended = program("execute", "w", "--input", "a=1", "--input-file", "a=f")
    assert ended.err == "error: input a is given with --input and with --input-file\n"


def test_an_unknown_workflow_comes_with_a_hint(program: Program, service: FakeService) -> None:
    service.answer("Execute", NotFound("workflow", "nope"))
    ended = program("execute", "nope")
    assert ended.code == 3
    assert ended.err.splitlines() == [
        "error: there is no workflow 'nope'",
        "hint: `phaseline workflows` lists those there are",
    ]


def test_missing_inputs_are_named_one_by_one(program: Program, service: FakeService) -> None:
    missing = [
        FieldViolation(f"inputs.{name}", "must be given", "MISSING_INPUT") for name in ("a", "b")
    ]
    service.answer("Execute", InvalidArgument.all_of(missing))
    ended = program("execute", "repo-survey")
    assert ended.code == 2
    assert ended.err.splitlines() == [
        "error: 2 fields are wrong",
        "  inputs.a: must be given",
        "  inputs.b: must be given",
        "hint: give each with --input NAME=VALUE",
    ]


def test_the_workflow_must_be_named(program: Program) -> None:
    ended = program("execute")
    assert ended.code == 2
    assert ended.err.splitlines() == [
        "error: missing argument 'WORKFLOW'",
        "hint: `phaseline execute --help` shows how it is used",
    ]


def test_the_id_alone_has_no_other_form(program: Program, service: FakeService) -> None:
    ended = program("execute", "repo-survey", "-q", "-o", "json")
    assert ended.code == 2
    assert ended.err.startswith("error: --quiet prints the id alone")
    assert service.requests("Execute") == []


def test_what_is_only_checked_has_no_id(program: Program, service: FakeService) -> None:
    """An empty line was printed for it."""
    ended = program("execute", "repo-survey", "--quiet", "--validate-only")
    assert ended.code == 2
    assert ended.err.startswith("error: --quiet prints the id, and --validate-only starts nothing")
    assert service.requests("Execute") == []
