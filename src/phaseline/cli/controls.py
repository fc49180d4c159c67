"""Commands that change the course of executions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated

import typer

from phaseline.cli import lookup, parsing
from phaseline.cli.failures import Refused
from phaseline.cli.options import ExecutionId, RequestId
from phaseline.cli.session import Session

if TYPE_CHECKING:
    from phaseline.client import Client
    from phaseline.v1.execution_pb2 import Execution


async def cancel(
    session: Session,
    execution_id: ExecutionId,
    reason: Annotated[str, typer.Option(help="Why.")] = "",
    grace_period: Annotated[
        str,
        typer.Option(metavar="DURATION", help="How long workers may take to stop; 30s by default."),
    ] = "",
    request_id: RequestId = "",
) -> None:
    """Stop an execution and its active descendants, never its parent."""
    grace = parsing.duration(grace_period, "--grace-period")
    await _control(
        session,
        execution_id,
        lambda client, found: client.cancel(
            found, reason=reason, grace_period=grace, request_id=request_id
        ),
    )


async def pause(session: Session, execution_id: ExecutionId, request_id: RequestId = "") -> None:
    """Begin no further phase until `resume`; running phases go on."""
    await _control(
        session, execution_id, lambda client, found: client.pause(found, request_id=request_id)
    )


async def resume(session: Session, execution_id: ExecutionId, request_id: RequestId = "") -> None:
    """End a pause."""
    await _control(
        session, execution_id, lambda client, found: client.resume(found, request_id=request_id)
    )


async def retry(
    session: Session,
    execution_id: ExecutionId,
    max_budget_usd: Annotated[
        str,
        typer.Option(
            "--budget",
            "--max-budget-usd",
            metavar="DOLLARS",
            help="New budget for all it ever costs; as before by default.",
        ),
    ] = "",
    run_timeout: Annotated[
        str, typer.Option(metavar="DURATION", help="New run_timeout; as before by default.")
    ] = "",
    request_id: RequestId = "",
) -> None:
    """Run a failed or cancelled execution again, from its first unfinished phase."""
    timeout = parsing.duration(run_timeout, "--run-timeout")
    await _control(
        session,
        execution_id,
        lambda client, found: client.retry(
            found, max_budget_usd=max_budget_usd, run_timeout=timeout, request_id=request_id
        ),
    )


async def purge(
    session: Session,
    execution_id: ExecutionId,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    request_id: RequestId = "",
) -> None:
    """Erase, for good, what an execution that ended was given and produced; keep its totals."""
    async with session.connected() as client:
        found = await lookup.execution_id(client, execution_id)
        if not yes:
            _confirm(session, found)
        _show(session, await client.purge(found, request_id=request_id))


async def _control(
    session: Session,
    text: str,
    act: Callable[[Client, str], Awaitable[Execution]],
) -> None:
    async with session.connected() as client:
        found = await lookup.execution_id(client, text)
        _show(session, await act(client, found))


def _show(session: Session, execution: Execution) -> None:
    from phaseline.cli import execution_view
    from phaseline.cli.follow import Followed

    frame = session.frame()
    session.output.show(
        execution, lambda: execution_view.header(Followed.of(execution, frame.now), frame)
    )


def _confirm(session: Session, execution_id: str) -> None:
    if not session.output.is_terminal:
        raise Refused("purge erases for good", hint="give --yes where nobody can be asked")
    if not typer.confirm(f"erase the content of {execution_id} for good?", err=True):
        raise Refused("nothing was erased")
