"""Units of work: whole or not at all, in order, fenced, and snapshots that do not move."""

from __future__ import annotations

import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from tests.contract.catalog.conftest import Opener
from tests.contract.catalog.shelf import PLANNED, Shelf
from trueup.catalog import audit, declaring, generations, looking, placing, publishing, settling
from trueup.catalog.announcing import OUTBOX, TOMBSTONES
from trueup.catalog.hot import Hot
from trueup.catalog.publishing import Cached
from trueup.catalog.store import BULK, NORMAL, URGENT, Store, Write
from trueup.errors import CatalogError, EpochLost


class NoSeal:
    def sign(self, claims: dict[str, Any]) -> str:
        raise AssertionError(claims)

    def open(self, text: str) -> None:
        raise AssertionError(text)


def entry(tx: Write, name: str = "x") -> None:
    tx.audit("Config", principal="controller", object=name, decision="Done")


def problems(store: Store, folder: Any) -> list[str]:
    with store.read() as read:
        return [str(problem) for problem in audit.verify(read, folder, NoSeal())]


def busy(store: Store, units: int) -> tuple[threading.Event, list[Any]]:
    """Hold the writer, and return what releases it with `units` futures' results to come: they then share a commit."""
    release = threading.Event()
    began = threading.Event()

    def first(_: Write) -> None:
        began.set()
        release.wait()

    pool = ThreadPoolExecutor(units + 1)
    futures = [pool.submit(store.write, first)]
    began.wait()
    return release, [pool, *futures]


def test_a_failed_unit_leaves_nothing_and_spoils_no_other(store: Store, tmp_path: Any) -> None:
    """Units that share a commit fail alone: the rows and the audit entries of the others are there, in one whole chain."""
    release, (pool, first) = busy(store, 8)

    def unit(number: int) -> Any:
        def work(tx: Write) -> int:
            entry(tx, f"unit/{number}")
            tx.run(sa.text("INSERT INTO meta (key, value) VALUES (:key, 'v')"), {"key": f"k{number}"})
            if number % 2:
                tx.run(sa.text("INSERT INTO meta (key, value) VALUES (:key, 'v')"), {"key": f"k{number}"})
            return number

        return work

    futures = [pool.submit(store.write, unit(number)) for number in range(8)]
    until_queued(store, 8)
    release.set()
    first.result()
    for number, future in enumerate(futures):
        if number % 2:
            with pytest.raises(CatalogError, match="could not be written"):
                future.result()
        else:
            assert future.result() == number
    with store.read() as read:
        assert [row[0] for row in read.rows(sa.text("SELECT key FROM meta ORDER BY key"))] == ["k0", "k2", "k4", "k6"]
        assert sorted(row["object"] for row in audit.export(read)) == ["unit/0", "unit/2", "unit/4", "unit/6"]
    assert problems(store, tmp_path) == []
    pool.shutdown()


def until_queued(store: Store, number: int) -> None:
    while store._queue.qsize() < number:
        threading.Event().wait(0.001)


def test_units_share_commits(store: Store) -> None:
    """Many small units that wait together cost few commits: what keeps a gate's records cheap."""
    commits = []
    sa.event.listen(store._writer, "commit", commits.append)
    release, (pool, first) = busy(store, 40)
    futures = [pool.submit(store.write, entry) for _ in range(40)]
    until_queued(store, 40)
    release.set()
    for future in [first, *futures]:
        future.result()
    assert len(commits) <= 3
    pool.shutdown()


def test_an_error_of_the_unit_itself_comes_back(store: Store) -> None:
    """What a unit raises reaches its caller as it is, and nothing of the unit is kept."""

    def unit(tx: Write) -> None:
        entry(tx)
        tx.announce("never")
        raise EpochLost

    told: list[str] = []
    store.subscribe(told.append)
    with pytest.raises(EpochLost):
        store.write(unit)
    store.write(lambda tx: tx.announce("after"))
    wait_for(lambda: "after" in told)
    assert told == ["after"]
    with store.read() as read:
        assert list(audit.export(read)) == []


