"""The catalog's connections: snapshots for reading, and units of work for writing.

`Store` is what both dialects share; `SqliteStore` adds the one writer thread with group commit. A unit of work is a
function of a `Write`: it runs whole or not at all, may be run next to others in one commit, and must not do anything
but talk to the catalog.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from trueup.catalog.chain import AuditRow, Chain
from trueup.errors import CatalogError
from trueup.ports import Clock

T = TypeVar("T")

URGENT, NORMAL, BULK = 0, 1, 2
"""Priorities of units of work: what must be true at once, what is published, what is merely queued."""

_GROUP = 64
"""Units that share one commit at most: one fsync serves them all, and none waits for more than these."""


class Read:
    """One snapshot of the catalog."""

    def __init__(self, connection: sa.Connection) -> None:
        self.connection = connection

    def rows(self, statement: sa.Executable, params: Mapping[str, Any] | None = None) -> Sequence[Any]:
        """All rows of `statement`."""
        return self.connection.execute(statement, params or {}).all()

    def row(self, statement: sa.Executable, params: Mapping[str, Any] | None = None) -> Any | None:
        """The first row, or None."""
        return self.connection.execute(statement, params or {}).first()

    def value(self, statement: sa.Executable, params: Mapping[str, Any] | None = None) -> Any:
        """The first column of the first row, or None."""
        return self.connection.execute(statement, params or {}).scalar()

    def stream(self, statement: sa.Executable, params: Mapping[str, Any] | None = None, size: int = 2000) -> Iterator[Any]:
        """Rows in batches of `size`, so that memory does not grow with the answer."""
        result = self.connection.execution_options(yield_per=size).execute(statement, params or {})
        with result:
            yield from result

    def sequence(self) -> int:
        """The sequence of the last transaction that this snapshot sees."""
        return int(self.value(_SEQUENCE_NOW))


class Write(Read):
    """One unit of work."""

    def __init__(self, connection: sa.Connection, now: float) -> None:
        super().__init__(connection)
        self.now = now
        self.entries: list[AuditRow] = []
        self._sequence: int | None = None

    def run(self, statement: sa.Executable, params: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None) -> sa.CursorResult[Any]:
        """Execute; a sequence of params is one executemany, and an empty one does nothing harmful: do not pass it."""
        return self.connection.execute(statement, params or {})

    def many(self, statement: sa.Executable, rows: Sequence[Mapping[str, Any]]) -> None:
        """Execute once a row; nothing for no rows."""
        if rows:
            self.connection.execute(statement, rows)

    def allot(self) -> int:
        """This unit's sequence. It takes the one row lock, so ask for it late: order of numbers is order of commits."""
        if self._sequence is None:
            self._sequence = int(self.connection.execute(_SEQUENCE_NEXT, {"now": self.now}).scalar_one())
        return self._sequence

    def audit(self, kind: str, *, principal: str, object: str, decision: str, reason: str = "", data: Mapping[str, Any] | None = None) -> None:
        """Append to the audit log, in this transaction."""
        self.entries.append(AuditRow(kind=kind, principal=principal, object=object, decision=decision, reason=reason, data=dict(data or {})))


_SEQUENCE_NOW = sa.text("SELECT value FROM sequence WHERE id = 1")
_SEQUENCE_NEXT = sa.text("UPDATE sequence SET value = value + 1, at = :now WHERE id = 1 RETURNING value")


