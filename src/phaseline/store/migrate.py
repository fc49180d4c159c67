"""Bringing a database to the schema that this version of the program works with."""

from __future__ import annotations

import secrets
from pathlib import Path
from uuid import uuid4

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, insert, select

from phaseline.store.tables import identity

_SECRET_SIZE = 32


def upgrade(engine: Engine) -> None:
    """Apply every migration that *engine*'s database lacks, and give a new one its identity."""
    with engine.begin() as connection:
        command.upgrade(_config(connection), "head")
        if connection.execute(select(identity.c.only)).first() is None:
            connection.execute(insert(identity), _new_identity())


def version(engine: Engine) -> tuple[str | None, str | None]:
    """Return the version that the database has, and the one that the program works with."""
    with engine.connect() as connection:
        has = MigrationContext.configure(connection).get_current_revision()
        return has, ScriptDirectory.from_config(_config(connection)).get_current_head()


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config


def _new_identity() -> dict[str, object]:
    return {
        "only": 1,
        "epoch": str(uuid4()),
        "secret": secrets.token_bytes(_SECRET_SIZE),
        "head": 0,
        "trimmed": 0,
    }
