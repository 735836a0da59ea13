"""What the server adapter insists on, seen from the calls it makes."""

import warnings
from collections.abc import Iterator

import httpx
import pytest
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from trueup.errors import IndexFailure
from trueup.index.server import ServerIndex
from trueup.testing.index_contract import DENSE_ONLY, EVERYTHING, HYBRID, QUESTION, found, keys, point, point_id

pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect", "ignore:Local mode performs exact")


class Recorder:
    """The client's local mode, which notes its calls; `answers` replaces what a method returns or raises."""

    def __init__(self) -> None:
        self.client = QdrantClient(location=":memory:")
        self.calls: list[tuple[str, dict]] = []
        self.answers: dict = {}

    def __getattr__(self, name: str):
        def call(*arguments, **named):
            self.calls.append((name, named))
            answer = self.answers.get(name)
            if isinstance(answer, Exception):
                raise answer
            return answer if answer is not None else getattr(self.client, name)(*arguments, **named)

        return call

    def named(self, name: str) -> list[dict]:
        return [named for called, named in self.calls if called == name]


@pytest.fixture
def client() -> Iterator[Recorder]:
    recorder = Recorder()
    yield recorder
    recorder.client.close()


@pytest.fixture
def index(client: Recorder) -> ServerIndex:
    server = ServerIndex("", client=client)
    server.ensure(HYBRID)
    return server


def http(status: int) -> UnexpectedResponse:
    return UnexpectedResponse(status, "no", b'{"status": "a secret that was sent"}', httpx.Headers())


@pytest.mark.parametrize(
    ("version", "fine"), [("1.18.3", False), ("1.17.0", False), ("0.11.0", False), ("1.19.0", True), ("1.20.1-dev", True), ("2.0.0", True)]
)
def test_refuses_servers_that_bring_points_back(client: Recorder, version: str, fine: bool) -> None:
    """Below 1.19 nothing is read or written: such a server can serve points whose deletion it acknowledged."""
    client.answers["info"] = models.VersionInfo(title="qdrant", version=version)
    server = ServerIndex("", client=client)
    if fine:
        server.ensure(HYBRID)
        return
    for call in (lambda: server.ensure(HYBRID), lambda: server.upsert(HYBRID, [point(1)]), lambda: found(server), server.collections):
        with pytest.raises(IndexFailure, match=r"1\.19 or later"):
            call()
    assert {name for name, _ in client.calls} == {"info"}


def test_every_write_waits_strongly_and_goes_by_ids(index: ServerIndex, client: Recorder) -> None:
    """Each write waits until it is applied, in strong order, and names ids: never a filter."""
    index.upsert(HYBRID, [point(1), point(2)])
    index.put_keys(HYBRID, [(point_id(1), keys(1, acl=2))])
    index.delete(HYBRID, [point_id(2)])
    writes = [*client.named("upsert"), *client.named("batch_update_points"), *client.named("delete")]
    assert len(writes) == 3
    assert {(named["wait"], named["ordering"]) for named in writes} == {(True, models.WriteOrdering.STRONG)}
    assert "update_filter" not in client.named("upsert")[0]
    assert {name for name, _ in client.calls} <= {
        *("info", "collection_exists", "create_collection", "get_collection", "create_payload_index"),
        *("upsert", "batch_update_points", "delete", "retrieve"),
    }


@pytest.mark.parametrize("verb", ["upsert", "put_keys", "delete"])
@pytest.mark.parametrize("status", [models.UpdateStatus.ACKNOWLEDGED, models.UpdateStatus.WAIT_TIMEOUT])
def test_only_completed_is_success(index: ServerIndex, client: Recorder, verb: str, status: models.UpdateStatus) -> None:
    """A write that is acknowledged only may be lost or late: its caller hears of it."""
    index.upsert(HYBRID, [point(1)])
    answer = models.UpdateResult(operation_id=1, status=status)
    client.answers.update(upsert=answer, delete=answer, batch_update_points=[answer])
    with pytest.raises(IndexFailure, match="instead of completed"):
        {
            "upsert": lambda: index.upsert(HYBRID, [point(1)]),
            "put_keys": lambda: index.put_keys(HYBRID, [(point_id(1), keys(1))]),
            "delete": lambda: index.delete(HYBRID, [point_id(1)]),
        }[verb]()


