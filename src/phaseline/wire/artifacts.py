"""Artifacts as messages."""

from __future__ import annotations

from phaseline.domain.execution import Artifact
from phaseline.domain.payload import Payload
from phaseline.v1 import artifact_pb2, artifact_service_pb2
from phaseline.wire.payloads import payload_message
from phaseline.wire.reading import Checks
from phaseline.wire.scalars import timestamp


def artifact_message(artifact: Artifact, data: bytes | None = None) -> artifact_pb2.Artifact:
    """Return *artifact* as a message, with its bytes if they are given."""
    return artifact_pb2.Artifact(
        artifact_id=artifact.artifact_id,
        execution_id=artifact.key.execution_id,
        phase_id=artifact.phase_id,
        name=artifact.name,
        content=payload_message(Payload(data, artifact.uri, artifact.media_type)),
        size_bytes=artifact.size_bytes,
        created_at=timestamp(artifact.created_at),
    )


def read_get_artifact(message: artifact_service_pb2.GetArtifactRequest) -> str:
    """Read which artifact is asked for; raise `InvalidArgument`."""
    checks = Checks()
    artifact_id = checks.id("artifact_id", message.artifact_id)
    checks.conclude()
    return artifact_id
