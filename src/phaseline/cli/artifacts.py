"""Commands that list artifacts and fetch one."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from phaseline.cli import figures, lookup
from phaseline.cli.failures import Refused
from phaseline.cli.options import ExecutionId
from phaseline.cli.session import Session
from phaseline.domain.errors import NotFound

if TYPE_CHECKING:
    from phaseline.client import Client
    from phaseline.v1.artifact_pb2 import Artifact


async def list_(
    session: Session,
    execution_id: ExecutionId,
    phase_id: Annotated[
        str, typer.Option("--phase-id", "--phase", help="Only of this phase.")
    ] = "",
) -> None:
    """List the artifacts of an execution, oldest first."""
    output = session.output
    async with session.connected() as client:
        found = await lookup.execution_id(client, execution_id)
        shown = [one async for one in client.iter_artifacts(found, phase_id=phase_id)]
    if not output.is_table:
        from phaseline.v1.artifact_service_pb2 import ListArtifactsResponse

        output.write(ListArtifactsResponse(artifacts=shown, total_size=len(shown)))
    elif shown:
        from phaseline.cli import tables

        output.draw(tables.artifacts(shown))
    output.note(figures.count(len(shown), "artifact"))


async def get(
    session: Session,
    artifact: Annotated[
        str, typer.Argument(metavar="ARTIFACT", help="Its id, or EXECUTION/PHASE/NAME.")
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Write to this file; stdout by default."
        ),
    ] = None,
) -> None:
    """Fetch the bytes of an artifact, or print the uri where they are kept."""
    async with session.connected() as client:
        artifact_id = await _artifact_id(client, artifact) if "/" in artifact else artifact
        found = await client.get_artifact(artifact_id)
    if found.content.HasField("uri"):
        session.output.text(found.content.uri)
    else:
        _write(session, found, output)


async def _artifact_id(client: Client, path: str) -> str:
    execution, _, rest = path.partition("/")
    phase_id, _, name = rest.partition("/")
    if not name:
        raise Refused(f"an artifact is an id or EXECUTION/PHASE/NAME, is {path!r}")
    found = await lookup.execution_id(client, execution)
    async for one in client.iter_artifacts(found, phase_id=phase_id):
        if one.name == name:
            return one.artifact_id
    raise NotFound("artifact", path)


def _write(session: Session, artifact: Artifact, target: Path | None) -> None:
    data = artifact.content.data
    if target is not None:
        target.write_bytes(data)
        session.output.note(f"{len(data):,} bytes written to {target}")
        return
    if session.output.is_terminal and not _is_text(data):
        raise Refused(
            f"{artifact.name} is {artifact.content.media_type or 'data'}, not text",
            hint="write it to a file with -o FILE",
        )
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
    if session.output.is_terminal and not data.endswith(b"\n"):
        sys.stdout.write(os.linesep)


def _is_text(data: bytes) -> bool:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return False
    return all(c.isprintable() or c in "\n\r\t" for c in text)
