"""The embedded index: qdrant-edge in this process, in a folder that only this process may open."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import qdrant_edge as engine

from trueup.errors import IndexFailure
from trueup.index.checks import batches, check_generation, check_ids, check_keys, check_points, dense_of, is_collection, matches_nothing, sparse_of
from trueup.index.folder import Folder
from trueup.index.keys import to_keys, to_payload
from trueup.index.ranking import Leg, rank
from trueup.index.shard import DENSE, PAGE, SPARSE, engine_faults, open_shard
from trueup.model.index import GenerationSpec, Hit, Keys, Point, PointState, Question, Scope

BATCH = 64
"""Points in one engine call: the interpreter stands still for it, 2-5 ms at 384 dimensions. Larger ones cost no less a point."""

T = TypeVar("T")


class EdgeIndex:
    """`Index` over qdrant-edge. Search is exact. Safe from many threads: reads take no lock of ours, writes take turns.

    Attributes:
        recovered: collections that could not be read and were begun anew, empty; their old folders lie beside them as
            `<name>.broken-<n>`. Whoever keeps the index full should load these again.
    """

    def __init__(self, path: Path) -> None:
        """Take the folder `path`, which is made if it is not there.

        Raises:
            HomeLocked: another process, or another object of this one, has it.
            IndexFailure: it cannot be used.
        """
        self.recovered: list[str] = []
        self._folder = Folder(path)
        self._shards: dict[str, engine.EdgeShard] = {}
        self._writing = threading.RLock()
        self._closed = False
        self._dirty: set[str] = set()

    def ensure(self, generation: GenerationSpec) -> None:
        """Open or make the generation's collection; what cannot be read is moved aside and begun anew."""
        name = check_generation(generation)
        with self._writing:
            if self._closed:
                raise IndexFailure(why="it is closed")
            if self._folder.suspected(name):
                self._close_one(name)
            if name not in self._shards:
                self._shards[name] = self._open(name, generation)

    def upsert(self, generation: GenerationSpec, points: Sequence[Point]) -> None:
        """Write points; see the port. All are checked before the first is written."""
        check_points(generation, points)
        with self._writing:
            shard = self._shard(generation)
            for batch in batches(points, BATCH):
                _write(shard, engine.UpdateOperation.upsert_points([_engine_point(point) for point in batch]), brings=batch)
            self._dirty.add(generation.collection)

    def put_keys(self, generation: GenerationSpec, keys: Iterable[tuple[str, Keys]]) -> None:
        """Replace keys; see the port. Points with equal keys are written by one operation."""
        with self._writing:
            shard = self._shard(generation)
            for batch in batches(keys, BATCH):
                wanted = dict(batch)
                check_ids(wanted)
                for point_id, value in wanted.items():
                    check_keys(point_id, value)
                # The engine refuses the whole operation for one id that is not there, and keeps it in its log.
                there = {str(record.id) for record in self._retrieve(generation, list(wanted), payload=False)}
                groups: dict[Keys, list[str]] = {}
                for point_id, value in wanted.items():
                    if point_id in there:
                        groups.setdefault(value, []).append(point_id)
                for value, ids in groups.items():
                    _write(shard, engine.UpdateOperation.overwrite_payload([_engine_id(i) for i in ids], to_payload(value)))
            self._dirty.add(generation.collection)

    def delete(self, generation: GenerationSpec, ids: Sequence[str]) -> None:
        """Erase points; see the port."""
        check_ids(ids)
        with self._writing:
            shard = self._shard(generation)
            for batch in batches(ids, BATCH):
                _write(shard, engine.UpdateOperation.delete_points([_engine_id(i) for i in batch]))
            self._dirty.add(generation.collection)

    def search(self, generation: GenerationSpec, question: Question, scope: Scope, limit: int) -> list[Hit]:
        """The best `limit` live points in `scope`; see the port. Exact."""
        if matches_nothing(scope, limit):
            return []
        where = _filter(scope)
        legs: list[Leg] = []
        dense, sparse = dense_of(generation, question), sparse_of(generation, question)
        if dense is not None:
            legs.append(self._leg(generation, engine.Query.Nearest(dense, using=DENSE), where))
        if sparse is not None:
            legs.append(self._leg(generation, engine.Query.Nearest(engine.SparseVector(list(sparse.indices), list(sparse.values)), using=SPARSE), where))
        return rank(legs, limit) if legs else []

    def present(self, generation: GenerationSpec, ids: Sequence[str]) -> dict[str, Keys]:
        """The keys of those of `ids` that exist; one that we did not write reads as FOREIGN."""
        check_ids(ids)
        return {str(record.id): to_keys(record.payload) for batch in batches(ids, PAGE) for record in self._retrieve(generation, batch, payload=True)}

    def scroll(self, generation: GenerationSpec, after: str | None, limit: int) -> list[tuple[str, Keys]]:
        """Points in ascending order of id, after `after`; stray numbers come before UUIDs."""
        if after is not None:
            check_ids([after])
        request = engine.ScrollRequest(offset=None if after is None else _engine_id(after), limit=limit + 1, with_payload=True, with_vector=False)
        records, _ = self._read(generation, lambda shard: shard.scroll(request))
        # The engine begins at the offset itself, where that still exists.
        return [(str(record.id), to_keys(record.payload)) for record in records if str(record.id) != after][:limit]

    def collections(self) -> list[str]:
        """Names of the collections on disk, opened or not."""
        return self._folder.names()

    def drop(self, collection: str) -> None:
        """Remove a collection and what was moved aside of it; nothing happens where there is none.

        Raises:
            IndexFailure: that is no name of a collection of ours.
        """
        if not is_collection(collection):
            raise IndexFailure(why="that is not the name of a collection")
        with self._writing:
            self._close_one(collection)
            self._folder.remove(collection)

    def flush(self) -> None:
        """Make everything written durable.

        Writes do not do so for themselves: one flush held the interpreter for 0.35 s on average under load, for every
        search and every deletion. A process that is killed loses nothing, since the engine's log is written before; a
        machine that loses power loses what came after the last flush, which the sweep at the next start writes again.
        """
        with self._writing:
            for name in sorted(self._dirty):
                if name in self._shards:
                    _flush(self._shards[name])
            self._dirty.clear()

    def close(self) -> None:
        """Flush, close the collections and give the folder back. Idempotent."""
        with self._writing:
            self._closed = True
            try:
                for name in list(self._shards):
                    self._close_one(name)
            finally:
                self._folder.close()

    # --- opening and closing ---

    def _open(self, name: str, generation: GenerationSpec) -> engine.EdgeShard:
        path = self._folder.path / name
        try:
            self._folder.begin_opening(name)
            shard = open_shard(path, generation, prove=self._folder.suspected(name))
        except IndexFailure:
            if not path.exists():
                raise
            self._folder.move_aside(name)
            self.recovered.append(name)
            shard = open_shard(path, generation, prove=False)
        self._folder.trust(name)
        return shard

    def _close_one(self, name: str) -> None:
        shard = self._shards.pop(name, None)
        if shard is not None:
            with engine_faults("closing the collection"):
                shard.flush()
                shard.close()

    def _shard(self, generation: GenerationSpec) -> engine.EdgeShard:
        shard = self._shards.get(check_generation(generation))
        if shard is None:
            raise IndexFailure(why=f"the collection of generation {generation.id} is not open")
        return shard

    # --- calls ---

    def _read(self, generation: GenerationSpec, call: Callable[[engine.EdgeShard], T]) -> T:
        """Call the engine for reading. What fails is marked, so that `ensure` proves the collection or begins it anew."""
        shard = self._shard(generation)
        try:
            with engine_faults("reading"):
                return call(shard)
        except IndexFailure:
            if self._shards.get(generation.collection) is shard:  # else it was closed under us, which is no fault of the disk
                self._folder.distrust(generation.collection)
            raise

    def _retrieve(self, generation: GenerationSpec, ids: Sequence[str], *, payload: bool) -> list[engine.Record]:
        wanted: list[engine.PointId] = [_engine_id(point_id) for point_id in ids]
        return self._read(generation, lambda shard: shard.retrieve(wanted, with_payload=payload, with_vector=False))

    def _leg(self, generation: GenerationSpec, query: engine.Query, where: engine.Filter) -> Leg:
        def ask(count: int) -> list[Hit]:
            request = engine.QueryRequest(limit=count, query=query, filter=where, with_payload=False, with_vector=False)
            return [Hit(id=str(point.id), score=point.score) for point in self._read(generation, lambda shard: shard.query(request))]

        return ask


