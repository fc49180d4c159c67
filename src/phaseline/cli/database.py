"""Commands that look after the database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from phaseline.cli.failures import ExitCode, Refused
from phaseline.cli.session import Session

Database = Annotated[
    str | None,
    typer.Option(
        metavar="PATH|URL",
        help="SQLite file or PostgreSQL database; as `serve` by default.",
        show_default=False,
    ),
]

_NO_TABLES = "no tables yet; `phaseline db upgrade` makes them, and so does a server at its start"


async def upgrade(session: Session, db: Database = None) -> None:
    """Bring the tables to the version of this program; a server does so at its start."""
    from phaseline import serve

    with _refusals():
        version = await serve.upgrade_database(session.settings_with(db=db))
    session.output.text(version)


async def version(session: Session, db: Database = None) -> None:
    """Print the version of the tables, if there are any yet."""
    from phaseline import serve

    with _refusals():
        found = await serve.database_version(session.settings_with(db=db))
    session.output.facts({"version": found}, found or _NO_TABLES)


async def copy(
    session: Session,
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="PATH|URL to copy.")],
    target: Annotated[str, typer.Argument(metavar="TARGET", help="PATH|URL of an empty one.")],
) -> None:
    """
    Move all data to another database, SQLite or PostgreSQL, and check it row by row.

    The target honours every token that was given out before; the source refuses them from then on.
    """
    from phaseline import serve

    counts: dict[str, int] = {}
    with _refusals():
        await serve.copy_database(
            session.settings_with(db=source),
            session.settings_with(db=target),
            counts.__setitem__,
        )
    session.output.facts(counts, "\n".join(f"{rows:>12,} {name}" for name, rows in counts.items()))


@contextmanager
def _refusals() -> Iterator[None]:
    from phaseline import serve

    try:
        yield
    except serve.CANNOT_USE as error:
        raise Refused(str(error), code=ExitCode.PRECONDITION) from None
