"""Commands that run a server and ask for its health."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from phaseline.cli import parsing
from phaseline.cli.failures import ExitCode, Refused
from phaseline.cli.options import Logging
from phaseline.cli.session import Session
from phaseline.cli.worker import handlers, remove_leftovers
from phaseline.domain.errors import DeadlineExceeded, Unavailable

if TYPE_CHECKING:
    from phaseline.settings import Settings
    from phaseline.worker.registry import Registry

_TLS = "TLS and credentials"
#: Where a server is reached that listens on all addresses.
_REACHED_AT = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "[::1]"}
_PAUSE = 0.2  #: seconds between two questions


@dataclass(frozen=True)
class Listening:
    """Where a server listens and what it keeps its data in."""

    listen: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT", help="Listen here; 127.0.0.1:7171 by default.", show_default=False
        ),
    ] = None
    db: Annotated[
        str | None,
        typer.Option(
            metavar="PATH|URL",
            help="SQLite file, or PostgreSQL database; a file of yours by default.",
            show_default=False,
        ),
    ] = None
    drain_timeout: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION",
            help="How long stopping may take; 30s by default.",
            show_default=False,
        ),
    ] = None
    insecure: Annotated[
        bool | None,
        typer.Option(
            "--insecure",
            help="Listen beyond this machine although there are no credentials or no TLS.",
            show_default=False,
            rich_help_panel=_TLS,
        ),
    ] = None
    credentials_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Bearer tokens that are accepted.",
            show_default=False,
            rich_help_panel=_TLS,
        ),
    ] = None
    tls_certificate: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Certificate chain, PEM.", show_default=False, rich_help_panel=_TLS
        ),
    ] = None
    tls_key: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Its private key, PEM.", show_default=False, rich_help_panel=_TLS
        ),
    ] = None


@dataclass(frozen=True)
class Inside:
    """The worker inside a development server."""

    slots: Annotated[
        int | None,
        typer.Option(min=1, help="Phases run at the same time; 16 by default.", show_default=False),
    ] = None
    queue: Annotated[
        list[str] | None,
        typer.Option(
            "--queue",
            "--queue-name",
            help="Queue to take phases from; repeatable; default by default.",
            show_default=False,
        ),
    ] = None
    module: Annotated[
        list[str] | None,
        typer.Option(
            "--module", "-m", help="Python module with handlers; repeatable.", show_default=False
        ),
    ] = None
    pass_environment: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Variable that programs and agents see as well; repeatable.",
            show_default=False,
        ),
    ] = None

    def settings(self) -> dict[str, Any]:
        """Return the section `worker` that the options say."""
        return {
            "slots": self.slots,
            "queues": self.queue or None,
            "modules": self.module or None,
            "pass_environment": self.pass_environment or None,
        }


async def dev(session: Session, listening: Listening, inside: Inside, logging: Logging) -> None:
    """Run a server with a worker inside: all it takes on a laptop."""
    settings = session.settings_with(
        worker=inside.settings(), **asdict(listening), **asdict(logging)
    )
    session.output.note(f"starting on {settings.listen}; stop it with Ctrl-C")

    def invite(port: int) -> None:
        session.output.note(f"try: phaseline apply --example repo-survey{_where(settings, port)}")

    remove_leftovers()
    await _serve(settings, handlers(settings), invite)


async def serve(
    session: Session,
    listening: Listening,
    logging: Logging,
    processes: Annotated[
        int, typer.Option(min=1, help="So many servers on one port; needs PostgreSQL.")
    ] = 1,
) -> None:
    """Run a server; phases are run by workers. SIGTERM drains it."""
    flags = asdict(listening) | asdict(logging)
    settings = session.settings_with(**flags)
    if processes == 1:
        await _serve(settings)
        return
    await _serve_many(
        settings, {name: one for name, one in flags.items() if one is not None}, processes
    )


async def health(
    session: Session,
    service: Annotated[
        str, typer.Argument(help="One of its services, such as phaseline.v1.ExecutionService.")
    ] = "",
    wait: Annotated[
        str, typer.Option(metavar="DURATION", help="Ask until it serves, for so long at most.")
    ] = "",
) -> None:
    """Ask a server whether it serves; exit 5 unless it does."""
    patience = parsing.duration(wait, "--wait")
    if patience is None:
        async with session.connected() as client:
            answer = await client.health(service)
    else:
        answer = await _awaited(session, service, patience)
    session.output.facts({"status": answer}, answer)
    if answer != "SERVING":
        raise typer.Exit(ExitCode.UNAVAILABLE)


async def _awaited(session: Session, service: str, patience: timedelta) -> str:
    """Ask until the answer is that it serves, or *patience* is over; return the last answer."""
    import asyncio

    end = session.clock() + patience.total_seconds()
    async with session.client() as client:
        while True:
            left = max(end - session.clock(), _PAUSE)
            try:
                answer = await client.within(timedelta(seconds=left)).health(service)
                if answer == "SERVING" or session.clock() >= end:
                    return answer
            except (Unavailable, DeadlineExceeded):
                if session.clock() >= end:
                    raise
            await asyncio.sleep(max(0.0, min(_PAUSE, end - session.clock())))


def _where(settings: Settings, port: int) -> str:
    """Return the option by which commands find the server, unless they do without."""
    host = settings.listen.rpartition(":")[0]
    address = settings.listen
    if not address.startswith("unix:"):
        address = f"{_REACHED_AT.get(host, host)}:{port}"
    return "" if address == settings.server else f" --server {address}"


async def _serve_many(settings: Settings, flags: Mapping[str, object], count: int) -> None:
    from phaseline.cli.processes import Address, Processes
    from phaseline.settings import ENVIRONMENT_PREFIX
    from phaseline.telemetry import set_up_logging

    if not settings.is_on_postgresql:
        raise Refused(
            "one process at a time can use a SQLite file: several need a PostgreSQL database",
            hint="--db postgresql://HOST/DATABASE",
        )
    if settings.listen.startswith("unix:"):
        raise Refused("processes cannot share a unix socket: listen on a port")
    set_up_logging(settings.log_level, settings.log_format)
    address = Address(settings.listen)
    variables = {
        ENVIRONMENT_PREFIX + name.upper(): str(value)
        for name, value in {**flags, "listen": address.listen}.items()
        if value is not None
    }
    try:
        code = await Processes(count, variables).run()
    finally:
        address.close()
    if code:
        raise typer.Exit(code)


async def _serve(
    settings: Settings,
    registry: Registry | None = None,
    on_serving: Callable[[int], None] | None = None,
) -> None:
    from phaseline import serve
    from phaseline.cli import processes
    from phaseline.telemetry import set_up_logging

    set_up_logging(settings.log_level, settings.log_format)
    shares_port = processes.is_one_of_many()
    if shares_port:
        processes.end_with_parent()
    refused: BaseExceptionGroup[Exception] | None = None
    try:
        await serve.serve(
            settings, registry=registry, on_serving=on_serving, shares_port=shares_port
        )
    except* serve.CANNOT_START as group:
        refused = group
    if refused is not None:
        raise Refused(str(_first(refused)), code=ExitCode.PRECONDITION)


def _first(error: BaseException) -> BaseException:
    """Return the first error that is no group of others."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
