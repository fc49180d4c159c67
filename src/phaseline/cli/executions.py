"""Commands that read executions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from phaseline.cli import lookup
from phaseline.cli.failures import Refused
from phaseline.cli.options import ExecutionId, Filter, Order
from phaseline.cli.session import Session

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

    from phaseline.v1.execution_pb2 import Execution
    from phaseline.v1.execution_service_pb2 import (
        GetNestingResponse,
        GetStatusResponse,
        ListResponse,
    )


async def status(session: Session, execution_id: ExecutionId) -> None:
    """Say how far an execution is: the cheapest read."""
    async with session.connected() as client:
        response = await client.get_status(await lookup.execution_id(client, execution_id))
    session.output.show(response, lambda: _status_line(response))


async def get(
    session: Session,
    execution_id: ExecutionId,
    phase_id: Annotated[
        list[str] | None,
        typer.Option("--phase-id", "--phase", help="Only this phase; repeatable."),
    ] = None,
    tree: Annotated[
        bool, typer.Option("--tree", help="It and all its descendants, without phases.")
    ] = False,
) -> None:
    """Show an execution with its phases, operations, usage and result."""
    async with session.connected() as client:
        found = await lookup.execution_id(client, execution_id)
        if tree:
            nesting = await client.get_nesting(found)
            session.output.show(nesting, lambda: _tree(session, nesting))
            if nesting.truncated:
                session.output.note("there are more: the deepest and newest are left out")
            return
        response = await client.get(found, phase_ids=phase_id or ())
    session.output.show(response.execution, lambda: _whole(session, response.execution))


async def list_(
    session: Session,
    which: Filter,
    active_only: Annotated[
        bool, typer.Option("--active", "--active-only", help="Those not terminal.")
    ] = False,
    order_by: Annotated[Order, typer.Option(help="Order.")] = Order.CREATED_AT_DESC,
    page_size: Annotated[int, typer.Option(min=1, max=100, help="Executions on a page.")] = 50,
    page: Annotated[
        int | None, typer.Option(min=1, help="Number of the page, from 1.", show_default=False)
    ] = None,
    page_token: Annotated[
        str, typer.Option(help="next_page_token of the page before, instead of --page.")
    ] = "",
    everything: Annotated[bool, typer.Option("--all", help="All pages.")] = False,
) -> None:
    """List executions, newest first."""
    from phaseline.v1 import execution_service_pb2 as service

    if everything and (page is not None or page_token):
        raise Refused("--all lists all pages: it cannot go with --page or --page-token")
    filter = which.message(session.now(), active_only=active_only)
    order = service.ExecutionOrder.Value(f"EXECUTION_ORDER_{order_by.name}")
    async with session.connected() as client:
        if everything:
            pages = client.iter_executions(filter=filter, order_by=order)
            found = [one async for one in pages]
            if session.output.is_table:
                _show_executions(session, found)
            else:
                session.output.write(service.ListResponse(executions=found, total_size=len(found)))
            return
        response = await client.list(
            filter=filter,
            order_by=order,
            page_size=page_size,
            page=page or 0,
            page_token=page_token,
        )
    if session.output.is_table:
        _show_executions(session, response.executions)
        session.output.note(_footer(response))
    else:
        session.output.write(response)


async def active(
    session: Session,
    which: Filter,
    limit: Annotated[int, typer.Option(min=1, max=100, help="Most of them.")] = 20,
    page_token: Annotated[str, typer.Option(help="next_page_token of the answer before.")] = "",
) -> None:
    """List the executions that are not terminal, newest first."""
    async with session.connected() as client:
        response = await client.list_active(
            filter=which.message(session.now()), limit=limit, page_token=page_token
        )
    if session.output.is_table:
        _show_executions(session, response.executions)
        session.output.note(f"{len(response.executions)} of {response.total_size:,} active")
    else:
        session.output.write(response)


def _whole(session: Session, execution: Execution) -> RenderableType:
    from phaseline.cli import details

    return details.whole(execution, session.frame())


def _tree(session: Session, nesting: GetNestingResponse) -> RenderableType:
    from phaseline.cli import details

    return details.tree(nesting.nesting, session.frame())


def _show_executions(session: Session, listed: Sequence[Execution]) -> None:
    from phaseline.cli import tables

    if listed:
        table = tables.executions(listed, session.frame(), now=session.now())
        session.output.draw(table)


def _footer(response: ListResponse) -> str:
    total = f"{response.total_size:,}{'+' if response.total_size_capped else ''}"
    text = f"{len(response.executions)} of {total}"
    if response.next_page_token and response.page:
        text += f"; more: --page {response.page + 1}"
    elif response.next_page_token:
        text += f"; more: --page-token {response.next_page_token}"
    return text


def _status_line(response: GetStatusResponse) -> Text:
    from rich.text import Text

    from phaseline.cli import figures, style

    status = style.execution_status(response)
    parts = [f"{response.completed_phases} of {response.total_phases} phases"]
    if response.current_phase:
        parts.append(f"at {figures.plain(response.current_phase)}")
    if response.error_message:
        parts.append(figures.plain(response.error_message))
    return Text.assemble(
        style.painted_mark(status),
        (f" {status}", f"bold {style.look(status).colour}"),
        "  " + " · ".join(parts),
        ("  " + response.execution_id, "dim"),
    )