def wait_for(check: Any) -> None:
    for _ in range(1000):
        if check():
            return
        threading.Event().wait(0.01)
    raise AssertionError("not within 10 s")


def test_a_failed_commit_tells_everybody_and_the_log_goes_on(store: Store, tmp_path: Any) -> None:
    """Where a commit itself fails nobody's unit happened, and what is audited next is whole again."""
    store.write(entry)

    def fail(_: object) -> None:
        raise OperationalError("COMMIT", {}, Exception("disk"))

    sa.event.listen(store._writer, "commit", fail)
    with pytest.raises(CatalogError, match="could not be written"):
        store.write(entry)
    sa.event.remove(store._writer, "commit", fail)
    store.write(entry)
    assert problems(store, tmp_path) == []
    with store.read() as read:
        assert len(list(audit.export(read))) == 2


def test_a_snapshot_does_not_move(shelf: Shelf) -> None:
    """Everything read in one snapshot is of one moment, whatever is committed meanwhile."""
    shelf.put({"a.md": "alpha"})
    with shelf.store.read() as read:
        before = read.sequence()
        shelf.remove("a.md")
        assert read.sequence() == before
        assert read.value(sa.text("SELECT count(*) FROM tombstone")) == 0
        assert read.value(sa.text("SELECT state FROM document")) == "live"
    with shelf.store.read() as read:
        assert read.sequence() > before


def test_a_snapshot_cannot_write(store: Store) -> None:
    """Reading never changes anything, by mistake or otherwise."""
    with pytest.raises(CatalogError, match="could not be read"), store.read() as read:
        read.rows(sa.text("INSERT INTO meta (key, value) VALUES ('a', 'b') RETURNING key"))
    with store.read() as read:
        assert read.rows(sa.text("SELECT 1 FROM meta")) == []


def test_numbers_are_in_order_of_commits(opened: Opener) -> None:
    """Two processes write: whoever sees a number sees everything with a smaller one."""
    stores = [opened(), opened()]
    shelves = [Shelf(store, f"s{n}") for n, store in enumerate(stores)]
    stopped = threading.Event()
    holes: list[Any] = []

    def write(shelf: Shelf, n: int) -> None:
        for number in range(25):
            shelf.put({f"{n}-{number}.md": f"text {n} {number}"})

    def watch(store: Store) -> None:
        seen = 0
        while not stopped.is_set():
            with store.read() as read:
                now = read.sequence()
                published = {row[0] for row in read.rows(sa.text("SELECT DISTINCT seq FROM revision"))}
            later = [seq for seq in published if seq <= seen and seq not in watched]
            watched.update(published)
            if later or max(published, default=0) > now:
                holes.append((seen, later, now))
            seen = now

    watched: set[int] = set()
    watcher = threading.Thread(target=watch, args=(opened(),))
    watcher.start()
    try:
        race(*[lambda s=shelf, n=n: write(s, n) for n, shelf in enumerate(shelves)])  # type: ignore[misc]
    finally:
        stopped.set()
        watcher.join()
    assert holes == []
    numbers = [row[0] for row in shelves[0].sql("SELECT seq FROM revision")]
    assert len(set(numbers)) == len(numbers) == 50


def test_one_of_two_processes_publishes(opened: Opener) -> None:
    """Two processes load the same version: one publication stands, the other's points are strays, and nothing is twice."""
    shelf, other = Shelf(opened()), Shelf(opened())
    documents = {f"{n}.md": f"text {n}" for n in range(20)}
    shelf.list(documents)
    mine = [shelf.publication(wanted, documents[wanted.uri]) for wanted in shelf.wanted()]
    theirs = [other.publication(wanted, documents[wanted.uri]) for wanted in other.wanted()]
    results = race(
        lambda: [shelf.store.write(lambda tx, p=p: publishing.publish(tx, [p]))[0] for p in mine],  # type: ignore[misc]
        lambda: [other.store.write(lambda tx, p=p: publishing.publish(tx, [p]))[0] for p in reversed(theirs)],  # type: ignore[misc]
    )
    assert sum(results[0]) + sum(results[1]) == 20
    assert shelf.served() == documents
    assert shelf.sql("SELECT count(*) FROM revision WHERE state = 'live'")[0][0] == 20
    assert shelf.row().epoch == 1
    assert shelf.sql("SELECT chunks FROM source")[0][0] == 20


