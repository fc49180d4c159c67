"""Commands that store workflows and read them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from phaseline.cli import examples
from phaseline.cli.failures import Refused
from phaseline.cli.options import Form
from phaseline.cli.session import Session
from phaseline.domain.errors import InvalidArgument

if TYPE_CHECKING:
    from phaseline.cli.manifest import Loaded, ManifestError
    from phaseline.client import Client
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
    """
    Store workflows; a changed one becomes the next version, an unchanged one stays.

    All are checked first: nothing is stored when one of them is wrong.
    """
    given = _read([*(file or ()), *map(examples.find, example or ())])
    async with session.connected() as client:
        responses = await _check(client, given)
        if not validate_only:
            responses = [await client.apply_workflow(one.workflow) for one in given]
    if session.output.is_table:
        for response in responses:
            session.output.text(_said(response, validate_only=validate_only))
    elif len(responses) == 1:
        session.output.write(responses[0])
    else:
        session.output.write_all(responses)


async def list_(session: Session) -> None:
    """List the latest versions."""
    async with session.connected() as client:
        listed = [one async for one in client.iter_workflows()]
    if not session.output.is_table:
        from phaseline.v1.workflow_service_pb2 import ListWorkflowsResponse

        session.output.write(ListWorkflowsResponse(workflows=listed, total_size=len(listed)))
    elif listed:
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


async def _check(client: Client, given: list[Loaded]) -> list[ApplyWorkflowResponse]:
    """Return what applying *given* would do; raise with all that the server refuses in them."""
    responses: list[ApplyWorkflowResponse] = []
    wrong: list[ManifestError] = []
    for one in given:
        try:
            responses.append(await client.apply_workflow(one.workflow, validate_only=True))
        except InvalidArgument as refused:
            if not refused.violations:
                raise
            wrong += one.errors(refused)
    if len(wrong) == 1:
        raise wrong[0]
    if wrong:
        lines = "".join(f"\n  {error.message}" for error in wrong)
        raise Refused(f"{len(wrong)} fields are wrong{lines}")
    return responses


def _read(paths: list[Path]) -> list[Loaded]:
    from phaseline.cli import manifest

    if not paths:
        raise Refused("there is nothing to apply", hint="give files, or --example NAME")
    try:
        # All are read before the first is sent: a mistake in one leaves the server as it was.
        return [loaded for path in paths for loaded in manifest.read(path)]
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
