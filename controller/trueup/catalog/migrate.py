"""The catalog's schema, brought to the one that this code knows.

An empty database gets today's tables at once and is stamped with the newest migration; an older one is migrated to the
same tables, which a test compares. So Alembic, whose import costs as much as the rest of a start, is imported only when
there is something to migrate.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from trueup.catalog.schema import metadata
from trueup.errors import CatalogError

_FOLDER = Path(__file__).with_name("migrations")

_LOCK = sa.text("SELECT pg_advisory_xact_lock(7408102)")
"""Any number that is ours alone: on PostgreSQL, replicas that start together migrate one after another."""

_STAMP = sa.table("alembic_version", sa.column("version_num"))

_STAMP_TABLE = sa.text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))")
"""As Alembic makes it."""

_VERSION = sa.select(_STAMP.c.version_num)

_COUNTED = sa.text("SELECT 1 FROM sequence WHERE id = 1")
_COUNTER = sa.text("INSERT INTO sequence (id, value, at) VALUES (1, 0, 0)")


def head() -> str:
    """The version of the newest migration: the number that its file's name begins with."""
    return max(_known())


def current(connection: sa.Connection) -> str | None:
    """The version that the database is at; None for an empty one."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    version = connection.execute(_VERSION).scalar()
    return None if version is None else str(version)


def prepare(connection: sa.Connection) -> None:
    """Migrate to `head()` in the connection's transaction, and lay down the row of the commit counter.

    Whoever called commits. For SQLite: `store.write(lambda tx: migrate.prepare(tx.connection))`.

    Raises:
        CatalogError: the database is newer than this code, which therefore must not touch it.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(_LOCK)
    version = current(connection)
    if version is not None and version not in _known():
        raise CatalogError(f"The catalog has schema {version}, and this Trueup knows up to {head()}. Install the version that wrote it, or a newer one.")
    if version is None:
        metadata.create_all(connection)
        connection.execute(_STAMP_TABLE)
        connection.execute(sa.insert(_STAMP).values(version_num=head()))
    elif version != head():
        upgrade(connection)
    # A process without the right to change the schema gets this far too, once somebody with it was here.
    if connection.execute(_COUNTED).first() is None:
        connection.execute(_COUNTER)


def _known() -> set[str]:
    return {path.name.split("_", 1)[0] for path in (_FOLDER / "versions").glob("[0-9]*_*.py")}


def upgrade(connection: sa.Connection) -> None:
    """Run the migrations that the database has not seen, from the first for an empty one."""
    from alembic import command  # noqa: PLC0415 - see the module's docstring
    from alembic.config import Config  # noqa: PLC0415

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))  # ConfigParser interpolates
    command.upgrade(config, "head")
