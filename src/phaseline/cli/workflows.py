"""Commands that store workflows and read them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from phaseline.cli import examples
from phaseline.cli.failures import Refused
from phaseline.cli.options import Form
from phaseline.cli.session import Session

if TYPE_CHECKING:
    from phaseline.v1.workflow_pb2 import Workflow
    from phaseline.v1.workflow_service_pb2 import ApplyWorkflowResponse


async def apply(
    session: Session,
    file: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FILE]...", help="YAML files of workflows.", show_default=False),
    ] = None,
    example: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A workflow that comes with Phaseline; repeatable."),
    ] = None,
    validate_only: Annotated[
        bool, typer.Option("--validate-only", help="Check only: store nothing.")
    ] = False,
) -> None:
    """Store workflows; a changed one becomes the next version, an unchanged one stays."""
    workflows = _read([*(file or ()), *map(examples.find, example or ())])
    async with session.connected() as client:
        for workflow in workflows:
            response = await client.apply_workflow(workflow, validate_only=validate_only)
            if session.output.is_table:
                session.output.text(_said(response, validate_only=validate_only))
            else:
                session.output.write(response, in_stream=len(workflows) > 1)


async def list_(session: Session) -> None:
    """List the latest versions."""
    async with session.connected() as client:
        if not session.output.is_table:
            async for one in client.iter_workflows():
                session.output.write(one, in_stream=True)
            return
        listed = [one async for one in client.iter_workflows()]
    if listed:
        from phaseline.cli import tables

        session.output.draw(tables.workflows(listed, session.frame(), now=session.now()))
    else:
        session.output.note("there are no workflows; add one: phaseline apply FILE")


async def get(
    session: Session,
    workflow_id: Annotated[str, typer.Argument(metavar="WORKFLOW", help="Its id.")],
    version: Annotated[int, typer.Option(min=0, help="0 for the latest.")] = 0,
) -> None:
    """Show a workflow as YAML that can be applied again; -o json shows all of it."""
    from phaseline.cli import manifest

    async with session.connected() as client:
        workflow = await client.get_workflow(workflow_id, version=version)
    if session.output.form is Form.JSON:
        session.output.write(workflow)
    else:
        session.output.text(manifest.dump(workflow).rstrip("\n"))
        session.output.note(f"version {workflow.version}")


def _read(paths: list[Path]) -> list[Workflow]:
    from phaseline.cli import manifest

    if not paths:
        raise Refused("there is nothing to apply", hint="give files, or --example NAME")
    try:
        # All are read before the first is sent: a mistake in one leaves the server as it was.
        return [workflow for path in paths for workflow in manifest.load(path)]
    except OSError as error:
        raise Refused(f"cannot read {error.filename}: {error.strerror}") from None


def _said(response: ApplyWorkflowResponse, *, validate_only: bool) -> str:
    workflow = response.workflow
    if not response.changed:
        what = "unchanged"
    elif workflow.version == 1:
        what = "would be new" if validate_only else "added"
    else:
        what = "would be changed" if validate_only else "changed"
    return f"{workflow.workflow_id} v{workflow.version} {what}"
