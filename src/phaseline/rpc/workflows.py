"""WorkflowService."""

from __future__ import annotations

from phaseline.app.workflows import Workflows
from phaseline.rpc.call import Call
from phaseline.v1 import workflow_service_pb2 as pb
from phaseline.wire.digests import request_digest
from phaseline.wire.lists import read_list_workflows
from phaseline.wire.workflows import head_message, read_apply, read_get_workflow, workflow_message


class WorkflowService:
    """Stores workflows."""

    def __init__(self, workflows: Workflows) -> None:
        self._workflows = workflows

    async def ApplyWorkflow(
        self, request: pb.ApplyWorkflowRequest, call: Call
    ) -> pb.ApplyWorkflowResponse:
        applied = await self._workflows.apply(
            call.caller,
            read_apply(request),
            validate_only=request.validate_only,
            request_id=request.request_id,
            digest=request_digest(request),
        )
        return pb.ApplyWorkflowResponse(
            workflow=workflow_message(applied.workflow), changed=applied.changed
        )

    async def GetWorkflow(
        self, request: pb.GetWorkflowRequest, call: Call
    ) -> pb.GetWorkflowResponse:
        asked = read_get_workflow(request)
        workflow = await self._workflows.get(call.caller, asked.workflow_id, asked.version)
        return pb.GetWorkflowResponse(workflow=workflow_message(workflow))

    async def ListWorkflows(
        self, request: pb.ListWorkflowsRequest, call: Call
    ) -> pb.ListWorkflowsResponse:
        asked = read_list_workflows(request)
        listed = await self._workflows.list(
            call.caller, page_size=asked.size, page_token=asked.token
        )
        return pb.ListWorkflowsResponse(
            workflows=[head_message(workflow) for workflow in listed.page.workflows],
            total_size=listed.page.total_size,
            next_page_token=listed.next_page_token,
        )
