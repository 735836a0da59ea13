"""The catalog's connections: snapshots for reading, and units of work for writing.

`Store` is what both dialects share: readers, and one writer thread with group commit. A unit of work is a function of a
`Write`: it runs whole or not at all, may be run next to others in one commit, may be run again where the database asks
for that, and must not do anything but talk to the catalog.

Several processes may write to one PostgreSQL catalog. A unit that checks before it writes takes what it checks with
`Write.hold` first, and then the counter with `Write.allot`: sources in order of their ids, the counter last, so that no
two units wait for each other.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from trueup.catalog.announcing import Announcements
from trueup.catalog.chain import AuditRow, Chain
from trueup.catalog.failures import catalog_error, may_repeat, name
from trueup.catalog.hot import Hot, HotByIds, in_driver_words, savepoint
from trueup.catalog.schema import source
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
        self._streams: list[sa.CursorResult[Any]] = []

    def rows(self, statement: sa.Executable, params: Mapping[str, Any] | None = None) -> Sequence[Any]:
        """All rows of `statement`."""
        return self.connection.execute(statement, params or {}).all()

    def row(self, statement: sa.Executable, params: Mapping[str, Any] | None = None) -> Any | None:
        """The first row, or None."""
        return self.connection.execute(statement, params or {}).first()

    def value(self, statement: sa.Executable, params: Mapping[str, Any] | None = None) -> Any:
        """The first column of the first row, or None."""
        return self.connection.execute(statement, params or {}).scalar()

    def hot(self, statement: Hot, *params: Any) -> list[Any]:
        """All rows of a statement of the gate's hot path, as tuples."""
        return statement.rows(self.connection, params)

    def hot_by_ids(self, statement: HotByIds, ids: Collection[Any]) -> list[Any]:
        """The same of one that is asked by ids; nothing for no ids."""
        return statement.rows(self.connection, ids)

    def stream(self, statement: sa.Executable, params: Mapping[str, Any] | None = None, size: int = 2000) -> Iterator[Any]:
        """Rows in batches of `size`, so that memory does not grow with the answer."""
        # An option of this statement, not of the connection: PostgreSQL would open a cursor for each one after it.
        with self.connection.execute(statement, params or {}, execution_options={"yield_per": size}) as result:
            self._streams.append(result)
            yield from result
            self._streams.remove(result)

    def end_streams(self) -> None:
        """End every stream that was left in the middle: on SQLite a statement that is still open keeps its snapshot, and whoever
        has the connection next would read the past.
        """
        while self._streams:
            self._streams.pop().close()

    def sequence(self) -> int:
        """The sequence of the last transaction that this snapshot sees."""
        return int(self.value(_SEQUENCE_NOW))


class Write(Read):
    """One unit of work."""

    def __init__(self, connection: sa.Connection, now: float, *, locking: bool = False) -> None:
        """`locking`: other processes write too, so that what is checked must be locked."""
        super().__init__(connection)
        self.now = now
        self.entries: list[AuditRow] = []
        self.topics: set[str] = set()
        self.holding = False
        """Whether another process may have to wait for this unit: it is then committed before a further one begins, which
        might wait for that process. Set by whatever locks, or inserts what others insert too."""
        self._locking = locking
        self._held: set[int] = set()
        self._sequence: int | None = None

    def run(self, statement: sa.Executable, params: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None) -> sa.CursorResult[Any]:
        """Execute; a sequence of params is one executemany, and an empty one does nothing harmful: do not pass it."""
        return self.connection.execute(statement, params or {})

    def many(self, statement: sa.Executable, rows: Sequence[Mapping[str, Any]]) -> None:
        """Execute once a row; nothing for no rows. Plain SQL goes straight to the driver: naming and ordering the values of each
        row again took longer than inserting it.
        """
        if not rows:
            return
        # One row alone is spared what drivers prepare for many.
        if isinstance(statement, sa.TextClause):
            sql, ordered = in_driver_words(statement, self.connection.dialect)
            self.connection.exec_driver_sql(sql, list(map(ordered, rows)) if len(rows) > 1 else ordered(rows[0]))
        else:
            self.connection.execute(statement, rows if len(rows) > 1 else rows[0])

    def put(self, statement: Hot, *rows: Sequence[Any]) -> None:
        """Execute a statement of the gate's hot path once a row; nothing for no rows."""
        statement.put(self.connection, rows)

    def hold(self, sources: Collection[int]) -> None:
        """Nobody else changes anything of `sources` until this unit's commit: what is read after this call stays true.

        Ask for all at once and before `allot`, or two units may wait for each other.
        """
        wanted = sorted(set(sources) - self._held)
        if wanted and self._locking:
            self.connection.execute(_HOLD, {"sources": wanted})
        self._held.update(wanted)
        self.holding = self.holding or bool(wanted)

    def allot(self) -> int:
        """This unit's sequence. It takes the one row lock, so ask for it late: order of numbers is order of commits.

        Until the commit no other process has a number, so that what needs one is of one mind with everything else that does.
        """
        if self._sequence is None:
            self.holding = True
            self._sequence = int(self.connection.execute(_SEQUENCE_NEXT, {"now": self.now}).scalar_one())
        return self._sequence

    def announce(self, topic: str) -> None:
        """Wake whoever subscribed to the store, in every process, once this unit is committed. At most 200 bytes, no content."""
        self.topics.add(topic)

    def audit(self, kind: str, *, principal: str, object: str, decision: str, reason: str = "", data: Mapping[str, Any] | None = None) -> None:
        """Append to the audit log, in this transaction."""
        self.entries.append(AuditRow(kind=kind, principal=principal, object=object, decision=decision, reason=reason, data=dict(data or {})))


