"""Report: Catalog → Status. One writer, and only when something changed."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any, Protocol

import structlog

from trueup.catalog import reporting
from trueup.catalog.store import BULK
from trueup.decide.conditions import summarize
from trueup.errors import CatalogError
from trueup.reconcile.origin import Origin, Plant

log = structlog.get_logger(__name__)

SETTLED = 0.1
"""Seconds by which reports are gathered: a file that is loaded within them changes no status on the way."""
TICK = 1.0
"""Seconds between checks of what changes by itself: a lease that ends."""


class StatusStore(Protocol):
    """Where statuses are kept: the table `resource` embedded, the API server in a cluster."""

    def read(self, origin: Origin) -> dict[str, Any] | None:
        """The status as it was written last; None if the resource is gone."""
        ...

    def write(self, origin: Origin, status: dict[str, Any]) -> None:
        """Replace it."""
        ...


class Reporter:
    """Writes the status of sources that something happened to."""

    def __init__(self, plant: Plant, statuses: StatusStore, origins: Callable[[], list[Origin]]) -> None:
        self._plant = plant
        self._statuses = statuses
        self._origins = origins
        self._lock = threading.Lock()
        self._dirty: set[int] = set()
        self._handled: dict[int, str] = {}
        self._index_failure: str | None = None
        self._wake = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reporter", daemon=True)

    def start(self) -> None:
        """Begin; every status is checked once."""
        self.everything()
        self._thread.start()

    def stop(self) -> None:
        """Write what is due and stop."""
        self._stopped.set()
        self._wake.set()
        self._thread.join()

    def changed(self, source: int) -> None:
        """Something happened to `source`."""
        with self._lock:
            self._dirty.add(source)
        self._wake.set()

    def everything(self) -> None:
        """Something happened that may concern every source."""
        for origin in self._origins():
            self.changed(origin.id)

    def handled(self, source: int, requested_at: str) -> None:
        """A look that began after the request `requested_at` has ended."""
        with self._lock:
            self._handled[source] = requested_at
        self.changed(source)

    def index_failed(self, why: str | None) -> None:
        """The index cannot be written, or can again."""
        self._index_failure = why
        self.everything()

    def _run(self) -> None:
        while not self._stopped.is_set():
            if self._wake.wait(timeout=TICK):
                self._stopped.wait(SETTLED)
            self._wake.clear()
            self._round()
        self._round()

    def _round(self) -> None:
        with self._lock:
            dirty, self._dirty = self._dirty, set()
        now = self._plant.clock.now()
        for origin in self._origins():
            if origin.id in dirty and self._plant.clock.monotonic() < origin.report_after and not self._stopped.is_set():
                self.changed(origin.id)
            elif origin.id in dirty or self._lease_ended(origin, now):
                try:
                    self.report(origin)
                except CatalogError as error:
                    # Of a catalog or an API server that is away there is nothing more to learn than that.
                    log.warning("report.failed", source=origin.key, reason=error.reason, message=str(error))
                    origin.report_after = self._plant.clock.monotonic() + TICK
                    self.changed(origin.id)

    def _lease_ended(self, origin: Origin, now: float) -> bool:
        ends = origin.fresh_until
        return ends is not None and now > ends

    def report(self, origin: Origin) -> None:
        """Summarize one source and write its status if it differs.

        Counting a large source takes a while, so a busy one is counted for a twentieth of the time at most.
        """
        began = self._plant.clock.monotonic()
        now = self._plant.clock.now()
        lease = origin.view.resource.spec.freshness.max_staleness_seconds
        before = self._statuses.read(origin)
        if before is None:
            return
        with self._plant.store.read() as snapshot:
            facts = reporting.facts(snapshot, origin.id, lease, self._index_failure)
        ended = self._plant.clock.monotonic()
        origin.report_after = ended + 20 * (ended - began)
        if facts is None:
            return
        with self._lock:
            handled = self._handled.get(origin.id, before.get("lastHandledReconcileAt"))
        status = summarize(facts, now, before, handled)
        fresh = next(c["status"] for c in status["conditions"] if c["type"] == "Fresh")
        origin.fresh_until = facts.verified_at + lease if fresh == "True" and facts.verified_at is not None else None
        if "Quarantined" in _types(status) and "Quarantined" not in _types(before):
            message = f"{facts.quarantined} documents hold text that screening quarantined: it is neither embedded nor served."
            self._plant.store.write(lambda tx: reporting.event(tx, origin.id, "Warning", "Quarantined", message), BULK)
        if fresh == "False" and facts.verified_at is not None and _was(before, "Fresh") == "True":
            self._plant.store.write(
                lambda tx: reporting.event(
                    tx, origin.id, "Warning", "Stale", "The freshness lease has ended: content is withheld or marked until the source is read."
                ),
                BULK,
            )
        if json.dumps(status, sort_keys=True) != json.dumps(before, sort_keys=True):
            self._statuses.write(origin, status)


def _types(status: dict[str, Any]) -> set[str]:
    return {c["type"] for c in status.get("conditions", ())}


def _was(status: dict[str, Any], type_: str) -> str | None:
    return next((c["status"] for c in status.get("conditions", ()) if c["type"] == type_), None)
