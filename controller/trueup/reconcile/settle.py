"""Settle: drives the points that the outbox names to the catalog's present state. Late, repeated or reordered rows are harmless."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

from trueup.catalog import settling
from trueup.catalog.store import BULK
from trueup.decide.retry import Backoff
from trueup.errors import CatalogError, IndexFailure
from trueup.reconcile.origin import Plant

log = structlog.get_logger(__name__)

BATCH = 512
GATHER = 0.05
"""Seconds by which work is gathered: the gate does not wait for it, and a batch costs little more than a point."""
IDLE = 2.0
"""Seconds without work after which the index is flushed: a flush stops the embedded engine's searches while it lasts."""
BUSY = 60.0
"""Seconds after which it is flushed all the same. What a power failure takes away the sweep at the next start writes again."""
_BACKOFF = Backoff(first=0.5, cap=30.0)


class Settler:
    """One thread. The gate does not wait for it: a tombstone holds there from its commit on."""

    def __init__(self, plant: Plant, changed: Callable[[str | None], None]) -> None:
        """`changed` is told why the index cannot be written, and None once it can again."""
        self._plant = plant
        self._changed = changed
        self._wake = threading.Event()
        self._stopped = threading.Event()
        self._failures = 0
        self._flushed = plant.clock.monotonic()
        self._thread = threading.Thread(target=self._run, name="settler", daemon=True)

    def start(self) -> None:
        """Begin; whatever an earlier process left is settled first."""
        self._wake.set()
        self._thread.start()

    def stop(self) -> None:
        """Stop after the batch in hand."""
        self._stopped.set()
        self._wake.set()
        self._thread.join()

    def wake(self) -> None:
        """There may be something to settle."""
        self._wake.set()

    def _run(self) -> None:
        while not self._stopped.is_set():
            woken = self._wake.wait(timeout=IDLE)
            if woken:
                self._stopped.wait(GATHER)
            self._wake.clear()
            try:
                while not self._stopped.is_set() and self.settle():
                    pass
                self._flush(idle=not woken)
            except (IndexFailure, CatalogError) as error:
                self._failures += 1
                self._changed(str(error))
                log.warning("settle.failed", reason=error.reason, failures=self._failures)
                self._stopped.wait(_BACKOFF.wait(self._failures, self._plant.chance()))
                self._wake.set()
            else:
                if self._failures:
                    self._failures = 0
                    self._changed(None)

    def _flush(self, *, idle: bool) -> None:
        """Make the index durable when nothing has happened for a while, or at last when something always does."""
        now = self._plant.clock.monotonic()
        if idle or now - self._flushed > BUSY:
            self._plant.index.flush()
            self._flushed = now

    def settle(self) -> int:
        """One batch; returns how many rows it settled.

        Raises:
            IndexFailure: the index did not take it; the rows stay.
        """
        with self._plant.store.read() as snapshot:
            rows = settling.outbox(snapshot, BATCH)
            by_generation: dict[int, list[str]] = {}
            for row in rows:
                by_generation.setdefault(row.generation, []).append(row.point)
            work = [(settling.generation(snapshot, g), ids, settling.desired(snapshot, g, ids)) for g, ids in by_generation.items()]
        for generation, ids, desired in work:
            if generation is None:
                continue
            gone = [id_ for id_ in dict.fromkeys(ids) if id_ not in desired]
            if desired:
                self._plant.index.put_keys(generation, list(desired.items()))
            if gone:
                self._plant.index.delete(generation, gone)
        if rows:
            self._plant.store.write(lambda tx: settling.settled(tx, rows), BULK)
        return len(rows)
