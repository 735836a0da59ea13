"""What only a shared catalog has to do: locks, lost connections, one clock, word between processes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa

from tests.contract.catalog.conftest import Clocks, Opener
from tests.contract.catalog.shelf import Shelf
from trueup.catalog import audit, declaring, looking, publishing
from trueup.catalog.announcing import ANYTHING
from trueup.catalog.clock import CatalogClock
from trueup.catalog.hot import Hot
from trueup.catalog.opening import open_store
from trueup.catalog.postgres import PostgresStore
from trueup.catalog.store import Store, Write
from trueup.errors import CatalogError, EpochLost


@pytest.fixture
def url(postgres_catalog: str) -> str:
    return postgres_catalog


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as made:
        yield made


def cut(url: str) -> None:
    """End every connection to the catalog but this one, as a failover does."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.execute(sa.text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"))


def wait_for(check: Callable[[], bool]) -> None:
    ends = time.monotonic() + 10
    while not check():
        assert time.monotonic() < ends
        time.sleep(0.01)


def paused(pool: ThreadPoolExecutor, store: Store, before: Callable[[Write], Any], after: Callable[[Write], Any]) -> tuple[threading.Event, Future[Any]]:
    """A unit that stands between `before` and `after` until the event is set."""
    began, release = threading.Event(), threading.Event()

    def unit(tx: Write) -> Any:
        before(tx)
        began.set()
        assert release.wait(10)
        return after(tx)

    future = pool.submit(store.write, unit)
    assert began.wait(10)
    return release, future


def test_a_withdrawal_waits_for_a_look_that_passed_its_fence(opened: Opener, pool: ThreadPoolExecutor) -> None:
    """What passed the fence is committed before the source dies, and dies with it; nothing slips in after."""
    shelf, other = Shelf(opened()), opened()
    shelf.put({"a.md": "alpha"})
    decision = shelf.decision()
    release, look = paused(pool, shelf.store, lambda tx: looking.fence(tx, decision), lambda tx: looking.apply(tx, decision))
    death = pool.submit(other.write, lambda tx: declaring.withdraw(tx, shelf.source, retain=False, principal="user:owner"))
    time.sleep(0.2)
    assert not death.done()
    release.set()
    look.result()
    assert death.result()
    assert shelf.served() == {}


def test_a_look_waits_for_a_withdrawal_and_is_void(opened: Opener, pool: ThreadPoolExecutor) -> None:
    """Where the source dies first, the look that waited for it writes nothing."""
    shelf, other = Shelf(opened()), opened()
    decision = shelf.decision()
    release, death = paused(pool, other, lambda tx: declaring.withdraw(tx, shelf.source, retain=False, principal="user:owner"), lambda _: None)
    look = pool.submit(shelf.store.write, lambda tx: looking.apply(tx, decision))
    time.sleep(0.2)
    assert not look.done()
    release.set()
    death.result()
    with pytest.raises(EpochLost):
        look.result()


def test_a_publication_sees_what_was_wanted_while_it_waited(opened: Opener, pool: ThreadPoolExecutor) -> None:
    """It decides by what is true once it holds the source, not by what was true when it began to wait."""
    shelf, other = Shelf(opened()), opened()
    shelf.list({"a.md": "first"})
    (wanted,) = shelf.wanted()
    late = shelf.publication(wanted, "first")
    decision = shelf.decision()
    forget = sa.text("UPDATE document SET wanted = 'second'")
    release, look = paused(pool, other, lambda tx: (looking.fence(tx, decision), tx.run(forget)), lambda _: None)
    published = pool.submit(shelf.store.write, lambda tx: publishing.publish(tx, [late]))
    time.sleep(0.2)
    release.set()
    look.result()
    assert published.result() == [False]
    assert shelf.served() == {}


def test_units_that_wait_for_each_other_both_happen(opened: Opener, pool: ThreadPoolExecutor) -> None:
    """A deadlock costs time, no unit: what the server ended is run again."""
    stores = [opened(), opened()]
    first, second = (Shelf(stores[0], name).source for name in ("s0", "s1"))
    ran: list[str] = []

    def unit(name: str, mine: int, theirs: int) -> Callable[[Write], None]:
        def work(tx: Write) -> None:
            ran.append(name)
            tx.hold([mine])
            tx.audit("Config", principal="controller", object=name, decision="Done")
            if len(ran) <= 2:
                barrier.wait(10)
            tx.hold([theirs])

        return work

    barrier = threading.Barrier(2)
    futures = [pool.submit(stores[0].write, unit("one", first, second)), pool.submit(stores[1].write, unit("two", second, first))]
    for future in futures:
        future.result(timeout=20)
    assert len(ran) == 3
    with stores[0].read() as read:
        assert sorted(row["object"] for row in audit.export(read) if row["object"] in {"one", "two"}) == ["one", "two"]


