"""Which embedder a declared index gets, and that a fingerprint always means the same vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trueup.errors import EmbeddingError
from trueup.ingest import embedders
from trueup.ingest.embedders import EmbedderCache
from trueup.ingest.hashing import HashModel
from trueup.model.index import GenerationSpec


@pytest.fixture(autouse=True)
def _no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUEUP_MODELS", str(tmp_path / "none"))


def _spec(plan: Any) -> GenerationSpec:
    return GenerationSpec(1, plan.fingerprint, plan.dimensions, plan.sparse)


SHAPES = [
    ({}, 0, True, True),
    ({"provider": "Local", "model": None, "dimensions": None, "mode": "Hybrid"}, 0, True, True),
    ({"mode": "Sparse"}, 0, True, False),
    ({"provider": "Hash", "mode": "Hybrid"}, 64, True, False),
    ({"provider": "Hash", "mode": "Dense", "dimensions": 8}, 8, False, False),
]


@pytest.mark.parametrize(("embedding", "dimensions", "sparse", "degraded"), SHAPES)
def test_plan(embedding: dict[str, Any], dimensions: int, sparse: bool, degraded: bool) -> None:
    """A plan says what vectors there will be, and why there are fewer than asked; its embedder makes just those."""
    cache = EmbedderCache()
    plan = cache.plan(embedding)
    assert (plan.dimensions, plan.sparse, plan.degraded is not None) == (dimensions, sparse, degraded)
    cache.register(plan)
    embedder = cache.get(_spec(plan))
    assert (embedder.fingerprint, embedder.dimensions, embedder.sparse) == (plan.fingerprint, dimensions, sparse)
    vectors = embedder.embed(["hello foo_bar", ""])
    question = embedder.ask("hello")
    for made in [*vectors, question]:
        assert (made.sparse is not None) is sparse
        assert len(made.dense or b"") == 4 * dimensions
    assert cache.get(_spec(plan)) is embedder


REFUSED = [
    ({"mode": "Dense"}, "trueup models install"),
    ({"model": "unknown"}, "all-MiniLM-L6-v2"),
    ({"dimensions": 100}, "384 dimensions"),
    ({"provider": "Remote"}, "Local or Hash"),
    ({"mode": "Odd"}, "Hybrid, Dense or Sparse"),
]


@pytest.mark.parametrize(("embedding", "said"), REFUSED)
def test_plan_that_cannot_be(embedding: dict[str, Any], said: str) -> None:
    """What cannot be had is refused with what to do."""
    with pytest.raises(EmbeddingError, match=said):
        EmbedderCache().plan(embedding)


def test_fingerprint_names_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mode, dimensions, weights and chunker each make other vectors, so another fingerprint; nothing else does."""
    cache = EmbedderCache()

    def of(**embedding: Any) -> str:
        return cache.plan({"provider": "Hash", **embedding}).fingerprint

    assert len({of(), of(mode="Dense"), of(mode="Sparse"), of(dimensions=8)}) == 4
    assert of() == of(dimensions=64, mode="Hybrid") == EmbedderCache().plan({"provider": "Hash"}).fingerprint
    before = of(), of(mode="Dense")
    monkeypatch.setattr(embedders, "_SPARSE", "bm25-next")
    assert (of() != before[0], of(mode="Dense") == before[1]) == (True, True)
    monkeypatch.setattr(embedders, "CHUNKER_VERSION", "next")
    assert of(mode="Dense") != before[1]


def test_found_again_after_a_restart() -> None:
    """A generation of an earlier process has its embedder without being registered; one that cannot be made says so."""
    for embedding in ({}, {"provider": "Hash", "dimensions": 16}, {"provider": "Hash", "mode": "Dense"}):
        plan = EmbedderCache().plan(embedding)
        assert EmbedderCache().get(_spec(plan)).fingerprint == plan.fingerprint
    with pytest.raises(EmbeddingError, match="trueup models install"):
        EmbedderCache().get(GenerationSpec(1, "0" * 64, 384, sparse=True))


def test_hashing_vectors() -> None:
    """The double is deterministic, of length one, alike for texts that share words, and the same in any batch."""
    model = HashModel(64)
    texts = ["the lease of a source", "a lease of some source", "zebras eat grass", ""]
    vectors = np.array([np.frombuffer(v, "<f4") for v in model.embed(texts)])
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-6)
    assert vectors[0] @ vectors[1] > 0.5 > vectors[0] @ vectors[2]
    assert [model.embed([t])[0] for t in texts] == model.embed(texts)
    assert model.embed([]) == []
    assert model.embed(["known"])[0] == HashModel(64).embed(["known"])[0]
