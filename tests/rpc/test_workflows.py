"""WorkflowService, as its callers see it."""

from __future__ import annotations

from typing import Any

import pytest

from phaseline.v1 import workflow_pb2
from phaseline.v1 import workflow_service_pb2 as pb
from tests.support.rpc import Api, refusal


def workflow(workflow_id: str = "build", **fields: Any) -> workflow_pb2.Workflow:
    phase = workflow_pb2.PhaseSpec(phase_id="make", handler="command")
    return workflow_pb2.Workflow(workflow_id=workflow_id, phases=[phase], **fields)


async def apply(api: Api, given: workflow_pb2.Workflow, **fields: Any) -> Any:
    request = pb.ApplyWorkflowRequest(workflow=given, **fields)
    return await api.workflows.ApplyWorkflow(request)


async def test_a_workflow_is_stored_with_what_is_in_effect(api: Api) -> None:
    answer = await apply(api, workflow())
    assert answer.changed
    assert (answer.workflow.version, answer.workflow.name) == (1, "build")
    assert answer.workflow.queue_name == "default"
    assert answer.workflow.HasField("created_at")


async def test_what_was_read_and_is_applied_again_is_no_new_version(api: Api) -> None:
    await apply(api, workflow())
    read = await api.workflows.GetWorkflow(pb.GetWorkflowRequest(workflow_id="build"))
    answer = await apply(api, read.workflow)
    assert (answer.changed, answer.workflow.version) == (False, 1)


async def test_a_change_is_a_new_version_and_the_old_one_stays(api: Api) -> None:
    await apply(api, workflow())
    assert (await apply(api, workflow(description="new"))).workflow.version == 2
    old = await api.workflows.GetWorkflow(pb.GetWorkflowRequest(workflow_id="build", version=1))
    assert old.workflow.description == ""


async def test_a_workflow_can_be_checked_without_being_stored(api: Api) -> None:
    assert (await apply(api, workflow(), validate_only=True)).changed
    request = pb.GetWorkflowRequest(workflow_id="build")
    assert (await refusal(api.workflows.GetWorkflow(request))).reason == "WORKFLOW_NOT_FOUND"


async def test_all_that_is_wrong_with_a_workflow_has_its_path(api: Api) -> None:
    given = workflow("no good")
    given.phases[0].prompt = "{{who}}"
    error = await refusal(apply(api, given))
    assert [each.field for each in error.violations] == [
        "workflow.workflow_id",
        "workflow.phases[0].prompt",
    ]


async def test_a_workflow_that_cannot_be_read_is_refused(api: Api) -> None:
    error = await refusal(apply(api, workflow(max_budget_usd="much")))
    assert [each.field for each in error.violations] == ["workflow.max_budget_usd"]


async def test_workflows_are_listed_without_their_phases(api: Api) -> None:
    await apply(api, workflow())
    first = await api.workflows.ListWorkflows(pb.ListWorkflowsRequest(page_size=1))
    rest = await api.workflows.ListWorkflows(
        pb.ListWorkflowsRequest(page_size=1, page_token=first.next_page_token)
    )
    listed = [*first.workflows, *rest.workflows]
    assert [each.workflow_id for each in listed] == ["build", "survey"]
    assert not any(each.phases for each in listed)
    assert (first.total_size, rest.next_page_token) == (2, "")


@pytest.mark.parametrize(
    "request_",
    [
        pb.GetWorkflowRequest(workflow_id="gone"),
        pb.GetWorkflowRequest(workflow_id="survey", version=2),
    ],
)
async def test_what_there_is_not_is_not_found(api: Api, request_: pb.GetWorkflowRequest) -> None:
    assert (await refusal(api.workflows.GetWorkflow(request_))).reason == "WORKFLOW_NOT_FOUND"
