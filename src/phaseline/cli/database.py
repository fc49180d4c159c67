"""Commands that look after the database."""

from __future__ import annotations

from typing import Annotated

import typer

from phaseline.cli.session import Session

Database = Annotated[
    str | None,
    typer.Option(
        metavar="PATH|URL",
        help="SQLite file; as `serve` by default.",
        show_default=False,
    ),
]


async def upgrade(session: Session, db: Database = None) -> None:
    """Bring the tables to the version of this program; a server does so at its start."""
    from phaseline import serve

    version = await serve.upgrade_database(session.settings_with(db=db))
    session.output.text(version)


async def version(session: Session, db: Database = None) -> None:
    """Print the version of the tables; empty if there are none yet."""
    from phaseline import serve

    found = await serve.database_version(session.settings_with(db=db))
    session.output.facts({"version": found}, found)
