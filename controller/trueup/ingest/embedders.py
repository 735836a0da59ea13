"""Embedders: which one a declared index wants, and the ones of this process, loaded when first needed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from trueup.errors import EmbeddingError
from trueup.ingest import models
from trueup.ingest.chunker import CHUNKER_VERSION
from trueup.ingest.hashing import HASH_DIMENSIONS, HashModel
from trueup.ingest.sparse import SparseEncoder
from trueup.ingest.terms import TERMS_VERSION
from trueup.ingest.weights import WEIGHTS_VERSION, frozen
from trueup.model.index import GenerationSpec, Question
from trueup.model.text import Vectors
from trueup.ports import Embedder

Dense = Callable[[Sequence[str]], list[bytes]]
_SPARSE = f"bm25-{WEIGHTS_VERSION}.{TERMS_VERSION}"


@dataclass(frozen=True, slots=True)
class EmbedderPlan:
    """What an index's embedding comes to on this machine.

    Attributes:
        fingerprint: names the vectors: model, dimensions, mode, chunker and weights.
        dimensions: of the dense vector, 0 without one.
        sparse: whether there is a sparse one.
        provider: `Local` or `Hash`; `None` where there is no dense vector.
        model: the model's own fingerprint.
        degraded: why it is less than what was asked, for status.
    """

    fingerprint: str
    dimensions: int
    sparse: bool
    provider: str | None
    model: str | None = None
    degraded: str | None = None


def _planned(provider: str | None, model: str | None, dimensions: int, *, sparse: bool, degraded: str | None = None) -> EmbedderPlan:
    said = "\0".join((provider or "", model or "", str(dimensions), _SPARSE if sparse else "", CHUNKER_VERSION))
    return EmbedderPlan(sha256(said.encode()).hexdigest(), dimensions, sparse, provider, model, degraded)


class VectorEmbedder:
    """Dense, sparse or both: the `Embedder` of one plan. Safe for threads."""

    def __init__(self, plan: EmbedderPlan, dense: Dense | None, sparse: SparseEncoder | None) -> None:
        self.fingerprint = plan.fingerprint
        self.dimensions = plan.dimensions
        self.sparse = sparse is not None
        self._dense = dense
        self._sparse = sparse

    def embed(self, texts: Sequence[str]) -> list[Vectors]:
        """Vectors of chunks, in order.

        Raises:
            EmbeddingError: the model failed.
        """
        dense: Sequence[bytes | None] = self._dense(texts) if self._dense is not None else [None] * len(texts)
        sparse = self._sparse
        return [Vectors(vector, sparse.document(text) if sparse is not None else None) for vector, text in zip(dense, texts, strict=True)]

    def ask(self, query: str) -> Question:
        """The vectors of a query.

        Raises:
            EmbeddingError: the model failed.
        """
        dense = self._dense([query])[0] if self._dense is not None else None
        return Question(dense, self._sparse.query(query) if self._sparse is not None else None)


class EmbedderCache:
    """The embedders of this process (`ports.Embedders`), one a fingerprint. Safe for threads."""

    def __init__(self, pins: tuple[models.Pin, ...] = models.PINS) -> None:
        self._pins = pins
        self._lock = threading.Lock()
        self._plans: dict[str, EmbedderPlan] = {}
        self._made: dict[str, Embedder] = {}
        self._dense: dict[str, Dense] = {}
        self._encoder: SparseEncoder | None = None

    def plan(self, embedding: Mapping[str, Any]) -> EmbedderPlan:
        """What `embedding` comes to: {provider, model, dimensions, mode}, absent members by default. Loads nothing.

        Raises:
            EmbeddingError: it cannot be had on this machine, or contradicts itself; the message says what to do.
        """
        provider, mode = embedding.get("provider") or "Local", embedding.get("mode") or "Hybrid"
        if provider not in {"Local", "Hash"} or mode not in {"Hybrid", "Dense", "Sparse"}:
            raise EmbeddingError(why="the embedding provider or mode is unknown; use Local or Hash, and Hybrid, Dense or Sparse")
        if mode == "Sparse":
            return _planned(None, None, 0, sparse=True)
        asked = embedding.get("dimensions")
        if provider == "Hash":
            return _planned("Hash", None, asked or HASH_DIMENSIONS, sparse=mode == "Hybrid")
        return self._local(embedding.get("model"), asked, hybrid=mode == "Hybrid")

    def register(self, plan: EmbedderPlan) -> None:
        """Remember `plan`, so that `get` can make its embedder."""
        with self._lock:
            self._plans[plan.fingerprint] = plan

    def get(self, generation: GenerationSpec) -> Embedder:
        """The embedder whose vectors `generation` holds, registered or found again among all that this machine can make.

        Raises:
            EmbeddingError: its model is not installed or cannot be loaded.
        """
        with self._lock:
            made = self._made.get(generation.fingerprint)
            if made is None:
                plan = self._plans.get(generation.fingerprint) or self._possible(generation)
                made = self._made[generation.fingerprint] = self._make(plan)
            return made

    def _local(self, model: str | None, asked: int | None, *, hybrid: bool) -> EmbedderPlan:
        pin = next((p for p in self._pins if p.model == (model or models.DEFAULT)), None)
        if pin is None:
            raise EmbeddingError(why=f"there is no local model of that name; known: {', '.join(p.model for p in self._pins)}")
        if asked is not None and asked != pin.dimensions:
            raise EmbeddingError(why=f"{pin.model} has {pin.dimensions} dimensions; leave embedding.dimensions out")
        if models.find(pin.model, self._pins) is not None:
            return _planned("Local", pin.fingerprint, pin.dimensions, sparse=hybrid)
        if hybrid:
            return _planned(
                None, None, 0, sparse=True, degraded=f"The model {pin.model} is not installed, so search is by words only; run `trueup models install`."
            )
        raise EmbeddingError(why=f"{pin.model} is not installed; run `trueup models install`")

    def _possible(self, generation: GenerationSpec) -> EmbedderPlan:
        """A generation from before a restart, or from before a model came: the plan whose fingerprint it has."""
        for plan in self._candidates(generation):
            if plan.fingerprint == generation.fingerprint:
                return plan
        raise EmbeddingError(why="the model of this index is not installed here, or is of another version; run `trueup models install`")

    def _candidates(self, generation: GenerationSpec) -> Iterator[EmbedderPlan]:
        if not generation.dimensions:
            yield _planned(None, None, 0, sparse=True)
            return
        yield _planned("Hash", None, generation.dimensions, sparse=generation.sparse)
        for found in models.installed(self._pins):
            yield _planned("Local", found.pin.fingerprint, found.pin.dimensions, sparse=generation.sparse)

    def _make(self, plan: EmbedderPlan) -> Embedder:
        if plan.sparse and self._encoder is None:
            self._encoder = SparseEncoder(frozen())
        return VectorEmbedder(plan, self._dense_of(plan), self._encoder if plan.sparse else None)

    def _dense_of(self, plan: EmbedderPlan) -> Dense | None:
        if plan.provider is None:
            return None
        if plan.provider == "Hash":
            return HashModel(plan.dimensions).embed
        key = plan.model or ""
        if key not in self._dense:
            self._dense[key] = self._load(key)
        return self._dense[key]

    def _load(self, fingerprint: str) -> Dense:
        found = next((f for f in models.installed(self._pins) if f.pin.fingerprint == fingerprint), None)
        if found is None:
            raise EmbeddingError(why="the model of this index is not installed; run `trueup models install`")
        models.verify(found)
        try:
            from trueup.ingest.dense import DenseModel  # noqa: PLC0415 - onnxruntime is an extra, and takes 0.2 s to import
        except ImportError as error:
            raise EmbeddingError(why="onnxruntime and tokenizers are not installed; run `pip install trueup[model]`") from error
        return DenseModel(found.folder).embed