def test_a_lost_connection_is_replaced(url: str, opened: Opener, tmp_path: Any) -> None:
    """Reads and writes fail with a CatalogError while the server is away and work again when it is back; the log is whole."""
    store = opened()

    def note(tx: Write) -> None:
        tx.audit("Config", principal="controller", object="x", decision="Done")

    def lost(tx: Write) -> None:
        note(tx)
        cut(url)
        tx.allot()

    def torn() -> None:
        with store.read() as read:
            cut(url)
            read.sequence()

    store.write(note)
    cut(url)
    with pytest.raises(CatalogError, match="could not be written"):
        store.write(note)
    store.write(note)
    with pytest.raises(CatalogError):
        store.write(lost)
    store.write(note)
    with pytest.raises(CatalogError, match="could not be read"):
        torn()
    with store.read() as read:
        assert read.sequence() == 0
        assert len(list(audit.export(read))) == 3
        assert audit.verify(read, tmp_path, None) == []  # type: ignore[arg-type]


def test_a_server_that_is_not_there_is_said_plainly() -> None:
    """No address, user or password in the message."""
    with pytest.raises(CatalogError, match="could not be read") as caught:
        open_store("postgresql://user:hunter2@/nowhere?host=/nowhere/at/all", Clocks())
    assert "hunter2" not in str(caught.value)


def test_both_kinds_of_transaction(opened: Opener) -> None:
    """Snapshots are REPEATABLE READ and READ ONLY, and may pause; units are READ COMMITTED."""
    store = opened()
    with store.read() as read:
        assert [read.value(sa.text(f"SHOW {name}")) for name in ("transaction_isolation", "transaction_read_only", "idle_in_transaction_session_timeout")] == [
            "repeatable read",
            "on",
            "0",
        ]
    assert store.write(lambda tx: tx.value(sa.text("SHOW transaction_isolation"))) == "read committed"


class Slow(Clocks):
    """A machine whose wall clock is a day behind."""

    def now(self) -> float:
        return time.time() - 86400


def test_time_is_the_servers(url: str) -> None:
    """Leases go by one clock, whatever the machine's shows."""
    store = open_store(url, Slow())
    assert abs(store.clock.now() - time.time()) < 0.5
    assert abs(store.write(lambda tx: tx.now) - time.time()) < 0.5
    assert isinstance(store.clock, CatalogClock)
    store.close()


def test_word_reaches_other_processes(url: str, opened: Opener) -> None:
    """A commit is heard by every process; one that was deaf for a while is told so, and hears again."""
    here, there = opened(), opened()
    told: dict[str, list[str]] = {"here": [], "there": []}
    here.subscribe(told["here"].append)
    there.subscribe(told["there"].append)
    here.write(lambda tx: tx.announce("one"))
    wait_for(lambda: told == {"here": ["one"], "there": ["one"]})
    cut(url)
    wait_for(lambda: told["there"][-1:] == [ANYTHING])
    with pytest.raises(CatalogError):
        here.write(lambda tx: tx.announce("lost"))
    here.write(lambda tx: tx.announce("two"))
    wait_for(lambda: told["there"][-1:] == ["two"])


def test_word_of_what_was_undone_is_not_spread(opened: Opener) -> None:
    """A unit that failed has announced nothing."""
    here, there = opened(), opened()
    told: list[str] = []
    there.subscribe(told.append)

    def unit(tx: Write) -> None:
        tx.announce("undone")
        raise EpochLost

    with pytest.raises(EpochLost):
        here.write(unit)
    here.write(lambda tx: tx.announce("done"))
    wait_for(lambda: bool(told))
    assert told == ["done"]


def test_a_plan_from_before_a_migration_is_given_up(opened: Opener) -> None:
    """After a table changed, one read at most fails: connections with plans from before are replaced."""
    store = opened()
    assert isinstance(store, PostgresStore)
    everything = sa.text("SELECT * FROM meta")
    for _ in range(10):  # psycopg keeps a plan after five
        with store.read() as read:
            read.rows(everything)
    store.write(lambda tx: tx.run(sa.text("ALTER TABLE meta ADD COLUMN more TEXT")))
    with pytest.raises(CatalogError), store.read() as read:
        read.rows(everything)
    for _ in range(10):
        with store.read() as read:
            read.rows(everything)


def test_a_connection_lost_under_a_hot_statement_is_replaced(url: str, opened: Opener) -> None:
    """A statement that goes to the driver as it is gives a dead connection up as all others do."""
    store = opened()
    now = Hot("SELECT value FROM sequence WHERE id = ?")

    def torn() -> None:
        with store.read() as read:
            cut(url)
            read.hot(now, 1)

    for _ in range(3):
        with pytest.raises(CatalogError, match="could not be read"):
            torn()
    with store.read() as read:
        assert read.hot(now, 1) == [(0,)]
