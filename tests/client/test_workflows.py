"""Storing workflows and reading them."""

from phaseline.client import Client
from phaseline.v1 import workflow_service_pb2 as pb
from phaseline.v1.workflow_pb2 import Workflow
from tests.client.scripted import Script

SURVEY = Workflow(workflow_id="survey")


async def test_a_workflow_is_applied_once(client: Client, script: Script) -> None:
    script.replying("ApplyWorkflow", pb.ApplyWorkflowResponse(workflow=SURVEY, changed=True))
    assert (await client.apply_workflow(SURVEY)).changed
    assert script.requests[0].workflow == SURVEY
    assert script.requests[0].request_id


async def test_a_workflow_can_be_checked_only(client: Client, script: Script) -> None:
    await client.apply_workflow(SURVEY, validate_only=True)
    assert script.requests[0].validate_only


async def test_an_old_version_can_be_read(client: Client, script: Script) -> None:
    script.replying("GetWorkflow", pb.GetWorkflowResponse(workflow=SURVEY))
    assert await client.get_workflow("survey", version=3) == SURVEY
    assert script.requests == [pb.GetWorkflowRequest(workflow_id="survey", version=3)]


async def test_workflows_are_read_page_by_page(client: Client, script: Script) -> None:
    script.replying(
        "ListWorkflows",
        pb.ListWorkflowsResponse(workflows=[SURVEY], next_page_token="p2"),
        pb.ListWorkflowsResponse(workflows=[Workflow(workflow_id="other")]),
    )
    found = [each.workflow_id async for each in client.iter_workflows(page_size=1)]
    assert found == ["survey", "other"]
    assert [(each.page_size, each.page_token) for each in script.requests] == [(1, ""), (1, "p2")]