def test_is_strict_and_indexes_before_loading(index: ServerIndex, client: Recorder) -> None:
    """The collection is in strict mode, and every key that a scope can name is indexed by `ensure` already."""
    (made,) = client.named("create_collection")
    strict = made["strict_mode_config"]
    assert (strict.enabled, strict.unindexed_filtering_retrieve, strict.unindexed_filtering_update) == (True, False, False)
    assert made["sparse_vectors_config"]["sparse"].modifier is None
    schemas = [named["field_schema"] for named in client.named("create_payload_index")]
    assert all(named["wait"] is True for named in client.named("create_payload_index"))
    assert len(schemas) == 6
    assert [schema.is_tenant for schema in schemas if isinstance(schema, models.KeywordIndexParams)] == [True]


def test_searches_wide_and_within_the_scope(index: ServerIndex, client: Recorder) -> None:
    """The graph search is wider than the default, and no query is ever sent without its filter."""
    index.upsert(HYBRID, [point(1)])
    assert found(index) == [1]
    for named in client.named("query_points"):
        assert len(named["query_filter"].must) == 3
        assert named["with_payload"] is False
    assert [named["search_params"].hnsw_ef >= 256 for named in client.named("query_points") if named["search_params"]] == [True]
    before = len(client.calls)
    assert index.search(HYBRID, QUESTION, type(EVERYTHING)(tenants=frozenset({"team"}), acls=frozenset()), 5) == []
    assert len(client.calls) == before


def test_loses_the_race_to_make_it(index: ServerIndex, client: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTP 409 on making the collection is no fault; any other status is."""
    monkeypatch.setattr(Recorder, "collection_exists", lambda *_: False, raising=False)
    client.answers["create_collection"] = http(409)
    index.ensure(HYBRID)
    client.answers["create_collection"] = http(500)
    with pytest.raises(IndexFailure, match="HTTP 500"):
        index.ensure(HYBRID)


def test_another_shape_is_begun_anew(client: Recorder) -> None:
    """A collection of our name but other vectors is dropped, named, and made again."""
    client.client.create_collection(HYBRID.collection, vectors_config=models.VectorParams(size=8, distance=models.Distance.DOT))
    client.client.create_collection(
        DENSE_ONLY.collection,
        vectors_config={"dense": models.VectorParams(size=4, distance=models.Distance.COSINE)},
        sparse_vectors_config={"sparse": models.SparseVectorParams(modifier=models.Modifier.IDF)},
    )
    server = ServerIndex("", client=client)
    server.ensure(HYBRID)
    server.ensure(DENSE_ONLY)
    assert server.recovered == [HYBRID.collection, DENSE_ONLY.collection]
    server.upsert(HYBRID, [point(1)])
    assert found(server) == [1]


@pytest.mark.parametrize(
    "error",
    [http(500), ResponseHandlingException(httpx.ConnectError("to http://user:secret@host")), ConnectionError("secret"), ValueError("secret")],
    ids=["http", "unreachable", "system", "client"],
)
def test_faults_are_ours_and_say_nothing_that_was_sent(index: ServerIndex, client: Recorder, error: Exception) -> None:
    """Callers see one kind of error; its message has neither the server's body nor an address."""
    client.answers.update(upsert=error, query_points=error, scroll=error, retrieve=error, delete=error)
    for call in (
        lambda: index.upsert(HYBRID, [point(1)]),
        lambda: found(index),
        lambda: index.scroll(HYBRID, None, 5),
        lambda: index.present(HYBRID, [point_id(1)]),
        lambda: index.delete(HYBRID, [point_id(1)]),
    ):
        with pytest.raises(IndexFailure) as caught:
            call()
        assert "secret" not in str(caught.value)


def test_an_unreachable_server_is_an_error_when_used() -> None:
    """Building the adapter waits for nobody; its first use says that the server cannot be asked."""
    with warnings.catch_warnings():
        server = ServerIndex("http://127.0.0.1:1")
    with pytest.raises(IndexFailure, match="asking the server for its version failed"):
        server.ensure(HYBRID)
    server.close()


def test_other_collections_are_not_ours(index: ServerIndex, client: Recorder) -> None:
    """What others keep on the same server is neither listed nor dropped."""
    client.client.create_collection("customers", vectors_config=models.VectorParams(size=8, distance=models.Distance.DOT))
    assert index.collections() == [HYBRID.collection]
    with pytest.raises(IndexFailure):
        index.drop("customers")
