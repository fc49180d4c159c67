"""Bringing a database to the schema that this version of the program works with."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from sqlalchemy import Connection, Engine, insert, inspect, select, text

from phaseline.store.failures import SchemaUnknown
from phaseline.store.tables import identity

if TYPE_CHECKING:
    from alembic.config import Config

#: The version that this program works with, that of the last migration.
NEWEST = "0001"

_SECRET_SIZE = 32


def upgrade(engine: Engine) -> None:
    """
    Apply every migration that *engine*'s database lacks, and give a new one its identity.

    Raises `SchemaUnknown` if a newer version of this program was there before.
    """
    with engine.begin() as connection:
        bring_up(connection)


def bring_up(connection: Connection) -> None:
    """Do what `upgrade` does, in the transaction of *connection*."""
    has = version_of(connection)
    if has != NEWEST:
        _migrate(connection, has)
    if connection.execute(select(identity.c.number)).first() is None:
        connection.execute(insert(identity), new_identity())


def version(engine: Engine) -> tuple[str | None, str | None]:
    """Return the version that the database has, and the one that the program works with."""
    with engine.connect() as connection:
        return version_of(connection), NEWEST


def version_of(connection: Connection) -> str | None:
    """Return the version that the database has; None for a new one."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(text("SELECT version_num FROM alembic_version"))
    has: str | None = found.scalar_one_or_none()
    return has


def _migrate(connection: Connection, has: str | None) -> None:
    # Slow to import, and of no use at most starts.
    from alembic import command
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    config = _config(connection)
    if has is not None:
        try:
            ScriptDirectory.from_config(config).get_revision(has)
        except CommandError as error:
            raise SchemaUnknown(
                f"the database has schema {has}, and this program knows {NEWEST} at most: "
                "use the version of phaseline that wrote it, or a newer one"
            ) from error
    command.upgrade(config, "head")


def _config(connection: Connection) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config


def new_identity() -> dict[str, object]:
    """Return the row that makes a database another than all others."""
    return {
        "number": 1,
        "epoch": str(uuid4()),
        "secret": secrets.token_bytes(_SECRET_SIZE),
        "head": 0,
        "commits": 0,
        "trimmed": 0,
    }
