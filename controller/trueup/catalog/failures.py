"""What an error of the database means for a unit of work, and how much of it may be told."""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from trueup.errors import CatalogError


def name(error: SQLAlchemyError) -> str:
    """The name of the driver's error."""
    return type(error.orig if isinstance(error, DBAPIError) else error).__name__


def catalog_error(error: Exception) -> Exception:
    """The message of a database may quote what was written, so only its name is passed on; the cause has the rest."""
    if isinstance(error, SQLAlchemyError):
        wrapped = CatalogError(f"The catalog could not be written ({name(error)}).")
        wrapped.__cause__ = error
        return wrapped
    return error


def may_repeat(error: Exception) -> bool:
    """Whether PostgreSQL ended the unit only because of what ran beside it: a deadlock, or a serialization failure."""
    return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) in {"40P01", "40001"}
