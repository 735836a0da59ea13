"""Slices of documents become vectors, points and publications, a batch at a time."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from trueup.catalog import generations, looking, publishing
from trueup.catalog.generations import Active
from trueup.catalog.publishing import Cached, Publication, Wanted
from trueup.catalog.store import NORMAL, Write
from trueup.errors import IndexFailure, TrueupError
from trueup.model.index import GenerationSpec, Point
from trueup.model.text import Chunk, Prepared, Sparse, Vectors, Verdict
from trueup.reconcile.origin import Origin, Plant

log = structlog.get_logger(__name__)

SLICE = 32
"""Chunks embedded by one call, and the most that one document gets before another's turn."""
BATCH = 256
"""Chunks written to the index together."""
PATIENCE = 0.25
"""Seconds that a batch should take at the speed of the last one, so that a change never waits long behind additions."""
_VOID = -1
"""An epoch that no source has."""
POINTS = uuid.UUID("6e0b5f0c-2f3f-5e0a-9a43-0d3b6a1c7e55")
"""The namespace of all point ids."""
_VARIANT = {f"{n:x}": f"{n & 0b11 | 0b1000:x}" for n in range(16)}


def point_ids(uid: str, uri: str, digest: str, generation: int, incarnation: str, ordinals: Iterable[int]) -> list[str]:
    """The ids of chunks of one revision: uuid5 over everything that tells each from any other that ever was or will be.

    Made here (RFC 9562 section 5.5) because what chunks have in common is hashed once: 3 us an id less than `uuid.uuid5`.
    """
    common = hashlib.sha1(POINTS.bytes, usedforsecurity=False)
    common.update("\x00".join((uid, uri, digest, str(generation), incarnation, "")).encode())
    ids = []
    for ordinal in ordinals:
        each = common.copy()
        each.update(b"%d" % ordinal)
        text = each.hexdigest()
        ids.append(f"{text[:8]}-{text[8:12]}-5{text[13:16]}-{_VARIANT[text[16]]}{text[17:20]}-{text[20:32]}")
    return ids


def embedded_text(heading: Sequence[str], text: str) -> str:
    """What the model is given of a chunk: the heading path, which says what the chunk is about, and the text."""
    return " > ".join(heading) + "\n" + text if heading else text


@dataclass(slots=True, eq=False)
class Job:
    """One prepared document on its way. `taken` and `done` count its servable chunks."""

    wanted: Wanted
    origin: Origin
    epoch: int
    namespace: str
    indexes: tuple[str, ...]
    settings: str
    prepared: Prepared
    size: int
    observed_at: float
    incarnation: str
    """What tells its points from those of any other time that the same bytes were or will be loaded."""
    taken: int = 0
    done: int = 0
    failed: bool = False
    vectors: dict[int, dict[str, Vectors]] = field(default_factory=dict)
    """By generation and chunk digest. The points are written only when all are there, right before the publication."""
    chunks: list[Chunk] = field(init=False)
    """The chunks that get a point."""

    def __post_init__(self) -> None:
        self.chunks = [chunk for chunk in self.prepared.chunks if chunk.verdict is not Verdict.QUARANTINED]

    @property
    def all_taken(self) -> bool:
        """Whether no slice is left to take."""
        return self.taken >= len(self.chunks)


Slices = list[tuple[Job, list[Chunk]]]
Fresh = dict[str, list[Cached]]
"""By the embedder's fingerprint: vectors that are not in the cache yet."""


@dataclass(slots=True)
class Batch:
    """Slices that are embedded, written and published together."""

    limit: int
    slices: Slices = field(default_factory=list)
    size: int = 0

    @property
    def full(self) -> bool:
        """Whether no further slice fits."""
        return self.size >= self.limit or len(self.slices) >= self.limit

    def take(self, job: Job) -> None:
        """The next slice of `job`; a document without servable chunks takes part with none."""
        chunks = job.chunks[job.taken : job.taken + SLICE]
        job.taken += max(len(chunks), 1) if not job.chunks else len(chunks)
        self.slices.append((job, chunks))
        self.size += len(chunks)


