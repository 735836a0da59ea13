"""The index on a Qdrant server, over REST."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

import numpy as np
from qdrant_client import QdrantClient, models

from trueup.errors import IndexFailure
from trueup.index.checks import batches, check_generation, check_ids, check_keys, check_points, dense_of, is_collection, matches_nothing, sparse_of
from trueup.index.collection import DENSE, SPARSE, as_declared, declare, index_payload, require_version, server_faults
from trueup.index.keys import to_keys, to_payload
from trueup.index.ranking import Leg, rank
from trueup.model.index import GenerationSpec, Hit, Keys, Point, PointState, Question, Scope

BATCH = 256
"""Points in one request: about 2 MB of JSON at 384 dimensions."""

PAGE = 1000
TIMEOUT = 30
"""Seconds that one request may take."""

_STRONG = models.WriteOrdering.STRONG
_EF = 256
"""Width of the graph search, at least: the default of about 100 loses recall where many points are filtered away."""


class ServerIndex:
    """`Index` over a Qdrant server of 1.19 or later, asked when it is first used. Safe from many threads.

    Writes are by ids, never by filter: a delete by filter can come back when an older server replays its log.

    Attributes:
        recovered: collections that had another shape than their generation and were begun anew, empty.
    """

    def __init__(self, url: str, api_key: str | None = None, client: QdrantClient | None = None) -> None:
        """Prepare to speak to the server at `url`, or through `client` if one is given; nothing is sent yet."""
        self.recovered: list[str] = []
        self._unchecked = client or QdrantClient(url=url, api_key=api_key, timeout=TIMEOUT, check_compatibility=False)
        self._checked = False
        self._closed = False
        self._ensuring = threading.Lock()

    def ensure(self, generation: GenerationSpec) -> None:
        """Make the generation's collection with its payload indexes; one of another shape is dropped and begun anew."""
        name = check_generation(generation)
        with self._ensuring:
            client = self._client()
            with server_faults("looking for the collection"):
                exists = client.collection_exists(name)
            if exists and not as_declared(client, name, generation):
                self.drop(name)
                self.recovered.append(name)
                exists = False
            if not exists:
                declare(client, name, generation)
            index_payload(client, name)

    def upsert(self, generation: GenerationSpec, points: Sequence[Point]) -> None:
        """Write points; see the port. All are checked before the first is sent; a batch may happen in part."""
        check_points(generation, points)
        name = check_generation(generation)
        for batch in batches(points, BATCH):
            with server_faults("writing points"):
                result = self._client().upsert(name, points=[_point(point) for point in batch], wait=True, ordering=_STRONG)
            _completed(result)

    def put_keys(self, generation: GenerationSpec, keys: Iterable[tuple[str, Keys]]) -> None:
        """Replace keys; see the port. Points with equal keys are one operation."""
        name = check_generation(generation)
        for batch in batches(keys, BATCH):
            wanted = dict(batch)
            check_ids(wanted)
            for point_id, value in wanted.items():
                check_keys(point_id, value)
            # One id that is not there fails the whole operation.
            there = {str(record.id) for record in self._retrieve(name, list(wanted), payload=False)}
            groups: dict[Keys, list[models.ExtendedPointId]] = {}
            for point_id, value in wanted.items():
                if point_id in there:
                    groups.setdefault(value, []).append(_server_id(point_id))
            if groups:
                operations: list[models.UpdateOperation] = [
                    models.OverwritePayloadOperation(overwrite_payload=models.SetPayload(payload=to_payload(value), points=ids))
                    for value, ids in groups.items()
                ]
                with server_faults("writing keys"):
                    results = self._client().batch_update_points(name, operations, wait=True, ordering=_STRONG)
                for result in results:
                    _completed(result)

    def delete(self, generation: GenerationSpec, ids: Sequence[str]) -> None:
        """Erase points; see the port."""
        check_ids(ids)
        name = check_generation(generation)
        for batch in batches(ids, BATCH):
            selector = models.PointIdsList(points=[_server_id(point_id) for point_id in batch])
            with server_faults("erasing points"):
                result = self._client().delete(name, selector, wait=True, ordering=_STRONG)
            _completed(result)

    def search(self, generation: GenerationSpec, question: Question, scope: Scope, limit: int) -> list[Hit]:
        """The best `limit` live points in `scope`; see the port. The dense half is approximate where the server built a graph."""
        name = check_generation(generation)
        if matches_nothing(scope, limit):
            return []
        where = _filter(scope)
        legs: list[Leg] = []
        dense, sparse = dense_of(generation, question), sparse_of(generation, question)
        if dense is not None:
            legs.append(self._leg(name, dense, DENSE, where))
        if sparse is not None:
            legs.append(self._leg(name, models.SparseVector(indices=list(sparse.indices), values=list(sparse.values)), SPARSE, where))
        return rank(legs, limit) if legs else []

    def present(self, generation: GenerationSpec, ids: Sequence[str]) -> dict[str, Keys]:
        """The keys of those of `ids` that exist; one that we did not write reads as FOREIGN."""
        check_ids(ids)
        name = check_generation(generation)
        return {str(record.id): to_keys(record.payload) for batch in batches(ids, PAGE) for record in self._retrieve(name, batch, payload=True)}

    def scroll(self, generation: GenerationSpec, after: str | None, limit: int) -> list[tuple[str, Keys]]:
        """Points in ascending order of id, after `after`; stray numbers come before UUIDs."""
        if after is not None:
            check_ids([after])
        name = check_generation(generation)
        with server_faults("listing points"):
            records, _ = self._client().scroll(
                name, limit=limit + 1, offset=None if after is None else _server_id(after), with_payload=True, with_vectors=False
            )
        # The server begins at the offset itself, where that still exists.
        return [(str(record.id), to_keys(record.payload)) for record in records if str(record.id) != after][:limit]

    def collections(self) -> list[str]:
        """Names of the server's collections that are ours."""
        with server_faults("listing collections"):
            return sorted(found.name for found in self._client().get_collections().collections if is_collection(found.name))

    def drop(self, collection: str) -> None:
        """Remove a collection; nothing happens where there is none.

        Raises:
            IndexFailure: that is no name of a collection of ours, or the server did not do it.
        """
        if not is_collection(collection):
            raise IndexFailure(why="that is not the name of a collection")
        with server_faults("dropping the collection"):
            self._client().delete_collection(collection)

    def flush(self) -> None:
        """Nothing is left to do: every write waited until the server had it in its log and applied."""

    def close(self) -> None:
        """Close the connections. Idempotent."""
        if not self._closed:
            self._closed = True
            self._unchecked.close()

    # --- calls ---

    def _client(self) -> QdrantClient:
        if self._closed:
            raise IndexFailure(why="it is closed")
        if not self._checked:
            require_version(self._unchecked)
            self._checked = True
        return self._unchecked

    def _retrieve(self, name: str, ids: Sequence[str], *, payload: bool) -> list[models.Record]:
        with server_faults("reading points"):
            return self._client().retrieve(name, ids=[_server_id(point_id) for point_id in ids], with_payload=payload, with_vectors=False)

    def _leg(self, name: str, vector: list[float] | models.SparseVector, using: str, where: models.Filter) -> Leg:
        def ask(count: int) -> list[Hit]:
            params = models.SearchParams(hnsw_ef=max(_EF, 2 * count)) if using == DENSE else None
            with server_faults("searching"):
                found = self._client().query_points(
                    name, query=vector, using=using, query_filter=where, limit=count, search_params=params, with_payload=False, with_vectors=False
                )
            return [Hit(id=str(point.id), score=point.score) for point in found.points]

        return ask


