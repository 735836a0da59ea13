"""Builds a new generation from the catalog's text beside the one that serves, then switches; and moves sources between indexes."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from typing import Any

import structlog

from trueup.catalog import generations, publishing, settling
from trueup.catalog.bodies import unpack_body
from trueup.catalog.generations import Active
from trueup.catalog.publishing import Cached, folders
from trueup.catalog.store import BULK, NORMAL, Write
from trueup.errors import CatalogError, TrueupError
from trueup.model.index import Keys, Point
from trueup.model.text import Sparse, Vectors
from trueup.reconcile.embed import SLICE, embedded_text, heading_of, point_ids
from trueup.reconcile.origin import Plant

log = structlog.get_logger(__name__)


class Builder:
    """One thread, quiet while nothing is to be built."""

    def __init__(self, plant: Plant, switched: Callable[[], None]) -> None:
        """`switched` is told when what serves has changed."""
        self._plant = plant
        self._switched = switched
        self._wake = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="builder", daemon=True)

    def start(self) -> None:
        """Begin with whatever an earlier process left half built."""
        self._wake.set()
        self._thread.start()

    def wake(self) -> None:
        """A generation was planned, or a source is to move."""
        self._wake.set()

    def stop(self) -> None:
        """Stop after the document in hand; what is built stays built."""
        self._stopped.set()
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._wake.wait(timeout=60.0)
            self._wake.clear()
            try:
                if not self._stopped.is_set():
                    self._work()
            except CatalogError:
                log.exception("rebuild.failed")
                self._again()
            except TrueupError as error:
                log.warning("rebuild.failed", reason=error.reason)
                self._again()

    def _again(self) -> None:
        if not self._stopped.wait(5.0):
            self._wake.set()

    def _work(self) -> None:
        with self._plant.store.read() as snapshot:
            building = [a for a in generations.every(snapshot) if not a.serving]
            moving = generations.moving(snapshot)
            retired = generations.retired(snapshot)
            keys = {a.spec.id: generations.key_of(snapshot, a.spec.id) for a in building}
        for generation in building:
            self._build(keys[generation.spec.id], generation)
            key = keys[generation.spec.id]
            if not self._stopped.is_set() and self._plant.store.write(_switch(key, generation), NORMAL):
                log.info("rebuild.switched", generation=generation.spec.id)
                self._switched()
                self._wake.set()
        for source, key in moving.items():
            with self._plant.store.read() as snapshot:
                targets = generations.active(snapshot, key)
            for generation in targets:
                self._build(key, generation)
            if targets and not self._stopped.is_set():
                self._plant.store.write(_move(source, key), NORMAL)
                self._switched()
        for generation in retired:
            while not self._stopped.is_set() and self._plant.store.write(lambda tx, g=generation: generations.drop_chunks(tx, g.spec.id), BULK):  # type: ignore[misc]
                pass
            self._plant.index.drop(generation.spec.collection)

    def _build(self, key: str, generation: Active) -> None:
        self._plant.index.ensure(generation.spec)
        after = 0
        while not self._stopped.is_set():
            with self._plant.store.read() as snapshot:
                batch = generations.unbuilt(snapshot, key, generation.spec.id, after, 64)
            if not batch:
                return
            for document in batch:
                if self._stopped.is_set():
                    return
                self._build_one(generation, document)
            after = batch[-1].id

    def _build_one(self, generation: Active, document: Any) -> None:
        with self._plant.store.read() as snapshot:
            rows = generations.chunks_of(snapshot, document.revision_id)
            servable = [row for row in rows if row.verdict != "Quarantined"]
            by_model = {
                m.point: m for start in range(0, len(servable), 500) for m in settling.texts(snapshot, [r.point_id for r in servable[start : start + 500]])
            }
        incarnation = secrets.token_hex(8)
        made = point_ids(document.uid, document.uri, document.digest, generation.spec.id, incarnation, [row.ordinal for row in rows])
        pairs = [(point, row.point_id) for point, row in zip(made, rows, strict=True)]
        ids = {model: point for point, model in pairs}
        keys = Keys(
            tenant=document.namespace,
            source=document.source_id,
            document=document.id,
            acl=document.acl_id,
            modified=document.modified,
            folders=folders(document.uri),
        )
        points: list[Point] = []
        for start in range(0, len(servable), SLICE):
            part = [by_model[row.point_id] for row in servable[start : start + SLICE] if row.point_id in by_model]
            vectors = self._vectors(generation, part)
            points.extend(Point(ids[m.point], keys, vectors[m.digest]) for m in part)
        with self._plant.publishing:
            self._plant.index.upsert(generation.spec, points)
            self._plant.store.write(lambda tx: generations.build(tx, document.revision_id, generation.spec.id, pairs), BULK)

    def _vectors(self, generation: Active, part: list[settling.Text]) -> dict[str, Vectors]:
        fingerprint = generation.spec.fingerprint
        with self._plant.store.read() as snapshot:
            found = publishing.cached(snapshot, fingerprint, [m.digest for m in part])
        vectors = {d: Vectors(c.dense, Sparse.unpack(c.sparse) if c.sparse is not None else None) for d, c in found.items()}
        missing = {m.digest: m for m in part if m.digest not in vectors}
        if missing:
            made = self._plant.embedders.get(generation.spec).embed([embedded_text(heading_of(m.heading), unpack_body(m.body)) for m in missing.values()])
            fresh = [Cached(d, v.dense, v.sparse.pack() if v.sparse is not None else None) for d, v in zip(missing, made, strict=True)]
            self._plant.store.write(lambda tx: publishing.keep_vectors(tx, fingerprint, fresh), BULK)
            vectors.update(zip(missing, made, strict=True))
        return vectors


def _switch(key: str, generation: Active) -> Callable[[Write], bool]:
    return lambda tx: generations.switch(tx, key, generation.spec.id)


def _move(source: int, key: str) -> Callable[[Write], None]:
    return lambda tx: generations.moved(tx, source, key)
