"""Artifacts are told with their bytes only where these are asked for."""

from msgspec.structs import replace

from phaseline.wire.artifacts import artifact_message
from tests.wire.samples import ARTIFACT, at


def test_an_artifact_says_what_it_is_and_where_it_belongs() -> None:
    message = artifact_message(ARTIFACT)
    assert (message.artifact_id, message.name, message.size_bytes) == ("a-1", "summary.md", 7)
    assert (message.execution_id, message.phase_id) == ("x-1", "sum-up")
    assert message.content.media_type == "text/markdown"
    assert message.created_at.ToDatetime(at(0).tzinfo) == at(10)


def test_a_list_has_no_bytes() -> None:
    assert artifact_message(ARTIFACT).content.WhichOneof("source") is None


def test_an_artifact_that_is_read_has_its_bytes() -> None:
    assert artifact_message(ARTIFACT, b"# Hello").content.data == b"# Hello"


def test_bytes_that_are_elsewhere_have_a_place() -> None:
    message = artifact_message(replace(ARTIFACT, uri="s3://bucket/key"))
    assert message.content.uri == "s3://bucket/key"
