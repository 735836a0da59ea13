"""The in-memory twin of the index: the plainest thing that keeps the port's promises."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

import numpy as np

from trueup.errors import IndexFailure
from trueup.index.checks import check_generation, check_ids, check_keys, check_points, dense_of, is_collection, matches_nothing, sparse_of
from trueup.index.ranking import Leg, by_rank, rank
from trueup.model.index import GenerationSpec, Hit, Keys, Point, PointState, Question, Scope
from trueup.model.text import Sparse


class MemoryIndex:
    """`Index` in a dict. Every search looks at every point; meant for some thousands of them.

    Attributes:
        stored: collection's name -> point id -> point, for tests that tamper with the index.
    """

    def __init__(self) -> None:
        self.recovered: list[str] = []
        self.stored: dict[str, dict[str, Point]] = {}
        self._lock = threading.RLock()
        self._closed = False

    def ensure(self, generation: GenerationSpec) -> None:
        """Make the collection."""
        with self._lock:
            if self._closed:
                raise IndexFailure(why="it is closed")
            self.stored.setdefault(check_generation(generation), {})

    def upsert(self, generation: GenerationSpec, points: Sequence[Point]) -> None:
        """Write points."""
        check_points(generation, points)
        with self._lock:
            self._collection(generation).update({point.id: point for point in points})

    def put_keys(self, generation: GenerationSpec, keys: Iterable[tuple[str, Keys]]) -> None:
        """Replace the keys of points that exist."""
        wanted = dict(keys)
        check_ids(wanted)
        for point_id, value in wanted.items():
            check_keys(point_id, value)
        with self._lock:
            points = self._collection(generation)
            points.update({i: Point(id=i, keys=value, vectors=points[i].vectors) for i, value in wanted.items() if i in points})

    def delete(self, generation: GenerationSpec, ids: Sequence[str]) -> None:
        """Erase points."""
        check_ids(ids)
        with self._lock:
            points = self._collection(generation)
            for point_id in ids:
                points.pop(point_id, None)

    def search(self, generation: GenerationSpec, question: Question, scope: Scope, limit: int) -> list[Hit]:
        """The best live points in `scope`, by looking at all of them."""
        with self._lock:
            points = list(self._collection(generation).values())
        if matches_nothing(scope, limit):
            return []
        dense, sparse = dense_of(generation, question), sparse_of(generation, question)
        candidates = [point for point in points if in_scope(point, scope)]
        legs: list[Leg] = []
        if dense is not None:
            legs.append(_leg([Hit(id=point.id, score=_cosine(dense, point)) for point in candidates]))
        if sparse is not None:
            scored = [(point.id, _dot(sparse, point)) for point in candidates]
            legs.append(_leg([Hit(id=point_id, score=score) for point_id, score in scored if score is not None]))
        return rank(legs, limit) if legs else []

    def present(self, generation: GenerationSpec, ids: Sequence[str]) -> dict[str, Keys]:
        """The keys of those that exist."""
        check_ids(ids)
        with self._lock:
            points = self._collection(generation)
            return {point_id: points[point_id].keys for point_id in ids if point_id in points}

    def scroll(self, generation: GenerationSpec, after: str | None, limit: int) -> list[tuple[str, Keys]]:
        """Points after `after`, ascending."""
        with self._lock:
            points = self._collection(generation)
            return [(point_id, points[point_id].keys) for point_id in sorted(points) if after is None or point_id > after][:limit]

    def collections(self) -> list[str]:
        """Names of the collections."""
        with self._lock:
            return sorted(self.stored)

    def drop(self, collection: str) -> None:
        """Remove a collection."""
        if not is_collection(collection):
            raise IndexFailure(why="that is not the name of a collection")
        with self._lock:
            self.stored.pop(collection, None)

    def flush(self) -> None:
        """Nothing is ever durable here."""

    def close(self) -> None:
        """Refuse every further call. Idempotent."""
        self._closed = True

    def _collection(self, generation: GenerationSpec) -> dict[str, Point]:
        points = self.stored.get(check_generation(generation))
        if points is None or self._closed:
            raise IndexFailure(why=f"the collection of generation {generation.id} is not open")
        return points


def in_scope(point: Point, scope: Scope) -> bool:
    """Whether `point` is live and satisfies every member of `scope`."""
    keys = point.keys
    return (
        keys.state is PointState.LIVE
        and keys.tenant in scope.tenants
        and keys.acl in scope.acls
        and (scope.sources is None or keys.source in scope.sources)
        and (scope.folders is None or not scope.folders.isdisjoint(keys.folders))
        and (scope.modified_after is None or (keys.modified is not None and keys.modified > scope.modified_after))
        and point.id not in scope.without
    )


def _leg(hits: list[Hit]) -> Leg:
    ordered = sorted(hits, key=by_rank)
    return lambda count: ordered[:count]


def _cosine(question: list[float], point: Point) -> float:
    vector, asked = np.frombuffer(point.vectors.dense or b"", "<f4").astype(float), np.array(question)
    norms = float(np.linalg.norm(vector) * np.linalg.norm(asked))
    return float(np.float32(vector @ asked / norms)) if norms else 0.0


def _dot(question: Sparse, point: Point) -> float | None:
    """The dot product, or None where no term is shared: such a point is no candidate at all."""
    held = point.vectors.sparse
    weights = {} if held is None else dict(zip(held.indices, held.values, strict=True))
    products = [weights[term] * weight for term, weight in zip(question.indices, question.values, strict=True) if weights.get(term) and weight]
    return float(np.float32(sum(products))) if products else None
