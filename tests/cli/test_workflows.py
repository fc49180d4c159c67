"""Workflows are stored, listed and shown."""

import json
from pathlib import Path

import pytest

from phaseline.cli import manifest
from phaseline.domain.errors import FieldViolation, InvalidArgument, NotFound
from phaseline.v1 import workflow_pb2, workflow_service_pb2
from tests.cli.conftest import Program
from tests.support import messages
from tests.support.fake_service import FakeService

YAML = """\
workflow_id: nightly
phases:
  - phase_id: build
    handler: command
"""


def applied(
    request: workflow_service_pb2.ApplyWorkflowRequest,
) -> workflow_service_pb2.ApplyWorkflowResponse:
    """Answer as a server that has the workflow in one version already."""
    workflow = workflow_pb2.Workflow()
    workflow.CopyFrom(request.workflow)
    workflow.version = 2
    return workflow_service_pb2.ApplyWorkflowResponse(workflow=workflow, changed=True)


def test_each_workflow_of_each_file_is_stored(
    program: Program, service: FakeService, tmp_path: Path
) -> None:
    (tmp_path / "a.yaml").write_text(YAML + "---\n" + YAML.replace("nightly", "weekly"))
    (tmp_path / "b.yaml").write_text(YAML.replace("nightly", "yearly"))
    service.answer("ApplyWorkflow", applied)
    ended = program("apply", "a.yaml", "b.yaml")
    assert ended.out.splitlines() == [
        "nightly v2 changed",
        "weekly v2 changed",
        "yearly v2 changed",
    ]


@pytest.mark.parametrize(
    ("version", "changed", "more", "told"),
    [
        (1, True, (), "nightly v1 added\n"),
        (1, False, (), "nightly v1 unchanged\n"),
        (2, True, (), "nightly v2 changed\n"),
        (1, True, ("--validate-only",), "nightly v1 would be new\n"),
        (2, True, ("--validate-only",), "nightly v2 would be changed\n"),
    ],
)
def test_what_became_of_it_is_told(
    program: Program,
    service: FakeService,
    tmp_path: Path,
    version: int,
    changed: bool,
    more: tuple[str, ...],
    told: str,
) -> None:
    (tmp_path / "a.yaml").write_text(YAML)
    stored = workflow_pb2.Workflow(workflow_id="nightly", version=version)
    response = workflow_service_pb2.ApplyWorkflowResponse(workflow=stored, changed=changed)
    service.answer("ApplyWorkflow", response)
    assert program("apply", "a.yaml", *more).out == told


def test_all_are_checked_before_the_first_is_stored(
    program: Program, service: FakeService, tmp_path: Path
) -> None:
    (tmp_path / "a.yaml").write_text(YAML + "---\n" + YAML)
    service.answer("ApplyWorkflow", applied)
    program("apply", "a.yaml", "--validate-only")
    program("apply", "a.yaml")
    checks = [one.validate_only for one in service.requests("ApplyWorkflow")]
    assert checks == [True, True, True, True, False, False]


def test_several_workflows_as_json_are_one_list(
    program: Program, service: FakeService, tmp_path: Path
) -> None:
    (tmp_path / "a.yaml").write_text(YAML)
    (tmp_path / "b.yaml").write_text(YAML)
    service.answer("ApplyWorkflow", applied)
    one = json.loads(program("apply", "a.yaml", "-o", "json").out)
    both = json.loads(program("apply", "a.yaml", "b.yaml", "-o", "json").out)
    assert both == [one, one]
    assert program("apply", "a.yaml", "b.yaml", "-o", "yaml").out.lstrip().startswith("- ")


def test_an_example_can_be_stored_by_name(program: Program, service: FakeService) -> None:
    service.answer("ApplyWorkflow", applied)
    assert program("apply", "--example", "repo-survey").out == "repo-survey v2 changed\n"


def test_an_unknown_example_is_not_found(program: Program, service: FakeService) -> None:
    ended = program("apply", "--example", "nope")
    assert ended.code == 3
    assert ended.err.startswith("error: there is no example 'nope', only ")
    assert ended.err.splitlines()[-1] == "hint: `phaseline examples` lists them"


def test_nothing_is_stored_unless_every_file_can_be_read(
    program: Program, service: FakeService, tmp_path: Path
) -> None:
    (tmp_path / "good.yaml").write_text(YAML)
    (tmp_path / "bad.yaml").write_text(YAML.replace("handler", "handlr"))
    ended = program("apply", "good.yaml", "bad.yaml")
    assert ended.code == 2
    assert ended.err.startswith("error: bad.yaml:4:5: phases[0].handlr is not known")
    assert service.requests("ApplyWorkflow") == []


