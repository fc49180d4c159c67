"""The command that lists operations."""

from __future__ import annotations

from typing import Annotated

import typer

from phaseline.cli import figures, lookup
from phaseline.cli.options import ExecutionId
from phaseline.cli.session import Session


async def operations(
    session: Session,
    execution_id: ExecutionId,
    phase_id: Annotated[
        str, typer.Option("--phase-id", "--phase", help="Only of this phase.")
    ] = "",
    full: Annotated[
        bool, typer.Option("--full", help="With input and output, in JSON and YAML.")
    ] = False,
) -> None:
    """List what the phases of an execution did, in the order it was first recorded."""
    from phaseline.v1 import execution_pb2

    view = execution_pb2.EXECUTION_VIEW_FULL if full else execution_pb2.EXECUTION_VIEW_BASIC
    output = session.output
    async with session.connected() as client:
        found = await lookup.execution_id(client, execution_id)
        listed = client.iter_operations(found, phase_id=phase_id, view=view)
        shown = [one async for one in listed]
    if not output.is_table:
        from phaseline.v1.execution_service_pb2 import ListOperationsResponse

        output.write(ListOperationsResponse(operations=shown, total_size=len(shown)))
    elif shown:
        from phaseline.cli import operation_view

        output.draw(operation_view.table(shown, session.frame()))
    output.note(figures.count(len(shown), "operation"))
