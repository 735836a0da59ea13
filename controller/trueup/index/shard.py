"""One collection of the embedded engine: opening it, and every call that is made to it.

Measured on qdrant-edge-py 0.9.0: every call, queries too, holds the interpreter's lock, so that calls are one after
the other and a batch of writes is as long as a search may have to wait. Faults come as plain Exception or as a Rust
panic, which is a BaseException of the engine's own. A shard without its write-ahead log was found, after one kill in
five, with filters that disagreed with the payload, so the log stays on.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import qdrant_edge as engine

from trueup.errors import IndexFailure
from trueup.index.keys import FLOATS, INTEGERS, KEYWORDS
from trueup.model.index import GenerationSpec

DENSE = "dense"
SPARSE = "sparse"
PAGE = 1000


@contextlib.contextmanager
def engine_faults(doing: str) -> Iterator[None]:
    """Turn whatever the engine raises into IndexFailure.

    Raises:
        IndexFailure: says what was being done and the engine's own words, which hold no text of documents.
    """
    try:
        yield
    except Exception as error:
        raise IndexFailure(why=f"{doing} failed: {_words(error)}") from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise IndexFailure(why=f"{doing} failed: the engine panicked: {_words(error)}") from error


def _words(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]


def shape(generation: GenerationSpec) -> engine.EdgeConfig:
    """Dense cosine and sparse dot without IDF, as the generation has them; never a graph, so that search stays exact."""
    return engine.EdgeConfig(
        vectors={DENSE: engine.EdgeVectorParams(size=generation.dimensions, distance=engine.Distance.Cosine)} if generation.dimensions else None,
        sparse_vectors={SPARSE: engine.EdgeSparseVectorParams()} if generation.sparse else None,
        optimizers=engine.EdgeOptimizersConfig(indexing_threshold=1 << 40),
    )


def open_shard(path: Path, generation: GenerationSpec, *, prove: bool) -> engine.EdgeShard:
    """Open or make the shard at `path`, with every payload index; `prove` reads all of it, about a second for 50,000 points.

    Raises:
        IndexFailure: what is there is no shard of this generation, or is damaged.
    """
    with engine_faults("opening the collection"):
        fresh = not path.exists() or not any(path.iterdir())
        path.mkdir(exist_ok=True)
        shard = engine.EdgeShard.create(str(path), shape(generation)) if fresh else engine.EdgeShard.load(str(path), shape(generation))
    try:
        _index_payload(shard)
        _count_vectors(shard, generation)
        if prove:
            _read_everything(shard)
        with engine_faults("clearing out what was erased"):
            # Erased points keep their room until this. It does nothing below a fifth of waste, and may be killed at any
            # moment, but holds the interpreter for about a second per 50,000 points: so only here, before serving.
            shard.optimize()
    except IndexFailure:
        with engine_faults("closing the collection"):
            shard.close()
        raise
    return shard


def _index_payload(shard: engine.EdgeShard) -> None:
    """Make the payload indexes that are missing: all of a new shard, or those a kill kept from being made."""
    wanted = dict.fromkeys(KEYWORDS, engine.PayloadSchemaType.Keyword)
    wanted |= dict.fromkeys(INTEGERS, engine.PayloadSchemaType.Integer) | dict.fromkeys(FLOATS, engine.PayloadSchemaType.Float)
    with engine_faults("making the payload indexes"):
        have = shard.info().payload_schema
        missing = [(name, kind) for name, kind in wanted.items() if name not in have or have[name].data_type != kind]
        for name, kind in missing:
            tenant = engine.KeywordIndexParams(is_tenant=True) if name == "tenant" else kind
            shard.update(engine.UpdateOperation.create_field_index(name, tenant))
        if missing:
            shard.flush()


def _count_vectors(shard: engine.EdgeShard, generation: GenerationSpec) -> None:
    """A shard that lost a vector file loads without a word and finds only what is left, so vectors are counted."""
    with engine_faults("counting the collection"):
        points = shard.count(engine.CountRequest())
        for name in (DENSE,) * bool(generation.dimensions) + (SPARSE,) * generation.sparse:
            vectors = shard.count(engine.CountRequest(filter=engine.Filter(must=[engine.HasVectorCondition(name)])))
            if vectors < points:
                raise IndexFailure(why=f"{points - vectors} of {points} points have lost their {name} vector")


def _read_everything(shard: engine.EdgeShard) -> None:
    """Read every payload and vector once, which is what brings a damaged page to light."""
    offset: engine.PointId | None = None
    with engine_faults("reading the collection"):
        while True:
            _, offset = shard.scroll(engine.ScrollRequest(offset=offset, limit=PAGE, with_payload=True, with_vector=True))
            if offset is None:
                return
