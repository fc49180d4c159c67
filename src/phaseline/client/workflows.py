"""Storing workflows and reading them."""

from collections.abc import AsyncGenerator

from phaseline.client import rpcs
from phaseline.client.calls import Calls, new_request_id, pages
from phaseline.v1 import workflow_pb2, workflow_service_pb2


class Workflows:
    """The part of a client that stores and reads workflows."""

    _calls: Calls

    async def apply_workflow(
        self,
        workflow: workflow_pb2.Workflow,
        *,
        validate_only: bool = False,
        request_id: str = "",
    ) -> workflow_service_pb2.ApplyWorkflowResponse:
        """Store a workflow; a changed one becomes the next version."""
        request = workflow_service_pb2.ApplyWorkflowRequest(
            workflow=workflow,
            validate_only=validate_only,
            request_id=request_id or new_request_id(),
        )
        return await self._calls.call(rpcs.APPLY_WORKFLOW, request)

    async def get_workflow(self, workflow_id: str, *, version: int = 0) -> workflow_pb2.Workflow:
        """Read a workflow, the latest version if none is given."""
        request = workflow_service_pb2.GetWorkflowRequest(workflow_id=workflow_id, version=version)
        return (await self._calls.call(rpcs.GET_WORKFLOW, request)).workflow

    async def list_workflows(
        self, *, page_size: int = 0, page_token: str = ""
    ) -> workflow_service_pb2.ListWorkflowsResponse:
        """List the latest versions by workflow_id, without their phases."""
        request = workflow_service_pb2.ListWorkflowsRequest(
            page_size=page_size, page_token=page_token
        )
        return await self._calls.call(rpcs.LIST_WORKFLOWS, request)

    async def iter_workflows(
        self, *, page_size: int = 100
    ) -> AsyncGenerator[workflow_pb2.Workflow, None]:
        """Yield the latest versions of all, page after page."""
        async for page in pages(
            lambda page_token: self.list_workflows(page_size=page_size, page_token=page_token)
        ):
            for workflow in page.workflows:
                yield workflow