def _completed(result: models.UpdateResult) -> None:
    """Refuse every answer but `completed`: an acknowledged write is in a log, and not yet to be found."""
    if result.status != models.UpdateStatus.COMPLETED:
        raise IndexFailure(why=f"the server answered {result.status.value} instead of completed")


def _server_id(point_id: str) -> models.ExtendedPointId:
    return int(point_id) if point_id.isdigit() else point_id


def _point(point: Point) -> models.PointStruct:
    vectors: dict[str, models.Vector] = {}
    if point.vectors.dense is not None:
        vectors[DENSE] = np.frombuffer(point.vectors.dense, "<f4").tolist()
    if point.vectors.sparse is not None:
        vectors[SPARSE] = models.SparseVector(indices=list(point.vectors.sparse.indices), values=list(point.vectors.sparse.values))
    return models.PointStruct(id=point.id, vector=vectors, payload=to_payload(point.keys))


def _filter(scope: Scope) -> models.Filter:
    """Positive keyword, integer and float conditions only, and the one negative: what the engines were found to agree on."""
    must: list[models.Condition] = [
        models.FieldCondition(key="state", match=models.MatchValue(value=PointState.LIVE.value)),
        models.FieldCondition(key="tenant", match=models.MatchAny(any=sorted(scope.tenants))),
        models.FieldCondition(key="acl", match=models.MatchAny(any=sorted(scope.acls))),
    ]
    if scope.sources is not None:
        must.append(models.FieldCondition(key="source", match=models.MatchAny(any=sorted(scope.sources))))
    if scope.folders is not None:
        must.append(models.FieldCondition(key="folders", match=models.MatchAny(any=sorted(scope.folders))))
    if scope.modified_after is not None:
        must.append(models.FieldCondition(key="modified", range=models.Range(gt=scope.modified_after)))
    without: list[models.Condition] = [models.HasIdCondition(has_id=sorted(scope.without))] if scope.without else []
    return models.Filter(must=must, must_not=without or None)
