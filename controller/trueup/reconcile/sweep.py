"""Sweep: compares catalog and index both ways, a bounded step at a time, repairs lost points and removes orphans."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import structlog

from trueup.catalog import settling
from trueup.catalog.bodies import unpack_body
from trueup.catalog.settling import Material
from trueup.catalog.store import BULK
from trueup.errors import CatalogError, TrueupError
from trueup.model.index import GenerationSpec, Keys, Point
from trueup.model.text import Sparse, Vectors
from trueup.reconcile.embed import SLICE, embedded_text, heading_of
from trueup.reconcile.origin import Plant

log = structlog.get_logger(__name__)

STEP = 512
"""Points compared at a time: what bounds memory, and how long a search may wait for a step."""


@dataclass(slots=True)
class Drift:
    """What a sweep found and mended."""

    compared: int = 0
    lost: int = 0
    orphans: int = 0
    differing: int = 0


def sweep(plant: Plant, stopped: threading.Event, pause: float = 0.002) -> Drift:
    """One pass over every generation, and over collections that nobody knows.

    Raises:
        IndexFailure, CatalogError: the sweep broke off; what was mended stays mended.
    """
    drift = Drift()
    with plant.store.read() as snapshot:
        known = settling.generations(snapshot)
    for name in set(plant.index.collections()) - {generation.collection for generation in known}:
        plant.index.drop(name)
        log.info("sweep.dropped_collection", collection=name)
    for generation in known:
        plant.index.ensure(generation)
        _sweep(plant, generation, stopped, drift, pause)
    plant.index.flush()
    if drift.lost or drift.orphans or drift.differing:
        log.warning("sweep.drift", compared=drift.compared, lost=drift.lost, orphans=drift.orphans, differing=drift.differing)
    return drift


def _sweep(plant: Plant, generation: GenerationSpec, stopped: threading.Event, drift: Drift, pause: float) -> None:
    """Merge both sides, ascending by point id. Each step reads the index first: what is published between the two reads
    is then seen as known and present, never as an orphan.
    """
    after = ""
    while not stopped.is_set():
        points = plant.index.scroll(generation, after or None, STEP)
        with plant.store.read() as snapshot:
            wanted = settling.desired_after(snapshot, generation.id, after, STEP)
        if not points and not wanted:
            return
        end = _end(points, wanted)
        here = {id_: keys for id_, keys in points if id_ <= end}
        should = {id_: keys for id_, keys in wanted if id_ <= end}
        drift.compared += len(here.keys() | should.keys())
        _mend(plant, generation, here, should, drift)
        after = end
        time.sleep(pause)


def _end(points: list[tuple[str, Keys]], wanted: list[tuple[str, Keys]]) -> str:
    """The id up to which both sides are fully known: a side that came back full may go on after its last id."""
    ends = [side[-1][0] for side in (points, wanted) if len(side) == STEP]
    return min(ends) if ends else max(side[-1][0] for side in (points, wanted) if side)


def _mend(plant: Plant, generation: GenerationSpec, here: dict[str, Keys], should: dict[str, Keys], drift: Drift) -> None:
    lost = [id_ for id_ in should if id_ not in here]
    strays = [id_ for id_ in here if id_ not in should]
    if strays:
        # Points are written before they are published: ask once more, between publications, before calling one an orphan.
        with plant.publishing, plant.store.read() as snapshot:
            known = settling.desired(snapshot, generation.id, strays)
        strays = [id_ for id_ in strays if id_ not in known]
    differing = {id_: keys for id_, keys in should.items() if id_ in here and _differ(keys, here[id_])}
    if lost:
        restore(plant, generation, lost)
    if strays:
        plant.store.write(lambda tx: settling.mark(tx, generation.id, strays), BULK)
    if differing:
        plant.index.put_keys(generation, list(differing.items()))
    drift.lost += len(lost)
    drift.orphans += len(strays)
    drift.differing += len(differing)


def _differ(a: Keys, b: Keys) -> bool:
    return (a.tenant, a.source, a.document, a.acl, a.state, a.folders) != (b.tenant, b.source, b.document, b.acl, b.state, b.folders)


def restore(plant: Plant, generation: GenerationSpec, ids: list[str]) -> None:
    """Write lost points again, from cached vectors or else from the text."""
    with plant.store.read() as snapshot:
        material = settling.material(snapshot, generation, ids)
        keys = settling.desired(snapshot, generation.id, ids)
    for start in range(0, len(material), SLICE):
        part = [m for m in material[start : start + SLICE] if m.point in keys]
        vectors = _vectors(plant, generation, part)
        plant.index.upsert(generation, [Point(m.point, keys[m.point], vectors[m.digest]) for m in part])


def _vectors(plant: Plant, generation: GenerationSpec, part: list[Material]) -> dict[str, Vectors]:
    made = {m.digest: Vectors(m.dense, Sparse.unpack(m.sparse) if m.sparse is not None else None) for m in part if m.dense is not None or m.sparse is not None}
    missing = {m.digest: m for m in part if m.digest not in made}
    if missing:
        texts = [embedded_text(heading_of(m.heading), unpack_body(m.body)) for m in missing.values()]
        made.update(zip(missing, plant.embedders.get(generation).embed(texts), strict=True))
    return made


class Sweeper:
    """Sweeps at start, when asked, and every `interval` seconds."""

    def __init__(self, plant: Plant, interval: float = 3600.0) -> None:
        self._plant = plant
        self._interval = interval
        self._stopped = threading.Event()
        self._asked = threading.Event()
        self.last: Drift | None = None
        self.passes = 0
        self._thread = threading.Thread(target=self._run, name="sweeper", daemon=True)

    def start(self) -> None:
        """Begin with a sweep: the index may have been replaced while nobody looked."""
        self._asked.set()
        self._thread.start()

    def ask(self) -> None:
        """Sweep now."""
        self._asked.set()

    def stop(self) -> None:
        """Stop after the step in hand."""
        self._stopped.set()
        self._asked.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._asked.wait(timeout=self._interval)
            self._asked.clear()
            if self._stopped.is_set():
                return
            try:
                self.last = sweep(self._plant, self._stopped)
                self.passes += 1
            except CatalogError:
                log.exception("sweep.failed")
                self._retry()
            except TrueupError as error:
                log.warning("sweep.failed", reason=error.reason)
                self._retry()

    def _retry(self) -> None:
        if not self._stopped.wait(5.0):
            self._asked.set()