class Store:
    """A catalog database: any number of readers, and one writer thread whose commits are shared.

    Measured on SQLite: a commit with synchronous=FULL costs 1.6 ms contended, and about 5 us a row when shared, so units
    that arrive while one commit runs go into the next one together. On PostgreSQL it is one commit a process, which
    keeps the audit chain in order without a lock.
    """

    dialect: str

    def __init__(self, reader: sa.Engine, writer: sa.Engine, clock: Clock) -> None:
        self.clock = clock
        self.chain = Chain.fresh()
        self._reader = reader
        self._writer = writer
        self._queue: queue.PriorityQueue[_Unit] = queue.PriorityQueue()
        self._numbers = iter(range(1, 1 << 62))
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._serve, name="catalog-writer", daemon=True)
        self._thread.start()

    @contextlib.contextmanager
    def read(self) -> Iterator[Read]:
        """One snapshot: everything read in it is of one moment.

        Raises:
            CatalogError: the catalog cannot be read, which denies whatever was being decided.
        """
        try:
            with self._reader.connect() as connection, connection.begin():
                yield Read(connection)
        except DBAPIError as error:
            raise CatalogError(f"The catalog could not be read ({type(error.orig).__name__}).") from error

    def write(self, unit: Callable[[Write], T], priority: int = NORMAL) -> T:
        """Run `unit` on the writer thread.

        Raises:
            CatalogError: the database refused; whatever else `unit` raises comes back as it is.
        """
        with self._lock:
            if self._closed.is_set():
                raise CatalogError("The catalog is closed.")
            item = _Unit(priority, next(self._numbers), unit)
            self._queue.put(item)
        return item.done.result()  # type: ignore[no-any-return]

    def close(self) -> None:
        """Finish what is queued and release the connections. Idempotent."""
        with self._lock:
            already = self._closed.is_set()
            self._closed.set()
            if not already:
                self._queue.put(_Unit(BULK + 1, next(self._numbers), _stop))
        self._thread.join()
        self._writer.dispose()
        self._reader.dispose()

    def _serve(self) -> None:
        with self._writer.connect() as connection:
            while True:
                units = [self._queue.get()]
                with contextlib.suppress(queue.Empty):
                    # Bulk work is not grouped: what is urgent must not wait for more than one unit of it.
                    while len(units) < _GROUP and units[-1].priority < BULK:
                        units.append(self._queue.get_nowait())
                last = any(unit.work is _stop for unit in units)
                self._commit(connection, [unit for unit in units if unit.work is not _stop])
                if last:
                    return

    def _commit(self, connection: sa.Connection, units: list[_Unit]) -> None:
        results: list[tuple[_Unit, Any]] = []
        head = self.chain.head
        try:
            with connection.begin():
                now = self.clock.now()
                for unit in units:
                    try:
                        with connection.begin_nested():
                            tx = Write(connection, now)
                            value = unit.work(tx)
                            before = self.chain.head
                            try:
                                self._finish(tx)
                            except BaseException:
                                self.chain.head = before
                                raise
                        results.append((unit, value))
                    except Exception as error:  # noqa: BLE001 - each unit fails alone, and its caller gets the error
                        unit.done.set_exception(_catalog_error(error))
        except Exception as error:  # noqa: BLE001 - the commit failed: nobody's unit happened, and everybody is told
            self.chain.head = head
            for unit, _ in results:
                unit.done.set_exception(_catalog_error(error))
            return
        for unit, value in results:
            unit.done.set_result(value)

    def _finish(self, tx: Write) -> None:
        """Write what the unit put on the audit log. The chain's head moves only when the caller says so."""
        if tx.entries:
            tx.many(_AUDIT, self.chain.extend(tx.entries, tx.now))


_AUDIT = sa.text(
    "INSERT INTO audit (chain, seq, at, kind, principal, object, decision, reason, data, prev, hash) "
    "VALUES (:chain, :seq, :at, :kind, :principal, :object, :decision, :reason, :data, :prev, :hash)"
)


@dataclass(order=True)
class _Unit:
    priority: int
    number: int
    work: Callable[[Write], Any] = field(compare=False)
    done: Future[Any] = field(compare=False, default_factory=Future)


class SqliteStore(Store):
    """The embedded catalog, in WAL mode."""

    dialect = "sqlite"

    def __init__(self, path: Path, clock: Clock) -> None:
        reader = sa.create_engine(f"sqlite:///{path}", poolclass=sa.pool.QueuePool, pool_size=16, max_overflow=64, connect_args={"check_same_thread": False})
        _prepare(reader, "BEGIN", ("PRAGMA query_only = 1", "PRAGMA cache_size = -16384", "PRAGMA mmap_size = 1073741824", "PRAGMA busy_timeout = 10000"))
        writer = sa.create_engine(f"sqlite:///{path}", poolclass=sa.pool.NullPool, connect_args={"check_same_thread": False})
        _prepare(
            writer,
            "BEGIN IMMEDIATE",
            (
                "PRAGMA journal_mode = WAL",
                "PRAGMA synchronous = FULL",
                "PRAGMA cache_size = -65536",
                "PRAGMA busy_timeout = 10000",
                "PRAGMA wal_autocheckpoint = 4000",
                "PRAGMA temp_store = MEMORY",
            ),
        )
        super().__init__(reader, writer, clock)


def _stop(_: Write) -> None:
    """Marks the end of the writer's queue."""


def _catalog_error(error: Exception) -> Exception:
    if isinstance(error, DBAPIError):
        wrapped = CatalogError(f"The catalog could not be written ({type(error.orig).__name__}: {error.orig}).")
        wrapped.__cause__ = error
        return wrapped
    return error


def _prepare(engine: sa.Engine, begin: str, pragmas: Sequence[str]) -> None:
    """Let transactions begin as we say, not as the driver guesses, and set the pragmas of each connection."""

    @sa.event.listens_for(engine, "connect")
    def connected(connection: Any, _: Any) -> None:
        connection.isolation_level = None
        for pragma in pragmas:
            connection.execute(pragma)

    @sa.event.listens_for(engine, "begin")
    def begun(connection: sa.Connection) -> None:
        connection.exec_driver_sql(begin)