def race(*works: Any) -> list[Any]:
    barrier = threading.Barrier(len(works))

    def run(work: Any) -> Any:
        barrier.wait()
        return work()

    with ThreadPoolExecutor(len(works)) as pool:
        return [future.result() for future in [pool.submit(run, work) for work in works]]


def test_a_withdrawal_and_publications_beside_it(opened: Opener) -> None:
    """Whatever comes first: once the source is dead nothing of it is live, and no publication revives it."""
    shelf, other = Shelf(opened()), Shelf(opened())
    documents = {f"{n}.md": f"text {n}" for n in range(30)}
    shelf.list(documents)
    late = [shelf.publication(wanted, documents[wanted.uri]) for wanted in shelf.wanted()]
    race(
        lambda: [shelf.store.write(lambda tx, p=p: publishing.publish(tx, [p])) for p in late],  # type: ignore[misc]
        lambda: other.store.write(lambda tx: declaring.withdraw(tx, other.source, retain=False, principal="user:owner"), URGENT),
    )
    assert shelf.served() == {}
    assert shelf.sql("SELECT count(*) FROM revision WHERE state = 'live'")[0][0] == 0
    live, buried = (shelf.sql(f"SELECT count(*) FROM {table}")[0][0] for table in ("revision", "tombstone"))
    assert live == buried


def test_a_hold_is_confirmed_once(opened: Opener) -> None:
    """Two processes confirm the same hold: one erases, and the count of tombstones is right."""
    shelf = Shelf(opened())
    other = opened()
    shelf.put({f"{n}.md": f"text {n}" for n in range(10)})
    decision = shelf.decision(held=[known.id for known in shelf.known().values()], hold_reason="all gone")
    shelf.store.write(lambda tx: looking.apply(tx, decision))
    confirm = [lambda s=store: s.write(lambda tx: placing.confirm(tx, shelf.source, 1, decision.observation, "user:owner")) for store in (shelf.store, other)]
    assert sorted(race(*confirm)) == [0, 10]
    assert shelf.sql("SELECT tombstones FROM source")[0][0] == len(shelf.tombstones()) == 10


def test_processes_that_start_together_plan_one_generation(opened: Opener) -> None:
    """An index never has two that serve."""
    stores = [opened() for _ in range(3)]
    race(*[lambda s=store: s.write(lambda tx: generations.plan(tx, "team/index", PLANNED)) for store in stores])
    with stores[0].read() as read:
        assert read.value(sa.text("SELECT count(*) FROM generation WHERE state = 'serving'")) == 1


def test_text_is_not_purged_under_a_publication(opened: Opener) -> None:
    """A text whose last chunk is purged while another document with the same text is published is still there."""
    shelf, other = Shelf(opened()), Shelf(opened(), "second")
    for turn in range(15):
        shelf.put({"a.md": f"shared {turn}"})
        shelf.remove("a.md")
        other.list({"b.md": f"shared {turn}"})
        until = shelf.store.clock.now() + 1
        race(
            lambda until=until: shelf.store.write(lambda tx: settling.purge(tx, shelf.source, until)),  # type: ignore[misc]
            lambda turn=turn: other.publish({"b.md": f"shared {turn}"}),  # type: ignore[misc]
        )
        assert other.served() == {"b.md": f"shared {turn}"}