def _write(shard: engine.EdgeShard, operation: engine.UpdateOperation, brings: Sequence[Point] = ()) -> None:
    """Apply one operation that `brings` points.

    A refused operation was found to have happened in part, and to stay in the engine's log: a crash after it, even after
    a flush, brought other parts of it back. So what it was to bring is erased by an operation behind it, and the caller,
    who is told, writes the whole again.
    """
    try:
        with engine_faults("writing"):
            shard.update(operation)
    except IndexFailure:
        if brings:
            with engine_faults("taking back a failed write"):
                shard.update(engine.UpdateOperation.delete_points([point.id for point in brings]))
        _flush(shard)
        raise


def _flush(shard: engine.EdgeShard) -> None:
    with engine_faults("flushing"):
        shard.flush()


def _engine_id(point_id: str) -> str | int:
    return int(point_id) if point_id.isdigit() else point_id


def _engine_point(point: Point) -> engine.Point:
    vectors: dict[str, Any] = {}
    if point.vectors.dense is not None:
        vectors[DENSE] = memoryview(point.vectors.dense).cast("f")  # a sequence that the engine reads without a list between
    if point.vectors.sparse is not None:
        vectors[SPARSE] = engine.SparseVector(list(point.vectors.sparse.indices), list(point.vectors.sparse.values))
    return engine.Point(point.id, vectors, to_payload(point.keys))


def _filter(scope: Scope) -> engine.Filter:
    """Positive keyword, integer and float conditions only, and the one negative: what the engines were found to agree on."""
    must: list[engine.ConditionType] = [
        engine.FieldCondition("state", match=engine.MatchValue(PointState.LIVE.value)),
        engine.FieldCondition("tenant", match=engine.MatchAny(list(scope.tenants))),
        engine.FieldCondition("acl", match=engine.MatchAny(list(scope.acls))),
    ]
    if scope.sources is not None:
        must.append(engine.FieldCondition("source", match=engine.MatchAny(list(scope.sources))))
    if scope.folders is not None:
        must.append(engine.FieldCondition("folders", match=engine.MatchAny(list(scope.folders))))
    if scope.modified_after is not None:
        must.append(engine.FieldCondition("modified", range=engine.RangeFloat(gt=scope.modified_after)))
    return engine.Filter(must=must, must_not=[engine.HasIdCondition(set(scope.without))] if scope.without else None)
