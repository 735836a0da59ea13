"""A collection on a Qdrant server: its shape, its payload indexes, and what the server must be."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from qdrant_client import QdrantClient, models
from qdrant_client.common.client_exceptions import QdrantException
from qdrant_client.http.exceptions import ApiException, UnexpectedResponse

from trueup.errors import IndexFailure
from trueup.index.keys import FLOATS, INTEGERS, KEYWORDS
from trueup.model.index import GenerationSpec

DENSE = "dense"
SPARSE = "sparse"

OLDEST = (1, 19)
"""Servers 1.17.0 to 1.18.3 can serve points after a restart whose deletion they had acknowledged."""

_CONFLICT = 409


@contextlib.contextmanager
def server_faults(doing: str) -> Iterator[None]:
    """Turn what the client raises into IndexFailure, without the server's body: that may repeat what was sent.

    Raises:
        IndexFailure: says what was being done, and the HTTP status or the kind of failure.
    """
    try:
        yield
    except UnexpectedResponse as error:
        raise IndexFailure(why=f"{doing} failed: the server answered HTTP {error.status_code}") from error
    except (ApiException, QdrantException, OSError, ValueError) as error:
        source = getattr(error, "source", error)
        raise IndexFailure(why=f"{doing} failed: {type(source).__name__}") from error


def require_version(client: QdrantClient) -> None:
    """Refuse a server that is too old to be trusted with deletions.

    Raises:
        IndexFailure: it is older than `OLDEST`, or cannot be asked.
    """
    with server_faults("asking the server for its version"):
        version = client.info().version
        release = tuple(int(part) for part in version.split("-")[0].split(".")[:2])
    if release < OLDEST:
        raise IndexFailure(why=f"the Qdrant server is {version}, and 1.19 or later is needed, because older ones can bring back deleted points")


def as_declared(client: QdrantClient, name: str, generation: GenerationSpec) -> bool:
    """Whether the collection has the vectors of `generation`: dense cosine, sparse without the IDF modifier."""
    with server_faults("reading the collection's shape"):
        params = client.get_collection(name).config.params
    dense = params.vectors if isinstance(params.vectors, dict) else None
    sparse = params.sparse_vectors or {}
    if dense is None and generation.dimensions:
        return False
    dense_right = {key: (value.size, value.distance) for key, value in (dense or {}).items()} == (
        {DENSE: (generation.dimensions, models.Distance.COSINE)} if generation.dimensions else {}
    )
    return (
        dense_right
        and set(sparse) == ({SPARSE} if generation.sparse else set())
        and all(value.modifier in (None, models.Modifier.NONE) for value in sparse.values())
    )


def declare(client: QdrantClient, name: str, generation: GenerationSpec) -> None:
    """Make the collection, in strict mode: a filter over a payload that is not indexed fails, instead of being slow for ever.

    No IDF modifier: document frequencies of hidden text would move scores. Losing a race against another process is fine.
    """
    try:
        with server_faults("making the collection"):
            client.create_collection(
                name,
                vectors_config={DENSE: models.VectorParams(size=generation.dimensions, distance=models.Distance.COSINE)} if generation.dimensions else {},
                sparse_vectors_config={SPARSE: models.SparseVectorParams()} if generation.sparse else None,
                strict_mode_config=models.StrictModeConfig(enabled=True, unindexed_filtering_retrieve=False, unindexed_filtering_update=False),
            )
    except IndexFailure as error:
        if not (isinstance(error.__cause__, UnexpectedResponse) and error.__cause__.status_code == _CONFLICT):
            raise


def index_payload(client: QdrantClient, name: str) -> None:
    """Make the payload indexes that are missing. Before any point is loaded, so that the graph is built along them."""
    wanted: dict[str, models.PayloadSchemaType | models.KeywordIndexParams] = {
        **dict.fromkeys(KEYWORDS, models.PayloadSchemaType.KEYWORD),
        **dict.fromkeys(INTEGERS, models.PayloadSchemaType.INTEGER),
        **dict.fromkeys(FLOATS, models.PayloadSchemaType.FLOAT),
    }
    with server_faults("making the payload indexes"):
        have = client.get_collection(name).payload_schema
        for key, kind in wanted.items():
            if key in have and have[key].data_type == kind:
                continue
            schema = models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=True) if key == "tenant" else kind
            result = client.create_payload_index(name, key, field_schema=schema, wait=True)
            if result.status != models.UpdateStatus.COMPLETED:
                raise IndexFailure(why=f"the server did not complete the payload index on {key}")
