"""Artifacts are listed and fetched."""

import json
from pathlib import Path

import pytest

from phaseline.domain.errors import NotFound
from phaseline.v1 import artifact_pb2, artifact_service_pb2
from tests.cli.conftest import Program
from tests.support.fake_service import FakeService
from tests.support.messages import EXECUTION_ID


def artifact(artifact_id: str, name: str, data: bytes = b"") -> artifact_pb2.Artifact:
    result = artifact_pb2.Artifact(
        artifact_id=artifact_id, execution_id=EXECUTION_ID, phase_id="report", name=name
    )
    result.content.media_type = "text/plain"
    if data:
        result.content.data, result.size_bytes = data, len(data)
    return result


@pytest.fixture
def stored(service: FakeService) -> FakeService:
    """A server that has two artifacts, on a page each."""
    response = artifact_service_pb2.ListArtifactsResponse
    service.answer(
        "ListArtifacts",
        response(artifacts=[artifact("a-1", "one.txt")], next_page_token="t"),
        response(artifacts=[artifact("a-2", "two.txt")]),
    )
    service.answer(
        "GetArtifact",
        artifact_service_pb2.GetArtifactResponse(artifact=artifact("a-2", "two.txt", b"\xffdata")),
    )
    return service


def test_artifacts_are_listed_with_their_phases(program: Program, stored: FakeService) -> None:
    ended = program("artifact", "list", EXECUTION_ID, "--phase", "report")
    assert [line.split()[:3] for line in ended.out.splitlines()[1:]] == [
        ["a-1", "report", "one.txt"],
        ["a-2", "report", "two.txt"],
    ]
    assert ended.err == "2 artifacts\n"
    assert stored.requests("ListArtifacts")[0].phase_id == "report"


def test_artifacts_as_json_are_one_object(program: Program, stored: FakeService) -> None:
    data = json.loads(program("artifact", "list", EXECUTION_ID, "-o", "json").out)
    assert [one["name"] for one in data["artifacts"]] == ["one.txt", "two.txt"]


def test_no_artifacts_are_an_empty_list_in_json(program: Program, service: FakeService) -> None:
    service.answer("ListArtifacts", artifact_service_pb2.ListArtifactsResponse())
    data = json.loads(program("artifact", "list", EXECUTION_ID, "-o", "json").out)
    assert data["artifacts"] == []


def test_the_bytes_go_to_a_file_as_they_are(
    program: Program, stored: FakeService, tmp_path: Path
) -> None:
    ended = program("artifact", "get", "a-2", "-o", "out.bin")
    assert (tmp_path / "out.bin").read_bytes() == b"\xffdata"
    assert (ended.code, ended.out, ended.err) == (0, "", "5 bytes written to out.bin\n")


def test_the_bytes_go_to_a_pipe_as_they_are(
    stored: FakeService, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    from phaseline.cli import run

    assert run(["artifact", "get", "a-2"]) == 0
    assert capfdbinary.readouterr().out == b"\xffdata"


def test_an_artifact_can_be_named_by_its_place(
    program: Program, stored: FakeService, tmp_path: Path
) -> None:
    ended = program("artifact", "get", f"{EXECUTION_ID}/report/two.txt", "-o", "out.bin")
    assert ended.code == 0
    assert stored.requests("GetArtifact")[0].artifact_id == "a-2"
    assert stored.requests("ListArtifacts")[0].phase_id == "report"


def test_a_place_with_nothing_there_is_not_found(program: Program, stored: FakeService) -> None:
    ended = program("artifact", "get", f"{EXECUTION_ID}/report/three.txt")
    assert ended.code == 3
    assert "three.txt" in ended.err


def test_a_place_needs_all_three_parts(program: Program, stored: FakeService) -> None:
    ended = program("artifact", "get", f"{EXECUTION_ID}/report")
    assert ended.code == 2
    assert ended.err.startswith("error: an artifact is an id or EXECUTION/PHASE/NAME, is ")


def test_of_bytes_kept_elsewhere_the_uri_is_printed(program: Program, service: FakeService) -> None:
    kept = artifact("a-3", "big")
    kept.content.uri = "s3://bucket/big"
    service.answer("GetArtifact", artifact_service_pb2.GetArtifactResponse(artifact=kept))
    assert program("artifact", "get", "a-3") == (0, "s3://bucket/big\n", "")


def test_a_purged_artifact_is_not_found(program: Program, service: FakeService) -> None:
    service.answer("GetArtifact", NotFound("artifact", "a-1"))
    assert program("artifact", "get", "a-1").code == 3


def test_a_file_that_cannot_be_written_is_told(program: Program, stored: FakeService) -> None:
    ended = program("artifact", "get", "a-2", "-o", "no/such/place")
    assert ended.code == 7
    assert "no/such/place" in ended.err
