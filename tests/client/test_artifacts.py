"""Reading artifacts."""

from phaseline.client import Client
from phaseline.v1 import artifact_service_pb2 as pb
from phaseline.v1.artifact_pb2 import Artifact
from tests.client.scripted import Script

REPORT = Artifact(artifact_id="a-1", name="report.md")


async def test_an_artifact_is_read(client: Client, script: Script) -> None:
    script.replying("GetArtifact", pb.GetArtifactResponse(artifact=REPORT))
    assert await client.get_artifact("a-1") == REPORT
    assert script.requests == [pb.GetArtifactRequest(artifact_id="a-1")]


async def test_artifacts_are_read_page_by_page(client: Client, script: Script) -> None:
    script.replying(
        "ListArtifacts",
        pb.ListArtifactsResponse(artifacts=[REPORT], next_page_token="p2"),
        pb.ListArtifactsResponse(artifacts=[REPORT]),
    )
    assert [each async for each in client.iter_artifacts("x-1", phase_id="plan")] == [REPORT] * 2
    assert [(each.phase_id, each.page_token) for each in script.requests] == [
        ("plan", ""),
        ("plan", "p2"),
    ]
