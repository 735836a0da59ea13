"""What the index is told and asked: points, their keys, and hits."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from trueup.model.text import Sparse, Vectors


class PointState(enum.StrEnum):
    """The state keyword on a point. A string, because the embedded engine matches no booleans."""

    LIVE = "live"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Keys:
    """What a point can be filtered by. No text, no user text, ever.

    Attributes:
        tenant: the namespace.
        source: the catalog's id of the source.
        document: the catalog's id of the document.
        acl: the catalog's id of the access slot the document is in.
        state: live or dead.
        modified: seconds since the epoch, as the origin claims.
        folders: every folder above the document, without trailing slash ("docs", "docs/guide"); for path filters.
    """

    tenant: str
    source: int
    document: int
    acl: int
    state: PointState = PointState.LIVE
    modified: float | None = None
    folders: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Point:
    """One chunk in one generation. `id` is a UUID string that is never used twice."""

    id: str
    keys: Keys
    vectors: Vectors = field(repr=False)


@dataclass(frozen=True, slots=True)
class Scope:
    """The index filter of one query: every non-None member is a positive `must`, and `acls` and `tenants` are never None.

    An empty set matches nothing: the adapter answers without asking the engine.
    """

    tenants: frozenset[str]
    acls: frozenset[int]
    sources: frozenset[int] | None = None
    folders: frozenset[str] | None = None
    modified_after: float | None = None
    without: frozenset[str] = frozenset()
    """Point ids to leave out of a second search (the one negative condition)."""


@dataclass(frozen=True, slots=True)
class Question:
    """The vectors of one query, made by the generation's own embedder."""

    dense: bytes | None = field(repr=False, default=None)
    sparse: Sparse | None = field(repr=False, default=None)


@dataclass(frozen=True, slots=True)
class Hit:
    """A candidate: the index is never believed, the catalog decides."""

    id: str
    score: float


@dataclass(frozen=True, slots=True)
class GenerationSpec:
    """What fixes a collection's shape: one embedding model, chunker and weights table.

    Attributes:
        id: the catalog's id; the collection's name is derived from it.
        fingerprint: digest over model, dimensions, mode, chunker and weights versions.
        dimensions: of the dense vector; 0 where the mode has none.
        sparse: whether points carry a sparse vector.
    """

    id: int
    fingerprint: str
    dimensions: int
    sparse: bool

    @property
    def collection(self) -> str:
        """The collection's name: letters, digits and dashes only."""
        return f"trueup-{self.id}-{self.fingerprint[:12]}"
