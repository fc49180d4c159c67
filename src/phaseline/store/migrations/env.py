"""How alembic gets to the database: over the connection that it is handed."""

from __future__ import annotations

from alembic import context

from phaseline.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite cannot alter a table in place.
    render_as_batch=True,
)
context.run_migrations()
