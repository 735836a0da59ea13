"""The index that fails when told to."""

import threading

import pytest

from trueup.errors import IndexFailure
from trueup.testing.faults import Fault, FaultyIndex
from trueup.testing.index import MemoryIndex
from trueup.testing.index_contract import EVERYTHING, HYBRID, QUESTION, point, point_id


@pytest.fixture
def index() -> FaultyIndex:
    faulty = FaultyIndex(MemoryIndex())
    faulty.ensure(HYBRID)
    faulty.upsert(HYBRID, [point(1)])
    return faulty


def test_times_out_without_doing(index: FaultyIndex) -> None:
    """A time-out does nothing, reads and writes alike."""
    index.fault = Fault.TIMEOUT
    with pytest.raises(IndexFailure):
        index.delete(HYBRID, [point_id(1)])
    with pytest.raises(IndexFailure):
        index.search(HYBRID, QUESTION, EVERYTHING, 1)
    index.heal()
    assert list(index.present(HYBRID, [point_id(1)])) == [point_id(1)]


def test_loses_the_answer_to_a_write(index: FaultyIndex) -> None:
    """The write happened, but its caller cannot know."""
    index.fault = Fault.LOST_ANSWER
    with pytest.raises(IndexFailure):
        index.delete(HYBRID, [point_id(1)])
    assert index.present(HYBRID, [point_id(1)]) == {}


def test_fails_every_other_call(index: FaultyIndex) -> None:
    """Half of the calls fail."""
    index.fault = Fault.EVERY_OTHER
    outcomes = []
    for _ in range(6):
        try:
            outcomes.append(len(index.scroll(HYBRID, None, 5)))
        except IndexFailure:
            outcomes.append("failed")
    assert sorted(map(str, outcomes)) == ["1", "1", "1", "failed", "failed", "failed"]


def test_refuses_writes_and_serves_reads(index: FaultyIndex) -> None:
    """Read-only refuses every kind of write."""
    index.fault = Fault.READ_ONLY
    for call in (
        lambda: index.ensure(HYBRID),
        lambda: index.upsert(HYBRID, [point(2)]),
        lambda: index.put_keys(HYBRID, []),
        lambda: index.delete(HYBRID, [point_id(1)]),
        lambda: index.drop(HYBRID.collection),
        index.flush,
    ):
        with pytest.raises(IndexFailure):
            call()
    assert [hit.id for hit in index.search(HYBRID, QUESTION, EVERYTHING, 5)] == [point_id(1)]
    assert index.collections() == [HYBRID.collection]


def test_healing_ends_the_wait(index: FaultyIndex) -> None:
    """Whoever waits for a time-out is let go when the fault is taken away."""
    index.fault, index.pause = Fault.TIMEOUT, 60.0

    def wait() -> None:
        with pytest.raises(IndexFailure):
            index.flush()

    waiting = threading.Thread(target=wait)
    waiting.start()
    while index.calls[-1] != "flush":
        pass
    index.heal()
    waiting.join(10)
    assert not waiting.is_alive()
