"""A gate asks a source through the catalog, and the controller answers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.contract.catalog.conftest import Opener
from trueup.catalog import asking
from trueup.catalog.store import Store
from trueup.errors import Forbidden, SourceUnavailable
from trueup.gate.remote import RemoteController
from trueup.model.listing import Presence
from trueup.reconcile.answer import Answerer


class Sources:
    """The controller that asks: what it says, and what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, str, str]] = []
        self.hints: list[str] = []
        self.says: Callable[[], Presence | None] = lambda: Presence.SAME

    def check(self, source: int, uri: str, version: str, deadline: float) -> Presence | None:
        assert 0 < deadline <= asking.PATIENCE
        self.asked.append((source, uri, version))
        return self.says()

    def hint(self, namespace: str, name: str) -> None:
        self.hints.append(f"{namespace}/{name}")


@pytest.fixture
def gate_store(opened: Opener, store: Store) -> Store:
    """Another process's on PostgreSQL; on SQLite there is but one process."""
    return opened() if store.locking else store


@pytest.fixture
def sources(store: Store) -> Iterator[Sources]:
    made = Sources()
    answerer = Answerer(store, made.check, made.hint)
    answerer.start()
    yield made
    answerer.stop()


@pytest.fixture
def gate(gate_store: Store) -> Iterator[RemoteController]:
    made = RemoteController(gate_store)
    yield made
    made.close()


@pytest.mark.parametrize("presence", [*Presence, None])
def test_the_sources_answer_comes_back(gate: RemoteController, sources: Sources, presence: Presence | None) -> None:
    """Whatever the source said, or that it said nothing, and promptly."""
    sources.says = lambda: presence
    began = time.monotonic()
    assert gate.check(7, "a.md", "v1", 4.0) is presence
    assert sources.asked == [(7, "a.md", "v1")]
    assert time.monotonic() - began < 2.0


def test_a_source_that_fails_is_no_answer(gate: RemoteController, sources: Sources) -> None:
    """An outage, or a connector with a defect, is told at once as no answer; the next question is asked all the same."""

    def outage() -> Presence:
        raise SourceUnavailable(why="down")

    def defect() -> Presence:
        raise ZeroDivisionError

    for says in (outage, defect):
        sources.says = says
        assert gate.check(7, "a.md", "v1", 4.0) is None
    sources.says = lambda: Presence.CHANGED
    assert gate.check(7, "a.md", "v1", 4.0) is Presence.CHANGED


def test_without_a_controller_there_is_no_answer(gate: RemoteController) -> None:
    """Scaled to zero: the deadline passes, and content counts as stale."""
    began = time.monotonic()
    assert gate.check(7, "a.md", "v1", 0.3) is None
    assert 0.25 < time.monotonic() - began < 2.0


def test_one_flight_a_document(store: Store, sources: Sources, gate: RemoteController) -> None:
    """Who asks while a question waits joins it; who asks when it is on its way asks anew, for the answer may be older."""
    release = threading.Event()
    with ThreadPoolExecutor(8) as pool:
        sources.says = lambda: Presence.SAME if release.wait(5) else None
        first = pool.submit(gate.check, 7, "a.md", "v1", 4.0)
        while not sources.asked:
            time.sleep(0.005)
        later = pool.submit(gate.check, 7, "a.md", "v1", 4.0)
        while len(sources.asked) < 2:
            time.sleep(0.005)
        release.set()
        assert (first.result(), later.result()) == (Presence.SAME, Presence.SAME)
    assert len(sources.asked) == 2


def test_questions_are_joined_taken_once_and_forgotten(store: Store) -> None:
    """The rows: one while it waits, taken by one controller, not asked when nobody waits any more, trimmed."""
    first = store.write(lambda tx: asking.ask(tx, 7, "a.md", "v1"))
    assert store.write(lambda tx: asking.ask(tx, 7, "a.md", "v1")) == first
    other = store.write(lambda tx: asking.ask(tx, 7, "a.md", "v2"))
    assert other != first
    now = store.clock.now()
    with store.read() as read:
        waiting = asking.pending(read, now)
        assert asking.pending(read, now + asking.PATIENCE + 1) == []
    assert [question.id for question in waiting] == [first, other]
    assert store.write(lambda tx: asking.take(tx, waiting)) == waiting
    assert store.write(lambda tx: asking.take(tx, waiting)) == []
    assert store.write(lambda tx: asking.take(tx, [])) == []
    assert store.write(lambda tx: asking.ask(tx, 7, "a.md", "v1")) not in {first, other}
    with store.read() as read:
        assert asking.answer_to(read, first) is None
    store.write(lambda tx: asking.answer(tx, first, None))
    with store.read() as read:
        assert asking.answer_to(read, first) == asking.Answer(None)
    assert store.write(asking.trim) == 0


def test_old_questions_are_trimmed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table does not grow."""
    store.write(lambda tx: asking.ask(tx, 7, "a.md", "v1"))
    monkeypatch.setattr(asking, "KEPT", -1.0)
    assert store.write(asking.trim) == 1


def test_a_hint_reaches_the_controller(gate: RemoteController, sources: Sources) -> None:
    """A webhook is received by a gate, and makes the source due where it is looked at."""
    gate.hint("team", "docs")
    for _ in range(500):
        if sources.hints:
            break
        time.sleep(0.01)
    assert sources.hints == ["team/docs"]


def test_resources_are_not_the_gates(gate: RemoteController) -> None:
    """It says where they are declared."""
    with pytest.raises(Forbidden, match="kubectl apply"):
        gate.accept("ContextSource", "default", "docs", {}, "user:u")
    with pytest.raises(Forbidden, match="kubectl delete"):
        gate.withdraw("ContextSource", "default", "docs", "user:u")
