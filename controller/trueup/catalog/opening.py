"""Opens the catalog that a URL names."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from trueup.catalog.store import SqliteStore, Store
from trueup.errors import CatalogError
from trueup.ports import Clock

_HOW = "The catalog's URL is not valid: it must be sqlite:///PATH or postgresql://USER@HOST/DATABASE."


def open_store(url: str, clock: Clock) -> Store:
    """The catalog at `url`, ready for use by a process whose own clocks are `clock`; not migrated.

    Everything that reads the time goes by `store.clock` from then on: on PostgreSQL that is the server's.

    Raises:
        CatalogError: the URL is not valid, the driver is not installed, or the server cannot be reached.
    """
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError) as error:
        raise CatalogError(_HOW) from error
    match parsed.get_backend_name():
        case "sqlite" if parsed.database and parsed.database != ":memory:":
            return SqliteStore(Path(parsed.database), clock)
        case "postgresql" | "postgres":
            return _postgres(url, clock)
        case _:
            raise CatalogError(_HOW)


def _postgres(url: str, clock: Clock) -> Store:
    try:
        from trueup.catalog.postgres import PostgresStore  # noqa: PLC0415 - the driver is an extra, and costs a start 80 ms
    except ImportError as error:
        raise CatalogError("The driver of PostgreSQL is not installed: install trueup[postgres].") from error
    return PostgresStore(url, clock)
