"""The fence: of two processes that both believe, only the one of the newest term writes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.unit.operator.server import Clock
from trueup.catalog import migrate, postgres, posting
from trueup.catalog.fencing import FencedStore, begin_term
from trueup.catalog.opening import open_store
from trueup.catalog.store import SqliteStore, Write
from trueup.errors import CatalogError, LeaseLost

_SET = sa.text("INSERT INTO meta (key, value) VALUES ('test', :value) ON CONFLICT (key) DO UPDATE SET value = excluded.value")
_GET = sa.text("SELECT value FROM meta WHERE key = 'test'")


class Machine:
    """The machine's clocks."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    made = SqliteStore(tmp_path / "catalog.db", Clock())
    made.write(lambda tx: migrate.prepare(tx.connection))
    yield made
    made.close()


def note(value: str) -> object:
    def unit(tx: Write) -> None:
        tx.run(_SET, {"value": value})

    return unit


def noted(store: SqliteStore) -> str | None:
    with store.read() as read:
        found = read.value(_GET)
    return None if found is None else str(found)


def test_an_older_term_writes_nothing(store: SqliteStore) -> None:
    """P32: a process that was stopped past its Lease and goes on finds the catalog closed to it, though it believes."""
    one = FencedStore(store, store.write(lambda tx: begin_term(tx, "one")), lambda: True)
    one.write(note("one"))  # type: ignore[arg-type]
    two = FencedStore(store, store.write(lambda tx: begin_term(tx, "two")), lambda: True)
    with pytest.raises(LeaseLost):
        one.write(note("late"))  # type: ignore[arg-type]
    assert noted(store) == "one"
    two.write(note("two"))  # type: ignore[arg-type]
    assert noted(store) == "two"


def test_who_knows_that_the_lease_is_lost_does_not_even_try(store: SqliteStore) -> None:
    """Without another one the term is still the present one, and the write is refused all the same."""
    fenced = FencedStore(store, store.write(lambda tx: begin_term(tx, "one")), lambda: False)
    with pytest.raises(LeaseLost):
        fenced.write(note("late"))  # type: ignore[arg-type]
    assert noted(store) is None


def test_without_the_fence_the_late_write_would_happen(store: SqliteStore) -> None:
    """The control is the fence and nothing else."""
    store.write(lambda tx: begin_term(tx, "one"))
    store.write(lambda tx: begin_term(tx, "two"))
    store.write(note("late"))  # type: ignore[arg-type]
    assert noted(store) == "late"


def test_how_far_events_were_posted_is_remembered(store: SqliteStore) -> None:
    """A restart posts nothing twice."""
    with store.read() as read:
        assert posting.mark(read) == 0
    store.write(lambda tx: posting.set_mark(tx, 7))
    with store.read() as read:
        assert posting.mark(read) == 7


def test_a_write_that_stops_halfway_does_not_hold_up_the_next_term(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """P32: a process stopped in the middle of a transaction loses it, and its locks, by the server's clock."""
    monkeypatch.setattr(postgres, "STOPPED", 0.5)
    one, two = (open_store(postgres_url, Machine()) for _ in range(2))
    one.write(lambda tx: migrate.prepare(tx.connection))
    fenced = FencedStore(one, one.write(lambda tx: begin_term(tx, "one")), lambda: True)
    inside, resume = threading.Event(), threading.Event()

    def halfway(tx: Write) -> None:
        tx.run(_SET, {"value": "late"})
        inside.set()
        resume.wait(20)

    with ThreadPoolExecutor(1) as pool:
        stopped = pool.submit(fenced.write, halfway)
        assert inside.wait(10)
        two.write(lambda tx: begin_term(tx, "two"))
        resume.set()
        with pytest.raises(CatalogError):
            stopped.result(20)
    with two.read() as read:
        assert read.value(_GET) is None
    one.close()
    two.close()
