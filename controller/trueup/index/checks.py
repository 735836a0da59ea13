"""What is refused before an engine sees it.

The engine keeps a rejected write in its log and may replay it after a crash, takes vectors of NaN, unsorted and
repeated sparse ids without a word, and answers an empty filter with everything. So nothing reaches it unchecked.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from operator import lt
from typing import TypeVar

import numpy as np

from trueup.errors import IndexFailure
from trueup.model.index import GenerationSpec, Keys, Point, Question, Scope
from trueup.model.text import Sparse

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,19}")
_COLLECTION = re.compile(r"trueup-[0-9]+-[0-9A-Za-z][0-9A-Za-z-]*")
_INTEGER_LIMIT = 1 << 63
_TERM_LIMIT = 1 << 32
# float32 squares of more than this overflow when the engine takes the norm.
_COMPONENT_LIMIT = 1e15


T = TypeVar("T")


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """`items` in lists of at most `size`."""
    remaining = iter(items)
    while batch := list(islice(remaining, size)):
        yield batch


def is_collection(name: str) -> bool:
    """Whether `name` is one that we give to a collection, and therefore safe as a folder's name."""
    return _COLLECTION.fullmatch(name) is not None


def check_generation(generation: GenerationSpec) -> str:
    """The collection's name.

    Raises:
        IndexFailure: the generation cannot be a collection.
    """
    name = generation.collection
    if not is_collection(name):
        raise IndexFailure(why="a collection's name may have letters, digits and dashes only; give the generation a fingerprint in hex")
    if generation.dimensions < 0 or not (generation.dimensions or generation.sparse):
        raise IndexFailure(why=f"generation {generation.id} has neither a dense nor a sparse vector")
    return name


def check_points(generation: GenerationSpec, points: Sequence[Point]) -> None:
    """Refuse a batch of which the engine might reject or mangle anything.

    Raises:
        IndexFailure: names the point and what is wrong with it.
    """
    for point in points:
        check_id(point.id)
        check_keys(point.id, point.keys)
        _check_vectors(generation, point)
    if generation.dimensions and points:
        _check_dense(generation, points)


def check_id(point_id: str) -> None:
    """Refuse what is not a UUID in lower case with hyphens."""
    if _UUID.fullmatch(point_id) is None:
        raise IndexFailure(why=f"point id {point_id[:40]!r} is not a UUID in lower case")


def check_ids(ids: Iterable[str]) -> None:
    """Refuse ids that no engine could hold. Plain numbers pass: a stray point may have one, and must be erasable."""
    for point_id in ids:
        if _NUMBER.fullmatch(point_id) is None:
            check_id(point_id)


def check_keys(point_id: str, keys: Keys) -> None:
    """Refuse keys that a filter could not find again."""
    if not keys.tenant:
        raise IndexFailure(why=f"point {point_id} has no tenant")
    if not all(0 <= number < _INTEGER_LIMIT for number in (keys.source, keys.document, keys.acl)):
        raise IndexFailure(why=f"point {point_id} has a catalog id outside 0 to 2^63")
    if keys.modified is not None and not math.isfinite(keys.modified):
        raise IndexFailure(why=f"point {point_id} has a time that is not finite")


def _check_vectors(generation: GenerationSpec, point: Point) -> None:
    dense, sparse = point.vectors.dense, point.vectors.sparse
    if (dense is not None) != (generation.dimensions > 0) or (dense is not None and len(dense) != 4 * generation.dimensions):
        raise IndexFailure(why=f"point {point.id} has not the dense vector of {generation.dimensions} dimensions that its generation needs")
    if (sparse is not None) != generation.sparse:
        raise IndexFailure(why=f"point {point.id} has {'a' if sparse else 'no'} sparse vector, against its generation")
    if sparse is not None:
        check_sparse(f"point {point.id}", sparse)


def _check_dense(generation: GenerationSpec, points: Sequence[Point]) -> None:
    """One numpy pass over the whole batch: a Python loop over components would cost more than the engine's write."""
    block = np.frombuffer(b"".join(point.vectors.dense or b"" for point in points), "<f4").reshape(len(points), generation.dimensions)
    bad = ~(np.abs(block) <= _COMPONENT_LIMIT).all(axis=1)  # also true of NaN
    if bad.any():
        raise IndexFailure(why=f"point {points[int(bad.argmax())].id} has a dense component that is not a finite, moderate number")


def check_sparse(whose: str, sparse: Sparse) -> None:
    """Refuse a sparse vector whose ids are not ascending term ids, or whose weights are not finite."""
    indices, values = sparse.indices, sparse.values
    if len(indices) != len(values):
        raise IndexFailure(why=f"the sparse vector of {whose} has {len(indices)} ids and {len(values)} weights")
    if indices and (indices[0] < 0 or indices[-1] >= _TERM_LIMIT or not all(map(lt, indices, islice(indices, 1, None)))):
        raise IndexFailure(why=f"the sparse vector of {whose} has ids that do not ascend within 32 bits")
    if not all(map(math.isfinite, values)) or (values and max(map(abs, values)) > _COMPONENT_LIMIT):
        raise IndexFailure(why=f"the sparse vector of {whose} has a weight that is not a finite, moderate number")


def matches_nothing(scope: Scope, limit: int) -> bool:
    """Whether the answer is empty whatever the index holds. An engine would take an empty filter for everything."""
    return (
        limit < 1
        or not scope.tenants
        or not scope.acls
        or (scope.sources is not None and not scope.sources)
        or (scope.folders is not None and not scope.folders)
    )


def dense_of(generation: GenerationSpec, question: Question) -> list[float] | None:
    """The dense vector to ask with, or None: not asked, not held by this generation, or without a direction.

    Raises:
        IndexFailure: it has other dimensions than the generation, or is not finite.
    """
    if question.dense is None or not generation.dimensions:
        return None
    if len(question.dense) != 4 * generation.dimensions:
        raise IndexFailure(why=f"the question has not the {generation.dimensions} dimensions of its generation")
    vector = np.frombuffer(question.dense, "<f4")
    if not (np.abs(vector) <= _COMPONENT_LIMIT).all():
        raise IndexFailure(why="the question has a dense component that is not a finite, moderate number")
    return vector.tolist() if vector.any() else None


def sparse_of(generation: GenerationSpec, question: Question) -> Sparse | None:
    """The sparse vector to ask with, or None: not asked, not held by this generation, or empty.

    Raises:
        IndexFailure: its ids do not ascend or its weights are not finite.
    """
    if question.sparse is None or not generation.sparse or not question.sparse.indices:
        return None
    check_sparse("the question", question.sparse)
    return question.sparse
