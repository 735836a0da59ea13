"""The production catalog: PostgreSQL through psycopg 3, shared by the controller and any number of gates.

Reads are snapshots (REPEATABLE READ, READ ONLY); writes are READ COMMITTED and lock what they check (`Write.hold`), so
that each statement after the lock sees what was committed before it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg.types.string import StrDumperUnknown

from trueup.catalog.clock import SERVER_NOW, CatalogClock
from trueup.catalog.hot import STALE_CONNECTION
from trueup.catalog.listening import CHANNEL, Listener
from trueup.catalog.store import Store, Write
from trueup.errors import CatalogError
from trueup.ports import Clock

STOPPED = 20.0
"""Seconds that a write may pause between two statements before the server ends it and lets go of its locks."""

_CONNECT = {
    "application_name": "trueup",
    "connect_timeout": 5,
    # A server that vanished without a word is given up within twenty seconds: whoever waits is told, and reconnects.
    "keepalives_idle": 10,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
"""What each connection is opened with, where the URL does not say otherwise. Seconds; the last one milliseconds."""

_NOTIFY = sa.text("SELECT pg_notify(:channel, :topic)")


class PostgresStore(Store):
    """A catalog on a PostgreSQL server (15 or newer)."""

    dialect = "postgresql"
    locking = True

    def __init__(self, url: str, clock: Clock, *, readers: int = 16) -> None:
        """`url`: `postgresql://…`; `clock` gives the monotonic time; at most `readers` snapshots are open at a time.

        Raises:
            CatalogError: the URL is not valid, or the server cannot be reached.
        """
        try:
            parsed = sa.make_url(url).set(drivername="postgresql+psycopg")
            parsed = parsed.update_query_dict({key: str(value) for key, value in _CONNECT.items() if key not in parsed.query})
            reader = sa.create_engine(parsed, isolation_level="REPEATABLE READ", pool_size=readers // 2, max_overflow=readers - readers // 2, pool_timeout=5.0)
            writer = sa.create_engine(parsed, isolation_level="READ COMMITTED", pool_size=1, max_overflow=0)
        except (sa.exc.ArgumentError, sa.exc.NoSuchModuleError, ValueError) as error:
            raise CatalogError("The catalog's URL is not valid: it must be postgresql://USER@HOST/DATABASE.") from error
        sa.event.listen(reader, "connect", _read_only)
        sa.event.listen(writer, "connect", _hurrying)
        for engine in (reader, writer):
            sa.event.listen(engine, "connect", _connected)
            sa.event.listen(engine, "handle_error", _give_up_connection)
        self._arguments: dict[str, Any] = dict(writer.dialect.create_connect_args(parsed)[1])
        self._listener: Listener | None = None
        super().__init__(reader, writer, clock)
        try:
            self.clock: Clock = CatalogClock(self, clock)
        except CatalogError:
            self.close()
            raise

    def subscribe(self, told: Callable[[str], None]) -> Callable[[], None]:
        """See `Store.subscribe`. The first one opens a connection of its own for listening."""
        with self._lock:
            if self._listener is None and not self._closed.is_set():
                self._listener = Listener(lambda: psycopg.connect(**self._arguments, autocommit=True), self.announcements)
        return super().subscribe(told)

    def close(self) -> None:
        """Commit what was asked for, then let go of the database."""
        with self._lock:
            listener, self._listener = self._listener, None
        if listener is not None:
            listener.close()
        if isinstance(self.clock, CatalogClock):
            self.clock.close()
        super().close()

    def _now(self, connection: sa.Connection) -> float:
        return float(connection.execute(SERVER_NOW).scalar_one())

    def _finish(self, tx: Write) -> None:
        super()._finish(tx)
        for topic in sorted(tx.topics):
            tx.run(_NOTIFY, {"channel": CHANNEL, "topic": topic})

    def _committed(self, topics: set[str]) -> None:
        """The server tells every process, this one too."""


class _Text(StrDumperUnknown):
    """Text as PostgreSQL can keep it: a query or a front matter may hold a NUL, and must not fail for that."""

    def dump(self, obj: str) -> Any:
        return super().dump(obj.replace("\0", "\ufffd"))


def _connected(connection: psycopg.Connection[Any], _: object) -> None:
    connection.adapters.register_dumper(str, _Text)


def _read_only(connection: psycopg.Connection[Any], _: object) -> None:
    """Each transaction is READ ONLY, and may pause: a look holds its snapshot for as long as the source takes to list."""
    connection.autocommit = True
    connection.execute("SET idle_in_transaction_session_timeout = 0")
    connection.autocommit = False
    connection.read_only = True


def _hurrying(connection: psycopg.Connection[Any], _: object) -> None:
    """A process that is stopped in the middle of a write must not hold its locks against whoever takes over."""
    connection.autocommit = True
    connection.execute(f"SET idle_in_transaction_session_timeout = '{STOPPED:g}s'")
    connection.autocommit = False


def _give_up_connection(context: sa.engine.ExceptionContext) -> None:
    if getattr(context.original_exception, "sqlstate", None) in STALE_CONNECTION:
        context.is_disconnect = True
