"""What a command works with: the settings, a client, the output."""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, NoReturn

import typer

from phaseline.cli.failures import ExitCode, Refused, code_of, lines_of
from phaseline.cli.frame import Frame
from phaseline.cli.options import Form, Shared
from phaseline.cli.output import Output

if TYPE_CHECKING:
    from phaseline.client import Client
    from phaseline.settings import Settings

_PATIENCE = timedelta(seconds=5)


class Session:
    """One run of one command."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        #: What is said when the user interrupts the command.
        self.parting = ""

    @cached_property
    def settings(self) -> Settings:
        """The settings under the options given; raises `Refused` if something in them is wrong."""
        return self.settings_with()

    def settings_with(self, **flags: object) -> Settings:
        """Return the settings under *flags* and the options given."""
        from phaseline import settings

        try:
            return settings.load(**asdict(self._shared), **flags)
        except settings.SettingsError as error:
            raise Refused(str(error)) from None

    @cached_property
    def output(self) -> Output:
        return Output(Form(self.settings.output))

    @property
    def form_given(self) -> bool:
        """Whether the command line itself says in which form to print."""
        return getattr(self._shared, "output", None) is not None

    def client(self) -> Client:
        """Return a client of the server, which may not be there."""
        from phaseline.client import Client

        settings = self.settings
        token, ca = credentials(settings)
        return Client(settings.server, token=token, ca=ca, tls=settings.tls)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Client]:
        """Yield a client of a server that answers, or raise at once what keeps it from that."""
        async with self.client() as client:
            # A call is repeated for half a minute, which suits programs. Whoever types a command
            # wants to know sooner that there is no server.
            await client.within(_PATIENCE).health()
            yield client

    def frame(self) -> Frame:
        """Return the room there is now, for a drawing that stays as it is."""
        return Frame(self.clock(), self.output.console.width)

    def now(self) -> datetime:
        return datetime.now(UTC)

    def clock(self) -> float:
        """Return the seconds of a clock that only goes forward."""
        return time.monotonic()

    def fail(self, error: Exception) -> NoReturn:
        """Say what went wrong, and exit with the code for it."""
        for line in lines_of(error, server=self._server()):
            _complain(line)
        raise typer.Exit(code_of(error))

    def _server(self) -> str:
        try:
            return self.settings.server
        except Refused:
            return "the address given"  # the settings are what is wrong

    def interrupted(self) -> NoReturn:
        """End at the user's wish."""
        _complain(self.parting)
        raise typer.Exit(ExitCode.INTERRUPTED)


def credentials(settings: Settings) -> tuple[str | None, bytes | None]:
    """Return the token to send and the certificates to trust, each None if there is none."""
    token = settings.token.get_secret_value() if settings.token else None
    if settings.ca is None:
        return token, None
    try:
        return token, settings.ca.read_bytes()
    except OSError as error:
        raise Refused(f"cannot read the certificates in {settings.ca}: {error.strerror}") from None


def _complain(line: str) -> None:
    if line:
        sys.stderr.write(line + "\n")
