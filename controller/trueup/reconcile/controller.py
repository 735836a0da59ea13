"""The controller: owns the threads, knows the declared sources, and answers what the gate's surfaces may ask."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout

import structlog

from trueup.catalog import declaring, generations, placing, reporting
from trueup.catalog.generations import BUILTIN, Planned
from trueup.catalog.store import NORMAL, URGENT, Write
from trueup.decide.freshness import SLACK
from trueup.errors import SourceError
from trueup.model.listing import Hint, Presence, Scope
from trueup.model.resources import CONFIRM_DELETION, REQUESTED_AT, ContextSource, DeletionPolicy
from trueup.reconcile.cadence import Cadence, Queue
from trueup.reconcile.guarding import WatchGuard
from trueup.reconcile.hints import Hints
from trueup.reconcile.housekeeping import Housekeeping
from trueup.reconcile.load import Loader
from trueup.reconcile.origin import Origin, Plant, View
from trueup.reconcile.rebuild import Builder
from trueup.reconcile.report import Reporter, StatusStore
from trueup.reconcile.settle import Settler
from trueup.reconcile.sweep import Sweeper
from trueup.reconcile.visit import Told, Visits

log = structlog.get_logger(__name__)

CHECKERS = 8
"""Threads that ask sources on behalf of readers."""
PER_SOURCE = 3
"""Of these, the most that one source may occupy: one that hangs must not stop the verification of the others."""


class Controller:
    """Reconciles declared sources. Where declarations come from is the caller's: files embedded, the API server in a cluster."""

    def __init__(self, plant: Plant, statuses: StatusStore) -> None:
        self.plant = plant
        self._origins: dict[int, Origin] = {}
        self._by_key: dict[str, Origin] = {}
        self._lock = threading.RLock()
        self.indexes: frozenset[str] = frozenset()
        """The keys of the ContextIndexes that exist."""
        self.queue = Queue(self._visit)
        self.reporter = Reporter(plant, statuses, self.origins)
        self.loader = Loader(plant, self._origins.get, self._reloaded, lambda source, uri: self.hints.give(source, Hint((uri,))))
        self.settler = Settler(plant, self.reporter.index_failed)
        self.sweeper = Sweeper(plant)
        self.switched: Callable[[], None] = lambda: None
        """Told when another generation serves; set by whoever reports on ContextIndexes."""
        self.builder = Builder(plant, self._switched)
        self.hints = Hints(plant.clock, self.queue.due)
        self.watches = WatchGuard(self.origins, self.hints.give)
        self.cadence = Cadence(plant.clock, lambda source: self.queue.due(source, Scope()), self._jumped)
        told = Told(
            changed=self.reporter.changed,
            handled=self.reporter.handled,
            queued=self.loader.wake,
            removed=self.settler.wake,
            hint=self.hints.give,
            retry=self.cadence.retry,
        )
        self.visits = Visits(plant, told, lambda: self.indexes)
        self.housekeeping = Housekeeping(plant, self.origins, self.visits.overdue, self.settler.wake, self.loader.wake, self.reporter.changed)
        self._checks = ThreadPoolExecutor(CHECKERS, thread_name_prefix="check")
        self._checking: dict[int, int] = {}

    def start(self) -> None:
        """Begin. Sources adopted before are looked at now."""
        self.doubt()
        for part in (self.reporter, self.hints, self.loader, self.settler, self.builder, self.cadence, self.housekeeping, self.sweeper, self.watches):
            part.start()

    def doubt(self) -> None:
        """If the clock went back while nobody ran, nothing is known to be fresh. To be asked before the first look, which
        renews leases by the present clock and moves the mark that this is told by.
        """
        with self.plant.store.read() as snapshot:
            back = placing.high_water(snapshot) - self.plant.clock.now()
        if back > SLACK:
            self.plant.store.write(placing.distrust, URGENT)

    def stop(self) -> None:
        """Drain: no further look begins, the batch in hand is published, what is due is written to status."""
        for part in (self.watches, self.cadence, self.hints, self.queue, self.housekeeping, self.sweeper, self.builder, self.loader, self.settler):
            part.stop()
        self._checks.shutdown(wait=False, cancel_futures=True)
        self.reporter.stop()
        for origin in self.origins():
            origin.close()

    def origins(self) -> list[Origin]:
        """The declared sources."""
        with self._lock:
            return list(self._origins.values())

    # --- declarations -------------------------------------------------------------------------------------------------

    def declare(self, tx: Write, resource: ContextSource, principal: str) -> tuple[int, View]:
        """In the caller's transaction: what `resource` narrows holds at the gate with this commit. `adopt` the result after it."""
        view = View.of(resource, self.plant.ingest_version)
        return declaring.declare(tx, view.declared(self.indexes), principal), view

    def adopt(self, source: int, view: View) -> Origin:
        """Reconcile a declared source from now on; due at once where anything about it is new."""
        with self._lock:
            origin = self._origins.get(source)
            new = origin is None
            before = None if origin is None else origin.view
            if origin is not None and before is not None and _earlier(view, before):
                return origin  # another caller's later declaration was adopted first
            if origin is None:
                origin = Origin(source, view, self.plant.open_source)
                self._origins[source] = origin
                self._by_key[origin.key] = origin
            else:
                origin.redeclare(view)
            spec, meta = view.resource.spec, view.resource.metadata
            changed = before is None or _orders(before) != _orders(view)
            if before is None or before.resource.spec.interval != spec.interval:
                self.cadence.arm(source, meta.uid or "", spec.interval_seconds)
        if changed:
            self.queue.due(source, Scope())
            self.builder.wake()
        if new:
            self.reporter.changed(source)
        return origin

    def abandon(self, tx: Write, source: int, *, retain: bool, principal: str) -> bool:
        """In the caller's transaction: everything of `source` is dead at the gate with this commit. `forget` it after."""
        killed = declaring.withdraw(tx, source, retain=retain, principal=principal)
        if killed:
            reporting.event(tx, source, "Normal", "Deleted", "The resource was deleted: nothing of it is served any more.")
        return killed

    def forget(self, source: int) -> None:
        """Stop everything that runs for a withdrawn source."""
        with self._lock:
            origin = self._origins.pop(source, None)
            if origin is not None and self._by_key.get(origin.key) is origin:
                del self._by_key[origin.key]
        self.cadence.disarm(source)
        self.queue.forget(source)
        self.settler.wake()
        if origin is not None:
            origin.close()

    def plan(self, key: str, planned: Planned) -> None:
        """Let index `key` serve `planned`, at once or when it is built."""
        active = self.plant.store.write(lambda tx: generations.plan(tx, key, planned), NORMAL)
        for generation in active:
            self.plant.index.ensure(generation.spec)
        self.builder.wake()
        self.reporter.everything()

    # --- what the gate's surfaces ask ---------------------------------------------------------------------------------

    def find(self, namespace: str, name: str) -> Origin | None:
        """The declared source of that name."""
        with self._lock:
            return self._by_key.get(f"{namespace}/{name}")

    def hint(self, namespace: str, name: str) -> None:
        """Make a source due now; does nothing for one that is not there or is suspended."""
        origin = self.find(namespace, name)
        if origin is not None and not origin.view.resource.spec.suspend:
            self.hints.give(origin.id, Hint())

    def check(self, source: int, uri: str, version: str, deadline: float) -> Presence | None:
        """Ask a source whether `uri` is still there at `version`; None if it did not answer within `deadline` seconds."""
        origin = self._origins.get(source)
        with self._lock:
            if origin is None or self._checking.get(source, 0) >= PER_SOURCE:
                return None
            self._checking[source] = self._checking.get(source, 0) + 1
        future = self._checks.submit(self._check, origin, uri, version)
        try:
            return future.result(timeout=deadline)
        except FutureTimeout:
            return None
        except SourceError as error:
            log.info("check.failed", source=origin.key, reason=error.reason)
            return None

    def _check(self, origin: Origin, uri: str, version: str) -> Presence:
        try:
            return origin.connector().check(uri, version)
        finally:
            with self._lock:
                self._checking[origin.id] -= 1

    # --- inside -------------------------------------------------------------------------------------------------------

    def _visit(self, source: int, scope: Scope) -> bool:
        origin = self._origins.get(source)
        return True if origin is None else self.visits.visit(origin, scope)

    def _reloaded(self, source: int) -> None:
        self.reporter.changed(source)
        self.settler.wake()  # what is superseded is to be settled, and a busy index is not to be flushed

    def _switched(self) -> None:
        self.reporter.everything()
        self.switched()

    def _jumped(self, seconds: float) -> None:
        log.warning("clock.jumped", seconds=round(seconds, 1))
        unit: Callable[[Write], None] = placing.distrust if seconds < 0 else placing.restart_waits
        self.plant.store.write(unit, URGENT)
        self.reporter.everything()


def _earlier(view: View, than: View) -> bool:
    """Whether `view` was accepted before `than`, as far as their metadata tells."""
    mine, other = view.resource.metadata, than.resource.metadata
    if mine.generation != other.generation:
        return (mine.generation or 0) < (other.generation or 0)
    a, b = mine.resource_version or "", other.resource_version or ""
    return a.isdecimal() and b.isdecimal() and int(a) < int(b)


def _orders(view: View) -> tuple[object, ...]:
    """What of a declaration makes its source due when it changes."""
    meta = view.resource.metadata
    return (meta.generation, meta.annotations.get(REQUESTED_AT), meta.annotations.get(CONFIRM_DELETION))


def retains(resource: ContextSource) -> bool:
    """Whether deleting `resource` leaves its points in the index."""
    return resource.spec.deletion.policy is DeletionPolicy.RETAIN


__all__ = ["BUILTIN", "Controller", "retains"]