def test_units_in_crossed_order_all_happen(opened: Opener) -> None:
    """Two processes write to the same sources and cache in opposite orders: nobody waits for ever, nobody is refused."""
    stores = [opened(), opened()]
    shelves = [Shelf(stores[0], "s0"), Shelf(stores[0], "s1")]
    digests = [f"d{n:03}" for n in range(40)]

    def work(store: Store, order: list[Shelf], rows: list[str]) -> None:
        with ThreadPoolExecutor(8) as pool:
            futures = []
            for turn in range(12):
                for shelf in order:
                    futures.append(pool.submit(store.write, lambda tx, s=shelf: placing.retry_all(tx, s.source), NORMAL))
                    futures.append(pool.submit(store.write, lambda tx, s=shelf, t=turn: looking.renew(tx, s.source, 1, float(t)), NORMAL))
                    futures.append(pool.submit(store.write, lambda tx, s=shelf: settling.purge(tx, s.source, 1.0), BULK))
                futures.append(pool.submit(store.write, placing.distrust, URGENT))
                futures.append(pool.submit(store.write, lambda tx, t=turn: publishing.keep_vectors(tx, f"f{t}", [Cached(d, b"v", None) for d in rows]), NORMAL))
            for future in futures:
                future.result(timeout=60)

    race(lambda: work(stores[0], shelves, digests), lambda: work(stores[1], shelves[::-1], digests[::-1]))
    assert shelves[0].sql("SELECT count(*) FROM vector")[0][0] == 12 * 40


def test_a_thousand_wanted_documents(shelf: Shelf) -> None:
    """The queue gives what it was given, changes before additions, and each once."""
    documents = {f"{n:04}.md": f"text {n}" for n in range(1000)}
    shelf.list(documents)
    with shelf.store.read() as read:
        assert publishing.sources_wanting(read) == [shelf.source]
        first = publishing.wanted(read, shelf.source, shelf.store.clock.now(), 100, ())
        rest = publishing.wanted(read, shelf.source, shelf.store.clock.now(), 1000, {wanted.document for wanted in first})
    assert [wanted.uri for wanted in (*first, *rest)] == sorted(documents)
    assert all(shelf.publish(documents))
    shelf.list({"0500.md": "changed", "new.md": "new"})
    assert [(wanted.uri, wanted.kind) for wanted in shelf.wanted()] == [("0500.md", 0), ("new.md", 1)]
    shelf.remove(*[f"{n:04}.md" for n in range(400)])
    with shelf.store.read() as read:
        assert settling.unsettled(read) == 400
        assert len(settling.outbox(read, 512)) == 400
    assert len(shelf.served()) == 600


def test_a_stream_takes_constant_memory(store: Store) -> None:
    """A long answer is read in batches; what is read after it in the same snapshot is as ever."""
    insert = sa.text("INSERT INTO meta (key, value) VALUES (:key, :value)")
    store.write(lambda tx: tx.many(insert, [{"key": f"k{n:06}", "value": "x" * 500} for n in range(20_000)]), BULK)
    tracemalloc.start()
    with store.read() as read:
        first = second = 0
        streams = [read.stream(sa.text("SELECT key, value FROM meta ORDER BY key"), size=500) for _ in range(2)]
        for one, other in zip(*streams, strict=True):
            first, second = first + len(one[1]), second + len(other[1])
        assert read.value(sa.text("SELECT count(*) FROM meta")) == 20_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert first == second == 10_000_000
    assert peak < 4_000_000


def test_a_large_unit(shelf: Shelf) -> None:
    """A first look with thousands of additions is one transaction, and so is the death of all of them."""
    documents = {f"{n:05}.md": "same text" for n in range(5000)}
    shelf.list(documents)
    assert shelf.sql("SELECT count(*) FROM document")[0][0] == 5000
    assert shelf.store.write(lambda tx: declaring.withdraw(tx, shelf.source, retain=False, principal="user:owner"))
    assert shelf.sql("SELECT count(*) FROM document WHERE state <> 'dead'")[0][0] == 0


def test_word_of_commits_reaches_every_subscriber(shelf: Shelf) -> None:
    """A removal announces what has to be settled and what may have to be retracted; who ended the subscription hears nothing."""
    shelf.put({"a.md": "alpha"})
    told: list[str] = []
    silent: list[str] = []
    shelf.store.subscribe(told.append)
    shelf.store.subscribe(silent.append)()
    shelf.remove("a.md")
    wait_for(lambda: {OUTBOX, TOMBSTONES} <= set(told))
    assert silent == []


