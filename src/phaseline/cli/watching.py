"""The command that follows executions live."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from phaseline.cli import lookup
from phaseline.cli.failures import ExitCode, Refused
from phaseline.cli.options import Filter
from phaseline.cli.session import Session
from phaseline.domain.lifecycle import has_succeeded

if TYPE_CHECKING:
    from phaseline.client import Client


async def watch(
    session: Session,
    which: Filter,
    execution_id: Annotated[
        str,
        typer.Argument(
            metavar="[EXECUTION]",
            help="Its id, or a beginning that only it has; all active ones by default.",
            show_default=False,
        ),
    ] = "",
    descendants: Annotated[
        bool,
        typer.Option("--descendants", "--include-descendants", help="Those it starts as well."),
    ] = False,
) -> None:
    """
    Follow an execution to its end, or all active ones until interrupted.

    A terminal shows it in place, anything else gets a line for each change; so do -o json and
    -o yaml. Interrupting ends the watch and leaves the execution alone.
    """
    from phaseline.cli import screen

    if execution_id and which != Filter():
        raise Refused("a filter is for all active executions: leave it or the execution out")
    async with session.connected() as client:
        if execution_id:
            found = await lookup.execution_id(client, execution_id)
            await follow(session, client, found, descendants=descendants)
        else:
            filter = which.message(session.now())
            await screen.follow_active(session, client.watch_active(filter=filter))


async def follow(
    session: Session,
    client: Client,
    execution_id: str,
    *,
    resume_token: str = "",
    descendants: bool = False,
) -> None:
    """Show one execution to its end; exit with a code that says whether it was completed."""
    from phaseline.cli import screen, style

    session.parting = f"it goes on; follow it again: phaseline watch {execution_id}"
    events = client.watch(execution_id, resume_token=resume_token, include_descendants=descendants)
    followed = await screen.follow_execution(session, events, execution_id)
    if session.output.is_table:
        response = await client.get(execution_id)
        screen.conclude(session.output, response.execution)
    if not style.execution_is(has_succeeded, followed.execution):
        session.output.note(
            f"all of it: phaseline get {execution_id}; again: phaseline retry {execution_id}"
        )
        raise typer.Exit(ExitCode.NOT_COMPLETED)
