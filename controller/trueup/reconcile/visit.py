"""A visit: what is done each time a source is due. What the declaration alone decides first, then the look, then what came of it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from trueup.catalog import placing, reporting
from trueup.catalog.placing import SourceRow
from trueup.catalog.store import BULK, NORMAL, URGENT, Write
from trueup.decide.conditions import Failure
from trueup.decide.retry import Backoff
from trueup.errors import CatalogError, EpochLost, SourceError, SourceMisconfigured, SourceTimeout
from trueup.model.listing import Hint, History, Scope
from trueup.model.resources import CONFIRM_DELETION, REQUESTED_AT
from trueup.reconcile.look import Looked, look
from trueup.reconcile.origin import Origin, Plant, View

log = structlog.get_logger(__name__)

BATCH = 2000
_CONTROLLER = "controller"


@dataclass(frozen=True, slots=True)
class Told:
    """Whom a visit tells what it did. Each takes the catalog's id of the source."""

    changed: Callable[[int], None]
    handled: Callable[[int, str], None]
    queued: Callable[[], None]
    removed: Callable[[], None]
    hint: Callable[[int, Hint], None]
    retry: Callable[[int, float], None]


class Visits:
    """Visits sources; called by the threads of the queue."""

    def __init__(self, plant: Plant, told: Told, indexes: Callable[[], frozenset[str]]) -> None:
        self._plant = plant
        self._told = told
        self._indexes = indexes
        self._lock = threading.Lock()
        self._running: dict[int, tuple[Origin, float, bool]] = {}
        self.last_pass = plant.clock.monotonic()
        """When a visit last ended, for liveness."""

    def visit(self, origin: Origin, scope: Scope) -> bool:
        """Bring one source up to date; returns whether it is healthy. Never raises: what went wrong is in its status."""
        with origin.looking:
            with self._lock:
                self._running[origin.id] = (origin, self._plant.clock.monotonic(), False)
            try:
                return self._visit(origin, scope)
            except EpochLost:
                return True
            except CatalogError:
                log.exception("visit.catalog_failed", source=origin.key)
                self._told.retry(origin.id, 1.0)
                return False
            except Exception as error:
                # A defect of ours, or of a plugin: it must show in the status of this source, and stop no other.
                log.exception("visit.failed", source=origin.key)
                self._defect(origin, error)
                return False
            finally:
                with self._lock:
                    self._running.pop(origin.id, None)
                self.last_pass = self._plant.clock.monotonic()

    def _defect(self, origin: Origin, error: Exception) -> None:
        try:
            row = self._row(origin)
            if row is not None:
                self._failed(origin, row, SourceError(f"Looking at the source failed with {type(error).__name__}; the log has the details."))
        except CatalogError:
            log.exception("visit.catalog_failed", source=origin.key)

    def overdue(self) -> None:
        """Tell of looks that hang beyond their source's timeout: the condition must not wait for the thread."""
        now = self._plant.clock.monotonic()
        with self._lock:
            hanging = [
                (origin, began) for origin, began, told in self._running.values() if not told and now - began > 2 * origin.view.resource.spec.timeout_seconds
            ]
            for origin, began in hanging:
                self._running[origin.id] = (origin, began, True)
        for origin, _ in hanging:
            with self._plant.store.read() as snapshot:
                row = placing.source_row(snapshot, origin.id)
            if row is not None:
                self._failed(origin, row, SourceTimeout(seconds=origin.view.resource.spec.timeout_seconds), retry=False)

    def _visit(self, origin: Origin, scope: Scope) -> bool:
        requested = origin.view.resource.metadata.annotations.get(REQUESTED_AT)
        view, row = origin.view, self._row(origin)
        if row is None or row.generation != view.resource.metadata.generation:
            return True  # gone, or declared anew this moment: the declaration makes it due again
        if requested is not None and requested != origin.served_request:
            self._retry(origin, row)
            scope = Scope()
        elif row.decided_generation != row.generation != origin.retried:
            self._retry(origin, row)
        self._confirm(origin, row)
        self._declared(view, row)
        if row.suspended:
            self._told.changed(origin.id)
            return True
        row = self._row(origin)
        if row is None or row.generation != view.resource.metadata.generation:
            return True
        healthy = self._look(origin, row, scope)
        if requested is not None:
            origin.served_request = requested
            self._told.handled(origin.id, requested)
        return healthy

    def _row(self, origin: Origin) -> SourceRow | None:
        with self._plant.store.read() as snapshot:
            return placing.source_row(snapshot, origin.id)

    def _retry(self, origin: Origin, row: SourceRow) -> None:
        """What failed is tried again, once a request and once a declaration."""
        self._plant.store.write(lambda tx: placing.retry_all(tx, origin.id), NORMAL)
        origin.retried = row.generation
        self._told.queued()

    # --- what the declaration alone decides ---------------------------------------------------------------------------

    def _confirm(self, origin: Origin, row: SourceRow) -> None:
        asked = origin.view.resource.metadata.annotations.get(CONFIRM_DELETION)
        if asked is not None and asked == row.held_observation:
            self._release(row, asked, "A person confirmed it")

    def _release(self, row: SourceRow, observation: str, why: str) -> None:
        def unit(tx: Write) -> int:
            erased = placing.confirm(tx, row.id, row.epoch, observation, _CONTROLLER)
            if erased:
                reporting.event(tx, row.id, "Normal", "DeletionConfirmed", f"{why}: {erased} documents of observation {observation} are deleted.")
            return erased

        if self._plant.store.write(unit, URGENT):
            self._told.removed()
            self._told.changed(row.id)

    def _declared(self, view: View, row: SourceRow) -> None:
        """`view` is what `row` declares: another one may come at any moment, and makes the source due again."""
        if row.placed != row.access:
            self._place(view, row)
        if row.suspended:
            return
        if row.selection != view.selection.digest:
            self._exclude(view, row)
        if row.ingested != view.settings_digest:
            self._rebuild(view, row)

    def _rebuild(self, view: View, row: SourceRow) -> None:
        """Other settings of ingest: every document is wanted again, and its old chunks serve until the new are there."""
        wanted = 0
        while more := self._plant.store.write(lambda tx: placing.rebuild(tx, row.id, view.settings_digest), BULK):
            wanted += more
        self._plant.store.write(lambda tx: placing.ingested(tx, row.id, row.epoch, view.settings_digest), NORMAL)
        if wanted:
            self._told.queued()

    def _place(self, view: View, row: SourceRow) -> None:
        """Move documents to the slots that the rules put them in now. The gate evaluates the rules meanwhile."""
        policy = view.policy
        with self._plant.store.read() as snapshot:
            slots = placing.slots(snapshot, row.id)
            documents = placing.every_document(lambda after: placing.documents(snapshot, row.id, after))
            moves = [(id_, slots[policy.place(uri)]) for id_, uri, acl, _ in documents if slots[policy.place(uri)] != acl]
        for start in range(0, len(moves), BATCH):
            part = moves[start : start + BATCH]
            self._plant.store.write(lambda tx, part=part: placing.reclassify(tx, part), NORMAL)  # type: ignore[misc]
        self._plant.store.write(lambda tx: placing.placed(tx, row.id, view.access_digest), NORMAL)
        if moves:
            self._told.removed()

    def _exclude(self, view: View, row: SourceRow) -> None:
        """What include and exclude leave out now is gone, whatever state the source is in. The gate evaluates them meanwhile."""
        takes = view.selection.takes
        with self._plant.store.read() as snapshot:
            documents = placing.every_document(lambda after: placing.documents(snapshot, row.id, after))
            out = [id_ for id_, uri, _, state in documents if not takes(uri)]
        observation = f"declared@{row.generation}"
        self._plant.store.write(lambda tx: placing.exclude(tx, row.id, row.epoch, out, observation, view.selection.digest), URGENT)
        if out:
            self._told.removed()
            self._told.changed(row.id)

    # --- the look, and what came of it --------------------------------------------------------------------------------

    def _look(self, origin: Origin, row: SourceRow, scope: Scope) -> bool:
        try:
            self._index_exists(origin)
            if row.failure is not None or row.decided_generation != row.generation or row.gaps is not None or row.held_observation is not None:
                scope = Scope()
            if scope.whole:
                self._watch(origin)
            looked = look(self._plant, origin, row, scope)
        except SourceError as error:
            self._failed(origin, row, error)
            return False
        self._succeeded(origin, row, looked, scope)
        return True

    def _index_exists(self, origin: Origin) -> None:
        ref = origin.view.resource.spec.index_ref
        if ref is not None and origin.view.resource.index_key() not in self._indexes():
            raise SourceMisconfigured(
                why=f"its indexRef names the ContextIndex {ref.name}, which does not exist in its namespace; apply it or correct the name"
            )

    def _watch(self, origin: Origin) -> None:
        """Watch before looking, so that no change falls between the two."""
        if origin.watch is None or not origin.watch_alive:
            origin.watch_with(lambda hint: self._told.hint(origin.id, hint))

    def _failed(self, origin: Origin, row: SourceRow, error: SourceError, *, retry: bool = True) -> None:
        now = self._plant.clock.now()
        before = reporting.load_failure(row.failure)
        count = before.count + 1 if before else 1
        interval = origin.view.resource.spec.interval_seconds
        wait = Backoff(first=min(1.0, interval), cap=interval).wait(count, self._plant.chance())
        origin.listed = False
        failure = Failure(error.reason, str(error)[:1000], before.since if before else now, count, now + wait)

        def unit(tx: Write) -> None:
            reporting.set_failure(tx, row.id, row.epoch, failure)
            if before is None or before.reason != failure.reason:
                reporting.event(tx, row.id, "Warning", "FetchFailed", failure.message)
                tx.audit("Look", principal=_CONTROLLER, object=f"source/{row.id}", decision="Failed", reason=failure.reason)

        self._plant.store.write(unit, NORMAL)
        if retry:
            self._told.retry(row.id, wait)
        self._told.changed(row.id)

    def _succeeded(self, origin: Origin, row: SourceRow, looked: Looked, scope: Scope) -> None:
        before = reporting.load_failure(row.failure)
        eventful = before is not None or not looked.quiet or looked.history is not History.FORWARD
        if eventful:
            self._plant.store.write(lambda tx: _tell(tx, row, looked, before), NORMAL)
        if looked.queued:
            self._told.queued()
        if looked.removed:
            self._told.removed()
        if scope.whole:
            self._confirm_by_time(origin)
        if eventful or row.decided_generation != row.generation or row.gaps is not None or origin.fresh_until is None:
            self._told.changed(row.id)
        elif scope.whole:
            origin.fresh_until = self._plant.clock.now() + origin.view.resource.spec.freshness.max_staleness_seconds

    def _confirm_by_time(self, origin: Origin) -> None:
        """A hold that a whole look has just left standing confirms itself once `confirmAfter` has passed."""
        after = origin.view.resource.spec.deletion.guard.confirm_after_seconds
        if after is None:
            return
        with self._plant.store.read() as snapshot:
            row = placing.source_row(snapshot, origin.id)
            since = placing.waits_since(snapshot)
        if row is not None and row.held_observation and row.held_since is not None and self._plant.clock.now() - max(row.held_since, since) >= after:
            self._release(row, row.held_observation, "confirmAfter has passed")


def _tell(tx: Write, row: SourceRow, looked: Looked, before: Failure | None) -> None:
    """The events of a look that changed something."""
    if before is not None:
        reporting.set_failure(tx, row.id, row.epoch, None)
        reporting.event(tx, row.id, "Normal", "Recovered", f"The source can be read again, after {before.count} failures.")
    if looked.history is not History.FORWARD:
        message = f"The origin is at {looked.revision}, which does not follow what was served before: the source is the truth."
        reporting.event(tx, row.id, "Warning", "HistoryRewritten", message)
    if looked.held is not None:
        reporting.event(tx, row.id, "Warning", "DeletionHeld", f"A suspicious listing: what it misses is hidden until observation {looked.held} is confirmed.")
    elif not looked.quiet:
        reporting.event(tx, row.id, "Normal", "Fetched", f"{looked.queued} documents are new or changed, {looked.removed} are gone.")
        reporting.trim(tx, row.id)
