"""Reading artifacts."""

from collections.abc import AsyncGenerator

from phaseline.client import rpcs
from phaseline.client.calls import Calls, pages
from phaseline.v1 import artifact_pb2, artifact_service_pb2


class Artifacts:
    """The part of a client that reads artifacts."""

    _calls: Calls

    async def get_artifact(self, artifact_id: str) -> artifact_pb2.Artifact:
        """Read an artifact with its bytes."""
        request = artifact_service_pb2.GetArtifactRequest(artifact_id=artifact_id)
        return (await self._calls.call(rpcs.GET_ARTIFACT, request)).artifact

    async def list_artifacts(
        self,
        execution_id: str,
        *,
        phase_id: str = "",
        page_size: int = 0,
        page_token: str = "",
    ) -> artifact_service_pb2.ListArtifactsResponse:
        """List the artifacts of an execution, or of one phase, oldest first, without bytes."""
        request = artifact_service_pb2.ListArtifactsRequest(
            execution_id=execution_id,
            phase_id=phase_id,
            page_size=page_size,
            page_token=page_token,
        )
        return await self._calls.call(rpcs.LIST_ARTIFACTS, request)

    async def iter_artifacts(
        self,
        execution_id: str,
        *,
        phase_id: str = "",
        page_size: int = 100,
    ) -> AsyncGenerator[artifact_pb2.Artifact, None]:
        """Yield all artifacts, page after page, without bytes."""
        async for page in pages(
            lambda page_token: self.list_artifacts(
                execution_id,
                phase_id=phase_id,
                page_size=page_size,
                page_token=page_token,
            )
        ):
            for artifact in page.artifacts:
                yield artifact