# Not FOR UPDATE, which would make each insertion of a document in another process wait: its foreign key reads the source.
_HOLD = sa.select(source.c.id).where(source.c.id.in_(sa.bindparam("sources", expanding=True))).order_by(source.c.id).with_for_update(key_share=True)
_SEQUENCE_NOW = sa.text("SELECT value FROM sequence WHERE id = 1")
_SEQUENCE_NEXT = sa.text("UPDATE sequence SET value = value + 1, at = :now WHERE id = 1 RETURNING value")


class Store:
    """A catalog database: any number of readers, and one writer thread whose commits are shared.

    Measured on SQLite: a commit with synchronous=FULL costs 1.6 ms contended, and about 5 us a row when shared, so units
    that arrive while one commit runs go into the next one together. On PostgreSQL it is one commit a process, which
    keeps the audit chain in order without a lock.
    """

    dialect: str

    locking = False
    """Whether other processes write to the same catalog."""

    def __init__(self, reader: sa.Engine, writer: sa.Engine, clock: Clock) -> None:
        self.clock = clock
        """The clock that leases and waiting times are measured by: the same for all processes of the catalog."""
        self.chain = Chain.fresh()
        self.announcements = Announcements()
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
                read = Read(connection)
                try:
                    yield read
                finally:
                    read.end_streams()
        except SQLAlchemyError as error:
            raise CatalogError(f"The catalog could not be read ({name(error)}).") from error

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

    def subscribe(self, told: Callable[[str], None]) -> Callable[[], None]:
        """Have `told` called with each topic that any process announces from now on; returns what ends that.

        It must return quickly and not raise. What is announced while the database is out of reach is lost: `told` then
        gets `announcing.ANYTHING`, and whoever waits looks for itself now and then anyway.
        """
        return self.announcements.subscribe(told)

    def close(self) -> None:
        """Commit what was asked for, then let go of the database."""
        with self._lock:
            already = self._closed.is_set()
            self._closed.set()
            if not already:
                self._queue.put(_Unit(BULK + 1, next(self._numbers), _stop))
        self._thread.join()
        self._writer.dispose()
        self._reader.dispose()

    def _serve(self) -> None:
        while True:
            units = [self._queue.get()]
            with contextlib.suppress(queue.Empty):
                # Bulk work is not grouped: what is urgent must not wait for more than one unit of it.
                while len(units) < _GROUP and units[-1].priority < BULK:
                    units.append(self._queue.get_nowait())
            last = any(unit.work is _stop for unit in units)
            units = [unit for unit in units if unit.work is not _stop]
            while units:
                left = self._commit(units)
                if left and left[0].priority == units[0].priority and self._overtaken(left[0]):
                    for unit in left:
                        self._queue.put(unit)
                    break
                units = left
            if last:
                return

    def _overtaken(self, unit: _Unit) -> bool:
        """Whether something more urgent waits. At least one unit of each kind has its turn in between, so that none waits for ever."""
        waiting = self._queue.queue
        return bool(waiting) and bool(waiting[0].priority < unit.priority)

    def _commit(self, units: list[_Unit]) -> list[_Unit]:
        """Run units in one commit, and tell their callers; returns those that are left for the next one."""
        head = self.chain.head
        try:
            with self._writer.connect() as connection, connection.begin():
                group = self._run(connection, units)
        except Exception as error:  # noqa: BLE001 - the commit failed: nobody's unit happened, and everybody is told
            if self.chain.head != head:
                # Whether the rows are there cannot be known where the connection broke, so nothing may follow them.
                self.chain = Chain.fresh()
            for unit in units:
                if not unit.done.done():
                    unit.done.set_exception(catalog_error(error))
            return []
        for unit, value in group.done:
            unit.done.set_result(value)
        if group.topics:
            self._committed(group.topics)
        return group.left

    def _run(self, connection: sa.Connection, units: list[_Unit]) -> _Group:
        group = _Group(left=list(units))
        now = self._now(connection)
        while group.left:
            if group.done and (group.left[0].priority > group.done[-1][0].priority or self._overtaken(group.left[0])):
                # What is urgent neither waits for what is less so to be done beside it, nor for more than the unit that runs.
                return group
            unit = group.left.pop(0)
            before, tx = self.chain.head, Write(connection, now, locking=self.locking)
            try:
                with savepoint(connection):
                    value = unit.work(tx)
                    self._finish(tx)
            except Exception as error:
                self.chain.head = before
                if connection.invalidated:
                    raise
                if may_repeat(error) and unit.repeats < _REPEATS:
                    unit.repeats += 1
                    group.left.insert(0, unit)
                    return group
                unit.done.set_exception(catalog_error(error))
                continue
            group.done.append((unit, value))
            group.topics |= tx.topics
            if tx.holding and self.locking:
                # With what it holds, a further unit must not wait for another process; nor should one wait for that unit.
                return group
        return group

    def _now(self, connection: sa.Connection) -> float:  # noqa: ARG002 - PostgreSQL asks the server
        return self.clock.now()

    def _finish(self, tx: Write) -> None:
        """Write what the unit put on the audit log. The chain's head moves only when the caller says so."""
        if tx.entries:
            tx.put(_AUDIT, *(tuple(entry[column] for column in _COLUMNS) for entry in self.chain.extend(tx.entries, tx.now)))

    def _committed(self, topics: set[str]) -> None:
        """Tell of what was announced."""
        self.announcements.tell(topics)