class Embedding:
    """Turns batches into publications. Used by one thread."""

    def __init__(self, plant: Plant, finished: Callable[[Sequence[Job], TrueupError | None], None]) -> None:
        self._plant = plant
        self._finished = finished
        self.limit = BATCH
        """Chunks that the next batch may hold."""

    def run(self, batch: Batch) -> None:
        """Embed what the cache lacks, write the points, publish the documents that are complete."""
        by_index: dict[tuple[str, ...], Slices] = {}
        for job, chunks in batch.slices:
            if not job.failed:
                by_index.setdefault(job.indexes, []).append((job, chunks))
        for keys, slices in by_index.items():
            try:
                self._index(keys, slices)
            except TrueupError as error:
                log.warning("loading.batch_failed", reason=error.reason)
                self._failed(slices, error)
            except Exception as error:
                log.exception("loading.batch_failed")
                self._failed(slices, TrueupError(f"Embedding or indexing failed with {type(error).__name__}."))

    def _failed(self, slices: Slices, error: TrueupError) -> None:
        jobs = list(dict.fromkeys(job for job, _ in slices if not job.failed))
        for job in jobs:
            job.failed = True
        self._finished(jobs, error)

    def _index(self, keys: tuple[str, ...], slices: Slices) -> None:
        slices = self._untouched(slices)
        fresh: Fresh = {}
        try:
            with self._plant.store.read() as snapshot:
                active = [a for key in keys for a in generations.active(snapshot, key)]
                wanted = list(dict.fromkeys(chunk.digest for _, chunks in slices for chunk in chunks))
                cached = {a.spec.id: publishing.cached(snapshot, a.spec.fingerprint, wanted) for a in active}
            for a in active:
                vectors = self._vectors(a.spec, [chunk for _, chunks in slices for chunk in chunks], cached[a.spec.id], fresh)
                for job, chunks in slices:
                    job.vectors.setdefault(a.spec.id, {}).update({chunk.digest: vectors[chunk.digest] for chunk in chunks})
            for job, chunks in slices:
                job.done += len(chunks)
            self._publish(list(dict.fromkeys(job for job, _ in slices if job.done >= len(job.chunks))), active, fresh)
        finally:
            self._keep(fresh)

    def _untouched(self, slices: Slices) -> Slices:
        """Leave out documents whose bytes are those that are live already: they only get their new version."""
        changed = [job for job, _ in slices if job.done == 0 and job.wanted.kind == 0]
        if not changed:
            return slices
        with self._plant.store.read() as snapshot:
            live = looking.digests(snapshot, [job.wanted.document for job in changed])
        same = [job for job in changed if live.get(job.wanted.document) == job.prepared.digest]
        touched = [job for job, done in zip(same, self._touch(same), strict=True) if done]
        for job in touched:
            job.failed = True  # no further slice of it is wanted
        if touched:
            self._finished(touched, None)
        return [(job, chunks) for job, chunks in slices if job not in touched]

    def _touch(self, jobs: list[Job]) -> list[bool]:
        def unit(tx: Write) -> list[bool]:
            tx.hold({job.wanted.source for job in jobs})
            return [publishing.touch(tx, job.wanted, job.prepared.digest, job.settings, job.epoch, job.observed_at) for job in jobs]

        return self._plant.store.write(unit, NORMAL) if jobs else []

    def _vectors(self, generation: GenerationSpec, chunks: list[Chunk], found: Mapping[str, Cached], fresh: Fresh) -> dict[str, Vectors]:
        """Vectors by chunk digest: those `found` in the cache, and the rest embedded, and put into `fresh`."""
        vectors = {digest: Vectors(row.dense, Sparse.unpack(row.sparse) if row.sparse is not None else None) for digest, row in found.items()}
        missing = {chunk.digest: chunk for chunk in chunks if chunk.digest not in vectors}
        if missing:
            embedder = self._plant.embedders.get(generation)
            todo = list(missing.values())
            made_now = fresh.setdefault(generation.fingerprint, [])
            began = self._plant.clock.monotonic()
            for start in range(0, len(todo), SLICE):
                part = todo[start : start + SLICE]
                for chunk, made in zip(part, embedder.embed([embedded_text(c.heading, c.text) for c in part]), strict=True):
                    vectors[chunk.digest] = made
                    made_now.append(Cached(chunk.digest, made.dense, made.sparse.pack() if made.sparse is not None else None))
            took = self._plant.clock.monotonic() - began
            self.limit = BATCH if took <= 0 else max(SLICE, min(BATCH, int(len(todo) / took * PATIENCE)))
        return vectors

    def _keep(self, fresh: Fresh) -> None:
        """Put what was embedded into the cache, where no publication took it along: nothing is embedded twice."""
        if fresh:
            self._plant.store.write(lambda tx: _keep_all(tx, fresh), NORMAL)

    def _publish(self, complete: list[Job], active: Sequence[Active], fresh: Fresh) -> None:
        """Write the points of complete documents, and make them live, with the vectors. Between the two no sweep calls a point an orphan."""
        if not complete:
            return
        ids = {(id(job), a.spec.id): self._ids(job, a.spec) for job in complete for a in active}
        with self._plant.publishing:
            for a in active:
                self._plant.index.upsert(a.spec, [point for job in complete for point in _points(job, a.spec, ids[id(job), a.spec.id])])

            def unit(tx: Write) -> None:
                publishing.begin(tx, {j.wanted.source for j in complete})
                if {g.spec.id for key in complete[0].indexes for g in generations.active(tx, key)} - {a.spec.id for a in active}:
                    raise IndexFailure(why="a generation was added while the documents were loaded; they are loaded again")
                _keep_all(tx, fresh)
                publishing.publish(
                    tx,
                    [
                        Publication(j.wanted, j.prepared, j.settings, {a.spec.id: ids[id(j), a.spec.id] for a in active}, j.observed_at, j.epoch)
                        for j in complete
                    ],
                )

            self._plant.store.write(unit, NORMAL)
        fresh.clear()
        self._finished(complete, None)

    def _ids(self, job: Job, generation: GenerationSpec) -> list[str]:
        uid = job.origin.view.resource.metadata.uid or ""
        return point_ids(uid, job.wanted.uri, job.prepared.digest, generation.id, job.incarnation, range(len(job.prepared.chunks)))


def _epoch(job: Job) -> int:
    """The epoch that the job may publish in: none, if the settings of ingest changed since it was prepared; it stays wanted.

    Asked in the publishing transaction, which is before or after the one that queues everything with the new settings.
    """
    return job.epoch if job.settings == job.origin.view.settings_digest else _VOID


def _keep_all(tx: Write, fresh: Fresh) -> None:
    for fingerprint, rows in fresh.items():
        publishing.keep_vectors(tx, fingerprint, rows)


def _points(job: Job, generation: GenerationSpec, ids: Sequence[str]) -> list[Point]:
    vectors = job.vectors.get(generation.id, {})
    if any(chunk.digest not in vectors for chunk in job.chunks):
        raise IndexFailure(why="a generation was added while the document was loaded; it is loaded again")
    keys = publishing.keys(job.namespace, job.wanted)
    return [Point(ids[chunk.ordinal], keys, vectors[chunk.digest]) for chunk in job.chunks]


def heading_of(text: str) -> tuple[str, ...]:
    """The heading path as the table `chunk` keeps it."""
    return tuple(json.loads(text))
