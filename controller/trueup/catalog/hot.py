"""The statements of the gate's hot path, handed to the driver as they are, in the snapshot or unit of work that asks.

A query needs about fifteen of them. Through SQLAlchemy's compiler and result metadata each costs the processor ten
times what SQLite itself does (measured: 70 us for a row by its key, against 6), so that these few do without.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any

import sqlalchemy as sa

STALE_CONNECTION = frozenset({"0A000", "25006"})
"""Errors that a new connection cures: a plan kept from before a migration, and a server that has become a standby."""

_IN_AT_MOST = 900
"""Ids a statement: below the smallest limit of bound parameters of an SQLite in use (999)."""


class Hot:
    """One statement, with `?` wherever a value goes; what is bound is given in that order."""

    def __init__(self, sql: str) -> None:
        self._by_dialect = {"sqlite": sql, "postgresql": sql.replace("?", "%s")}

    def rows(self, connection: sa.Connection, params: Sequence[Any]) -> list[Any]:
        """All rows, as tuples.

        Raises:
            sqlalchemy.exc.DBAPIError: the database refused; a connection that is of no further use is given up.
        """
        with _driver(connection) as driver:
            return list(driver.execute(self._by_dialect[connection.dialect.name], params).fetchall())

    def run(self, connection: sa.Connection, params: Sequence[Any] = ()) -> None:
        """Execute once.

        Raises:
            sqlalchemy.exc.DBAPIError: as with `rows`.
        """
        with _driver(connection) as driver:
            driver.execute(self._by_dialect[connection.dialect.name], params)

    def put(self, connection: sa.Connection, rows: Sequence[Sequence[Any]]) -> None:
        """Execute once a row; nothing for no rows.

        Raises:
            sqlalchemy.exc.DBAPIError: as with `rows`.
        """
        if len(rows) == 1:
            self.run(connection, rows[0])
        elif rows:
            with _driver(connection) as driver, contextlib.closing(driver.cursor()) as cursor:
                cursor.executemany(self._by_dialect[connection.dialect.name], rows)


class HotByIds:
    """One statement less its end, which is a column that has to be one of some ids.

    Ids are bound with `IN`, never as row values, which SQLite would answer by scanning the table.
    """

    def __init__(self, sql: str) -> None:
        self._sql = sql

    def rows(self, connection: sa.Connection, ids: Collection[Any]) -> list[Any]:
        """All rows, as tuples; nothing for no ids.

        Raises:
            sqlalchemy.exc.DBAPIError: as with `Hot.rows`.
        """
        found: list[Any] = []
        with _driver(connection) as driver:
            for sql, params in self._parts(connection.dialect.name, sorted(ids)):
                found += driver.execute(sql, params).fetchall()
        return found

    def _parts(self, dialect: str, ids: Sequence[Any]) -> Iterator[tuple[str, Sequence[Any]]]:
        for start in range(0, len(ids), _IN_AT_MOST):
            some = ids[start : start + _IN_AT_MOST]
            if dialect == "postgresql":
                yield f"{self._sql} = ANY(%s)", (some,)
            else:
                yield f"{self._sql} IN ({'?, ' * (len(some) - 1)}?)", some


@functools.lru_cache(maxsize=256)
def in_driver_words(statement: sa.TextClause, dialect: sa.Dialect) -> tuple[str, Callable[[Mapping[str, Any]], Any]]:
    """`statement` as the driver takes it, and what makes the driver's values of a row by names."""
    compiled = statement.compile(dialect=dialect)
    names = compiled.positiontup
    if names is None:
        return str(compiled), dict
    if len(names) == 1:
        return str(compiled), lambda row: (row[names[0]],)
    return str(compiled), itemgetter(*names)


@contextlib.contextmanager
def _driver(connection: sa.Connection) -> Iterator[Any]:
    """The driver's own connection; its errors become what SQLAlchemy would have raised, had it executed the statement."""
    held = connection.connection
    try:
        yield held.driver_connection
    except connection.dialect.loaded_dbapi.Error as error:
        gone = connection.dialect.is_disconnect(error, held.dbapi_connection, None)
        if gone or getattr(error, "sqlstate", None) in STALE_CONNECTION:
            connection.invalidate(error)
        raise sa.exc.DBAPIError(None, None, error, connection_invalidated=gone) from error


_SAVE, _UNDO, _RELEASE = Hot("SAVEPOINT unit"), Hot("ROLLBACK TO SAVEPOINT unit"), Hot("RELEASE SAVEPOINT unit")


@contextlib.contextmanager
def savepoint(connection: sa.Connection) -> Iterator[None]:
    """What is done in it is undone if it fails, and nothing else of the transaction.

    Where that cannot be, because the database has given up the whole of it (a full disk), so does the connection.
    """
    _SAVE.run(connection)
    try:
        yield
        _RELEASE.run(connection)
    except BaseException:
        if not connection.invalidated:
            try:
                _UNDO.run(connection)
                _RELEASE.run(connection)
            except sa.exc.DBAPIError as error:
                connection.invalidate(error)
        raise