_COLUMNS = ("chain", "seq", "at", "kind", "principal", "object", "decision", "reason", "data", "prev", "hash")
_AUDIT = Hot(f"INSERT INTO audit ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})")


_REPEATS = 5
"""How often a unit is run again that the database ended because it and another one waited for each other."""


@dataclass(order=True)
class _Unit:
    priority: int
    number: int
    work: Callable[[Write], Any] = field(compare=False)
    done: Future[Any] = field(compare=False, default_factory=Future)
    repeats: int = field(compare=False, default=0)


@dataclass(slots=True)
class _Group:
    """What shares a commit: units that ran, with what they returned; and those that are left for the next one."""

    left: list[_Unit]
    done: list[tuple[_Unit, Any]] = field(default_factory=list)
    topics: set[str] = field(default_factory=set)


class SqliteStore(Store):
    """The embedded catalog, in WAL mode."""

    dialect = "sqlite"

    def __init__(self, path: Path, clock: Clock) -> None:
        # Last in, first out: the connection that was just used has its statements compiled and its pages at hand.
        reader = sa.create_engine(
            f"sqlite:///{path}", poolclass=sa.pool.QueuePool, pool_size=16, max_overflow=64, pool_use_lifo=True, connect_args={"check_same_thread": False}
        )
        # Mapped pages count as the process's memory: a look at a million documents would map every one of them.
        _prepare(reader, "BEGIN", ("PRAGMA query_only = 1", "PRAGMA cache_size = -16384", "PRAGMA mmap_size = 134217728", "PRAGMA busy_timeout = 10000"))
        writer = sa.create_engine(f"sqlite:///{path}", poolclass=sa.pool.QueuePool, pool_size=1, max_overflow=0, connect_args={"check_same_thread": False})
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


def _prepare(engine: sa.Engine, begin: str, pragmas: Sequence[str]) -> None:
    """Let transactions begin as we say, not as the driver guesses, and set the pragmas of each connection."""
    first = Hot(begin)

    @sa.event.listens_for(engine, "connect")
    def connected(connection: Any, _: Any) -> None:
        connection.isolation_level = None
        for pragma in pragmas:
            connection.execute(pragma)

    @sa.event.listens_for(engine, "begin")
    def begun(connection: sa.Connection) -> None:
        first.run(connection)
