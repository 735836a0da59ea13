"""Streams that are left in the middle, as by a listing that breaks off, leave nothing behind."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.unit.reconcile.house import SettableClock
from trueup.catalog.store import SqliteStore, Write

_MANY = sa.text("INSERT INTO t SELECT value FROM (WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n LIMIT 5000) SELECT value FROM n)")


def test_an_abandoned_stream_pins_no_snapshot(tmp_path: Path) -> None:
    """P01, P33: whoever reads next reads the present, though a stream of an earlier reader was never read to its end."""
    store = SqliteStore(tmp_path / "catalog.db", SettableClock())

    def fill(tx: Write) -> None:
        tx.run(sa.text("CREATE TABLE t (id INTEGER)"))
        tx.run(_MANY)

    def empty(tx: Write) -> None:
        tx.run(sa.text("DELETE FROM t"))

    try:
        store.write(fill)
        kept = []

        def break_off() -> None:
            with store.read() as read:
                stream = read.stream(sa.text("SELECT id FROM t"), size=10)
                next(stream)
                kept.append(stream)  # as the traceback of an error keeps it
                raise ConnectionError

        with pytest.raises(ConnectionError):
            break_off()
        store.write(empty)
        with store.read() as read:
            assert read.value(sa.text("SELECT count(*) FROM t")) == 0
    finally:
        store.close()
