"""The port's promises, tried on every index we have."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from qdrant_client import QdrantClient

from trueup.errors import IndexFailure
from trueup.index.edge import EdgeIndex
from trueup.index.server import ServerIndex
from trueup.ports import Index
from trueup.testing.faults import FaultyIndex
from trueup.testing.index import MemoryIndex
from trueup.testing.index_contract import EVERYTHING, HYBRID, QUESTION, IndexContract, point

URL = os.environ.get("TRUEUP_TEST_QDRANT_URL")


class TestTwin(IndexContract):
    """The in-memory twin."""

    examples = 10

    @pytest.fixture
    def index(self) -> Iterator[Index]:
        twin = MemoryIndex()
        yield twin
        twin.close()


class TestFaultyWithoutFault(IndexContract):
    """The fault injector, while no fault is switched on."""

    examples = 10

    @pytest.fixture
    def index(self) -> Iterator[Index]:
        faulty = FaultyIndex(MemoryIndex())
        yield faulty
        faulty.close()


class TestEdge(IndexContract):
    """The embedded engine."""

    @pytest.fixture
    def index(self, tmp_path: Path) -> Iterator[Index]:
        edge = EdgeIndex(tmp_path / "index")
        yield edge
        edge.close()

    def test_is_searched_while_it_is_written(self, ready: Index) -> None:
        """Searches from many threads go on while another writes and drops, and each sees whole points."""
        ready.upsert(HYBRID, [point(number) for number in range(1, 101)])
        stop, faults = threading.Event(), []

        def ask() -> None:
            while not stop.is_set():
                try:
                    hits = ready.search(HYBRID, QUESTION, EVERYTHING, 10)
                    if len(hits) != 10:
                        faults.append(len(hits))
                    ready.scroll(HYBRID, None, 50)
                except IndexFailure as error:
                    faults.append(error)

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for start in range(200, 1200, 100):
            ready.upsert(HYBRID, [point(number) for number in range(start, start + 100)])
            ready.delete(HYBRID, [point(number).id for number in range(start, start + 100)])
        stop.set()
        for thread in threads:
            thread.join()
        assert faults == []
        assert len(ready.scroll(HYBRID, None, 1000)) == 100


@pytest.mark.filterwarnings("ignore:Payload indexes have no effect", "ignore:Local mode performs exact")
class TestServerLocal(IndexContract):
    """The server adapter over the client's local mode, which stands in for a server: small and single-threaded."""

    examples = 100

    @pytest.fixture
    def index(self) -> Iterator[Index]:
        server = ServerIndex("", client=QdrantClient(location=":memory:"))
        yield server
        server.close()


if URL:

    class TestServer(IndexContract):
        """The server adapter over a real server."""

        @pytest.fixture
        def index(self) -> Iterator[Index]:
            server = ServerIndex(str(URL), os.environ.get("TRUEUP_TEST_QDRANT_KEY"))
            for name in server.collections():
                server.drop(name)
            yield server
            server.close()
