"""ArtifactService, as its callers see it."""

from __future__ import annotations

import pytest

from phaseline.v1 import artifact_pb2, execution_pb2
from phaseline.v1 import artifact_service_pb2 as pb
from phaseline.v1.execution_service_pb2 import ExecuteRequest
from phaseline.v1.worker_service_pb2 import (
    LeasePhasesRequest,
    PhaseCompleted,
    PhaseReport,
    ReportPhasesRequest,
)
from tests.support.rpc import Api, refusal

FILES = [
    artifact_pb2.Artifact(
        name="plan.md",
        content=execution_pb2.Payload(data=b"# Plan", media_type="text/markdown"),
    ),
    artifact_pb2.Artifact(name="log", content=execution_pb2.Payload(uri="s3://bucket/log")),
]


@pytest.fixture
async def execution_id(api: Api) -> str:
    """Return an execution whose first phase left two files behind."""
    request = ExecuteRequest(workflow_id="survey", inputs={"topic": "rivers"})
    execution_id = str((await api.executions.Execute(request)).execution_id)
    poll = LeasePhasesRequest(worker_id="w", request_id="r")
    (lease,) = (await api.workers.LeasePhases(poll)).leases
    report = PhaseReport(lease_token=lease.lease_token, completed=PhaseCompleted(artifacts=FILES))
    await api.workers.ReportPhases(ReportPhasesRequest(reports=[report]))
    return execution_id


async def test_artifacts_are_listed_without_their_bytes(api: Api, execution_id: str) -> None:
    request = pb.ListArtifactsRequest(execution_id=execution_id, phase_id="plan")
    answer = await api.artifacts.ListArtifacts(request)
    assert [each.name for each in answer.artifacts] == ["plan.md", "log"]
    assert [each.size_bytes for each in answer.artifacts] == [6, 0]
    sources = [each.content.WhichOneof("source") for each in answer.artifacts]
    assert sources == [None, "uri"]
    assert answer.total_size == 2


async def test_a_list_goes_on_with_its_token(api: Api, execution_id: str) -> None:
    request = pb.ListArtifactsRequest(execution_id=execution_id, page_size=1)
    first = await api.artifacts.ListArtifacts(request)
    request.page_token = first.next_page_token
    rest = await api.artifacts.ListArtifacts(request)
    listed = [each.name for each in (*first.artifacts, *rest.artifacts)]
    assert (listed, rest.next_page_token) == (["plan.md", "log"], "")


async def test_an_artifact_is_read_with_its_bytes(api: Api, execution_id: str) -> None:
    listed = await api.artifacts.ListArtifacts(pb.ListArtifactsRequest(execution_id=execution_id))
    request = pb.GetArtifactRequest(artifact_id=listed.artifacts[0].artifact_id)
    artifact = (await api.artifacts.GetArtifact(request)).artifact
    assert (artifact.content.data, artifact.content.media_type) == (b"# Plan", "text/markdown")
    assert (artifact.execution_id, artifact.phase_id) == (execution_id, "plan")


async def test_what_there_is_not_is_not_found(api: Api, execution_id: str) -> None:
    error = await refusal(api.artifacts.GetArtifact(pb.GetArtifactRequest(artifact_id="gone")))
    assert error.reason == "ARTIFACT_NOT_FOUND"
    error = await refusal(api.artifacts.ListArtifacts(pb.ListArtifactsRequest(execution_id="gone")))
    assert error.reason == "EXECUTION_NOT_FOUND"
    request = pb.ListArtifactsRequest(execution_id=execution_id, phase_id="gone")
    error = await refusal(api.artifacts.ListArtifacts(request))
    assert error.reason == "PHASE_NOT_FOUND"
