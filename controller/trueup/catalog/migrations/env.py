"""What Alembic runs: the migrations, on the connection and in the transaction that it was handed."""

from __future__ import annotations

from alembic import context

from trueup.catalog.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=bool(context.config.attributes.get("batch", True)),  # SQLite alters a table by copying it
)
with context.begin_transaction():
    context.run_migrations()
