"""What time alone makes due: ended times-to-live, purges, retries, looks that hang."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable

import structlog

from trueup.catalog import placing, settling
from trueup.catalog.store import BULK, NORMAL
from trueup.errors import CatalogError
from trueup.model.resources import ContextSourceSpec
from trueup.reconcile.origin import Origin, Plant

log = structlog.get_logger(__name__)

TICK = 1.0
"""Seconds between rounds."""
PURGE = 5
"""Rounds between purges."""
PURGE_REBUILT = 60
"""Rounds between purges of what was chunked anew: its points are dead already, so there is no hurry."""


class Housekeeping:
    """One thread with small, bounded rounds."""

    def __init__(
        self,
        plant: Plant,
        origins: Callable[[], list[Origin]],
        overdue: Callable[[], None],
        removed: Callable[[], None],
        queued: Callable[[], None],
        changed: Callable[[int], None],
    ) -> None:
        self._plant = plant
        self._origins = origins
        self._overdue = overdue
        self._removed = removed
        self._queued = queued
        self._changed = changed
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="housekeeping", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Stop after the round in hand."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        rounds = 0
        while not self._stopped.wait(TICK):
            rounds += 1
            try:
                self._overdue()
                self.expire()
                self._queued()  # what failed may be due for another try
                if rounds % PURGE == 0:
                    self.purge()
                if rounds % PURGE_REBUILT == 0:
                    self.purge_rebuilt()
            except CatalogError:
                log.exception("housekeeping.failed")

    def expire(self) -> None:
        """Tombstone what outlived its time. The gate has withheld it since the moment itself."""
        now = self._plant.clock.now()
        with self._plant.store.read() as snapshot:
            ended = set(placing.expired(snapshot, now))
            for origin in self._origins():
                ttl = origin.view.resource.spec.freshness.document_ttl_seconds
                if ttl is not None:
                    ended.update(placing.aged(snapshot, origin.id, now - ttl))
        if ended:
            self._plant.store.write(lambda tx: placing.expire(tx, sorted(ended)), NORMAL)
            self._removed()
            for origin in self._origins():
                self._changed(origin.id)

    def purge(self) -> None:
        """Erase what has been dead for longer than its source's retention."""
        now = self._plant.clock.now()
        with self._plant.store.read() as snapshot:
            sources = settling.sources_with_tombstones(snapshot)
            since = placing.waits_since(snapshot)
        for source, spec in sources:
            retention = ContextSourceSpec.model_validate(json.loads(spec)).deletion.retention_seconds
            if since + retention > now:
                continue
            while not self._stopped.is_set() and self._plant.store.write(lambda tx, s=source, r=retention: settling.purge(tx, s, now - r), BULK):  # type: ignore[misc]
                self._removed()
                self._changed(source)

    def purge_rebuilt(self) -> None:
        """Erase revisions that another chunking of the same bytes replaced."""
        with self._plant.store.read() as snapshot:
            sources = settling.sources_rebuilt(snapshot)
        for source in sources:
            while not self._stopped.is_set() and self._plant.store.write(lambda tx, s=source: settling.purge_rebuilt(tx, s), BULK):  # type: ignore[misc]
                self._removed()