def test_a_file_that_is_not_there_is_named(program: Program, service: FakeService) -> None:
    ended = program("apply", "missing.yaml")
    assert (ended.code, ended.err) == (
        2,
        "error: cannot read missing.yaml: No such file or directory\n",
    )


def test_nothing_to_apply_is_wrong_usage(program: Program) -> None:
    ended = program("apply")
    assert (ended.code, ended.err) == (
        2,
        "error: there is nothing to apply\nhint: give files, or --example NAME\n",
    )


def test_what_the_server_refuses_is_told_by_its_place_and_nothing_is_stored(
    program: Program, service: FakeService, tmp_path: Path
) -> None:
    (tmp_path / "good.yaml").write_text(YAML)
    (tmp_path / "a.yaml").write_text(YAML + "    depends_on: [nope]\n")
    service.answer(
        "ApplyWorkflow",
        applied,
        InvalidArgument.of("workflow.phases[0].depends_on[0]", "names no phase"),
    )
    ended = program("apply", "good.yaml", "a.yaml")
    assert ended.code == 2
    assert ended.err == "error: a.yaml:5:18: phases[0].depends_on[0] names no phase\n"
    assert all(one.validate_only for one in service.requests("ApplyWorkflow"))


def test_all_that_the_server_refuses_is_told(
    program: Program, service: FakeService, tmp_path: Path
) -> None:
    (tmp_path / "a.yaml").write_text(YAML + "---\n" + YAML)
    violations = [
        FieldViolation("workflow.phases[0].handler", "is not known"),
        FieldViolation("workflow.phases[0].prompt", "must be set"),
    ]
    service.answer(
        "ApplyWorkflow",
        InvalidArgument.all_of(violations),
        InvalidArgument.of("workflow.name", "is too short"),
    )
    ended = program("apply", "a.yaml")
    assert ended.code == 2
    assert ended.err.splitlines() == [
        "error: 3 fields are wrong",
        "  a.yaml:4:14: phases[0].handler is not known",
        "  a.yaml:3:5: phases[0].prompt must be set",
        "  a.yaml:6:1: name is too short",
    ]


def listed(*ids: str, more: bool = False) -> workflow_service_pb2.ListWorkflowsResponse:
    return workflow_service_pb2.ListWorkflowsResponse(
        workflows=[
            workflow_pb2.Workflow(workflow_id=one, version=1, updated_at=messages.timestamp())
            for one in ids
        ],
        next_page_token="t" if more else "",
    )


def test_workflows_alone_lists_them(program: Program, service: FakeService) -> None:
    service.answer("ListWorkflows", listed("a", more=True), listed("b"))
    ended = program("workflows")
    assert [line.split()[0] for line in ended.out.splitlines()] == ["WORKFLOW", "a", "b"]


def test_workflows_list_does_the_same(program: Program, service: FakeService) -> None:
    service.answer("ListWorkflows", listed("a"))
    assert program("workflows", "list").out == program("workflows").out


def test_workflows_as_json_are_one_object(program: Program, service: FakeService) -> None:
    service.answer("ListWorkflows", listed("a", "b"))
    data = json.loads(program("workflows", "-o", "json").out)
    assert [one["workflow_id"] for one in data["workflows"]] == ["a", "b"]


def test_no_workflows_are_an_empty_list_in_json(program: Program, service: FakeService) -> None:
    service.answer("ListWorkflows", listed())
    assert json.loads(program("workflows", "-o", "json").out)["workflows"] == []


def test_without_workflows_the_way_to_the_first_is_told(
    program: Program, service: FakeService
) -> None:
    service.answer("ListWorkflows", listed())
    assert program("workflows") == (
        0,
        "",
        "there are no workflows; add one: phaseline apply FILE\n",
    )


def test_a_workflow_is_shown_so_that_it_can_be_applied_again(
    program: Program, service: FakeService
) -> None:
    [workflow] = manifest.load(YAML)
    workflow.version = 7
    response = workflow_service_pb2.GetWorkflowResponse(workflow=workflow)
    service.answer("GetWorkflow", response)
    ended = program("workflows", "get", "nightly", "--version", "7")
    assert manifest.load(ended.out) == manifest.load(YAML)
    assert ended.err == "version 7\n"
    assert service.requests("GetWorkflow")[0].version == 7


def test_a_workflow_as_json_has_what_the_server_set(program: Program, service: FakeService) -> None:
    [workflow] = manifest.load(YAML)
    workflow.version = 7
    service.answer("GetWorkflow", workflow_service_pb2.GetWorkflowResponse(workflow=workflow))
    assert json.loads(program("workflows", "get", "nightly", "-o", "json").out)["version"] == 7


def test_an_unknown_workflow_is_not_found(program: Program, service: FakeService) -> None:
    service.answer("GetWorkflow", NotFound("workflow", "nope"))
    assert program("workflows", "get", "nope").code == 3
