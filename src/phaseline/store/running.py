"""Running the statements of the writer on either database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection

from phaseline.store import sqlite
from phaseline.store.rows import Row
from phaseline.store.statements import Statement


def run_rows(connection: Connection, rows: Mapping[Statement, Sequence[Row]]) -> None:
    """Run statements for all of their rows, in the transaction of *connection*."""
    if connection.dialect.name == "sqlite":
        sqlite.run_rows(connection, rows)
        return
    from phaseline.store import postgres  # needs a package that not everybody installs

    postgres.run_rows(connection, rows)
