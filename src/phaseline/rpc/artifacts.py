"""ArtifactService."""

from __future__ import annotations

from phaseline.app.artifacts import Artifacts
from phaseline.rpc.call import Call
from phaseline.v1 import artifact_service_pb2 as pb
from phaseline.wire.artifacts import artifact_message, read_get_artifact
from phaseline.wire.lists import read_list_artifacts


class ArtifactService:
    """Reads artifacts."""

    def __init__(self, artifacts: Artifacts) -> None:
        self._artifacts = artifacts

    async def GetArtifact(
        self, request: pb.GetArtifactRequest, call: Call
    ) -> pb.GetArtifactResponse:
        artifact, data = await self._artifacts.get(call.caller, read_get_artifact(request))
        return pb.GetArtifactResponse(artifact=artifact_message(artifact, data))

    async def ListArtifacts(
        self, request: pb.ListArtifactsRequest, call: Call
    ) -> pb.ListArtifactsResponse:
        asked = read_list_artifacts(request)
        listed = await self._artifacts.list(
            call.caller,
            asked.execution_id,
            phase_id=asked.phase_id,
            page_size=asked.page.size,
            page_token=asked.page.token,
        )
        return pb.ListArtifactsResponse(
            artifacts=[artifact_message(artifact) for artifact in listed.page.artifacts],
            total_size=listed.page.total_size,
            next_page_token=listed.next_page_token,
        )