def test_after_closing_nothing_is_written(store: Store) -> None:
    """Whoever comes too late is told so, and closing twice is no error."""
    store.write(entry)
    store.close()
    store.close()
    with pytest.raises(CatalogError, match="closed"):
        store.write(entry)


def gather(store: Store, given: list[tuple[str, int]], ran: list[str], also: Any = None) -> list[Any]:
    """Have units of these names and priorities wait together, then run; `also` is called by the one named `normal/0`."""
    release, (pool, first) = busy(store, len(given))

    def unit(name: str) -> Any:
        def work(tx: Write) -> None:
            ran.append(name)
            if also is not None and name == "normal/0":
                also()

        return work

    futures = []
    for number, (name, priority) in enumerate(given, 1):
        futures.append(pool.submit(store.write, unit(name), priority))
        until_queued(store, number)
    release.set()
    first.result()
    pool.shutdown(wait=False)
    return futures


def test_what_is_urgent_waits_for_one_unit_at_most(store: Store) -> None:
    """What a caller waits for goes before what is merely published, though that came earlier and shares its commits."""
    ran: list[str] = []
    late: list[Any] = []
    pool = ThreadPoolExecutor(1)

    def arrive() -> None:
        late.append(pool.submit(store.write, lambda _: ran.append("late"), URGENT))
        until_queued(store, 1)

    futures = gather(store, [("normal/0", NORMAL), ("normal/1", NORMAL), ("normal/2", NORMAL), ("urgent", URGENT)], ran, arrive)
    for future in [*futures, *late]:
        future.result()
    assert ran == ["urgent", "normal/0", "late", "normal/1", "normal/2"]
    pool.shutdown()


def test_what_is_urgent_is_committed_before_the_rest_begins(store: Store) -> None:
    """The answer to a caller leaves when its own record is durable, not when what waited beside it is."""
    seen: list[int] = []

    def look() -> None:
        with store.read() as read:
            seen.extend(read.hot(Hot("SELECT count(*) FROM meta WHERE key = ?"), "urgent")[0])

    release, (pool, first) = busy(store, 2)
    normal = pool.submit(store.write, lambda _: look())
    urgent = pool.submit(store.write, lambda tx: tx.put(Hot("INSERT INTO meta (key, value) VALUES (?, '')"), ("urgent",)), URGENT)
    until_queued(store, 2)
    release.set()
    for future in (first, urgent, normal):
        future.result()
    assert seen == [1]
    pool.shutdown()


def test_what_is_urgent_without_end_starves_nobody(store: Store) -> None:
    """While urgent units never cease to come, the others still have their turn."""
    ran: list[str] = []
    pool = ThreadPoolExecutor(4)
    stopped = threading.Event()

    def flood() -> None:
        while not stopped.is_set():
            store.write(lambda _: None, URGENT)

    floods = [pool.submit(flood) for _ in range(4)]
    futures = gather(store, [(f"normal/{number}", NORMAL) for number in range(3)], ran)
    for future in futures:
        future.result(timeout=20)
    stopped.set()
    for one in floods:
        one.result()
    pool.shutdown()


def test_a_transaction_that_the_database_gave_up_keeps_nobody_waiting_for_nothing(store: Store, tmp_path: Any) -> None:
    """Where the database ends the whole transaction (a full disk), no unit in it is said to have happened."""
    release, (pool, first) = busy(store, 2)

    def full(tx: Write) -> None:
        tx.run(sa.text("ROLLBACK"))
        raise OperationalError("INSERT", {}, Exception("disk full"))

    futures = [pool.submit(store.write, entry)]
    until_queued(store, 1)
    futures.append(pool.submit(store.write, full))
    until_queued(store, 2)
    release.set()
    first.exception()
    for future in futures:
        with pytest.raises(CatalogError):
            future.result()
    store.write(entry)
    with store.read() as read:
        assert len(list(audit.export(read))) == 1
    assert problems(store, tmp_path) == []
    pool.shutdown()
