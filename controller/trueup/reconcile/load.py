"""Loading: wanted version → bytes → text → chunks → screened → vectors → Index.upsert → Catalog.publish.

Two kinds of thread. Readers take wanted documents, fairly across sources, and make `Prepared` of their bytes; the one
embedder takes slices of at most a batch across documents, so that a small document never waits for the whole of a large
one, writes the points, and publishes what is complete. Neither holds a source's lock.
"""

from __future__ import annotations

import secrets
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import structlog

from trueup.catalog import placing, publishing
from trueup.catalog.placing import SourceRow
from trueup.catalog.publishing import Wanted
from trueup.catalog.store import NORMAL, Write
from trueup.decide.retry import Backoff
from trueup.errors import CatalogError, SourceError, TrueupError, VersionGone
from trueup.model.text import Prepared, Refusal
from trueup.reconcile.embed import Batch, Embedding, Job
from trueup.reconcile.origin import Origin, Plant

log = structlog.get_logger(__name__)

READERS = 6
"""Threads that read and prepare. More would only wait for the interpreter's lock."""
PER_SOURCE = 2
"""Readers that one source may occupy, so that one that hangs costs the others nothing."""
AHEAD_BYTES = 64 * 1024 * 1024
"""Bytes of prepared documents that may wait for the embedder: what bounds memory."""
AHEAD_JOBS = 512
_BACKOFF = Backoff(first=1.0, cap=300.0)


class Loader:
    """Drains what is wanted. `wake` it when there is more; `idle` tells whether a source has nothing in flight."""

    def __init__(self, plant: Plant, origin: Callable[[int], Origin | None], reloaded: Callable[[int], None], relook: Callable[[int, str], None]) -> None:
        """`reloaded(source)` is told of each publication or failure; `relook(source, uri)` when a version vanished."""
        self._plant = plant
        self._origin = origin
        self._reloaded = reloaded
        self._relook = relook
        self._lock = threading.Lock()
        self._claimable = threading.Condition(self._lock)
        """There is room, and may be more to load."""
        self._loadable = threading.Condition(self._lock)
        """Something is ready to be embedded."""
        self._inflight: dict[int, int] = {}
        self._reading: dict[int, int] = {}
        self._ready: dict[int, deque[Job]] = {}
        self._bytes = 0
        self._dirty = True
        self._stopped = False
        self._embedding = Embedding(plant, self._finished)
        self._pool = ThreadPoolExecutor(READERS, thread_name_prefix="reader")
        self._threads = [threading.Thread(target=run, name=name, daemon=True) for run, name in ((self._claim_loop, "claimer"), (self._embed_loop, "embedder"))]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Finish the batch in hand and stop; whatever is left stays wanted."""
        with self._lock:
            self._stopped = True
            self._claimable.notify_all()
            self._loadable.notify_all()
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._threads[1].join()

    def wake(self) -> None:
        """There may be something new to load."""
        with self._lock:
            self._dirty = True
            self._claimable.notify()

    # --- claiming and reading -----------------------------------------------------------------------------------------

    def _claim_loop(self) -> None:
        while True:
            with self._lock:
                self._claimable.wait_for(lambda: self._stopped or (self._dirty and self._room()), timeout=1.0)
                if self._stopped:
                    return
                if not self._room():
                    continue
                self._dirty = False
            try:
                if self._claim():
                    self.wake()
            except CatalogError:
                log.exception("loading.claim_failed")

    def _room(self) -> bool:
        """Claims are made by the half: asking the catalog for each document that leaves would cost more than loading it."""
        return self._bytes < AHEAD_BYTES and len(self._inflight) <= AHEAD_JOBS // 2

    def _claim(self) -> bool:
        """Hand documents to the readers, one source after the other; whether there may be more at once."""
        with self._plant.store.read() as snapshot:
            wanting = publishing.sources_wanting(snapshot)
            with self._lock:
                sources = [source for source in wanting if self._reading.get(source, 0) < PER_SOURCE]
                busy = set(self._inflight)
                share = max(8, AHEAD_JOBS // max(1, 2 * len(sources)))
                room = AHEAD_JOBS - len(busy)
            batches = [(s, publishing.wanted(snapshot, s, self._plant.clock.now(), share, {d for d in busy if self._inflight.get(d) == s})) for s in sources]
        claimed = 0
        for source, batch in batches:
            batch_ = batch[: max(0, room - claimed)]
            if batch_:
                claimed += len(batch_)
                with self._lock:
                    self._inflight.update((wanted.document, source) for wanted in batch_)
                self._read_later(source, deque(batch_))
        return claimed > 0 and claimed == sum(len(batch) for _, batch in batches)

    def _read_later(self, source: int, batch: deque[Wanted]) -> None:
        """Read `batch` on at most PER_SOURCE readers."""
        with self._lock:
            lanes = min(PER_SOURCE - self._reading.get(source, 0), len(batch))
            if lanes <= 0:
                for wanted in batch:
                    self._inflight.pop(wanted.document, None)
                return
            self._reading[source] = self._reading.get(source, 0) + lanes
        for _ in range(lanes):
            self._pool.submit(self._read_lane, source, batch)

    def _read_lane(self, source: int, batch: deque[Wanted]) -> None:
        token = secrets.token_hex(8)
        try:
            origin = self._origin(source)
            with self._plant.store.read() as snapshot:
                row = placing.source_row(snapshot, source)
            while True:
                try:
                    wanted = batch.popleft()
                except IndexError:
                    return
                if origin is None or row is None or self._stopped:
                    self._release(wanted)
                else:
                    self._read_one(wanted, origin, row, f"{token}.{wanted.document}")
        except CatalogError:
            log.exception("loading.catalog_failed", source=source)
            for wanted in tuple(batch):
                self._release(wanted)
        finally:
            with self._lock:
                self._reading[source] -= 1
            self.wake()

    def _read_one(self, wanted: Wanted, origin: Origin, row: SourceRow, incarnation: str) -> None:
        try:
            view = origin.view
            content = origin.connector().read(wanted.uri, wanted.version, view.settings.max_document_bytes)
            prepared = self._plant.prepare(content.data, wanted.uri, view.settings)
            now = self._plant.clock.now()
            self._ready_for(Job(wanted, origin, row.epoch, row.namespace, row.indexes, view.settings_digest, prepared, len(content.data), now, incarnation))
        except VersionGone:
            try:
                self._plant.store.write(lambda tx: publishing.forget_version(tx, wanted), NORMAL)
            finally:
                self._release(wanted)  # or it would count as being loaded for ever
            self._relook(wanted.source, wanted.uri)
        except SourceError as error:
            self._fail(wanted, error.reason, str(error), retry=error.reason != "TooLarge")
        except TrueupError as error:
            self._fail(wanted, error.reason, str(error), retry=True)
        except Exception as error:
            log.exception("loading.failed", document=wanted.document)
            self._fail(wanted, "Internal", f"Loading failed with {type(error).__name__}.", retry=True)

    def _ready_for(self, job: Job) -> None:
        prepared = job.prepared
        if prepared.refusal is not None:
            self._refused(job, prepared)
            return
        if prepared.expires_at is not None and prepared.expires_at <= self._plant.clock.now():
            self._refuse(job, "Expired", "Its own time-to-live has passed.", state="expired")
            return
        with self._lock:
            self._bytes += job.size
            self._ready.setdefault(job.wanted.source, deque()).append(job)
            self._loadable.notify()

    def _refused(self, job: Job, prepared: Prepared) -> None:
        if prepared.refusal is Refusal.UNSUPPORTED:
            self._refuse(job, "Unsupported", prepared.message)
        else:
            reason = prepared.refusal.value if prepared.refusal else "Unreadable"
            self._fail(job.wanted, reason, prepared.message, retry=prepared.refusal is Refusal.UNREADABLE)

    def _refuse(self, job: Job, reason: str, message: str, state: str = "refused") -> None:
        wanted = job.wanted
        self._plant.store.write(lambda tx: publishing.refuse(tx, wanted, job.epoch, reason, message, job.settings, state=state), NORMAL)
        self._release(wanted)
        self._reloaded(wanted.source)

    def _fail(self, wanted: Wanted, reason: str, message: str, *, retry: bool) -> None:
        at = self._plant.clock.now() + _BACKOFF.wait(wanted.attempts + 1, self._plant.chance()) if retry else None

        def unit(tx: Write) -> None:
            row = placing.source_row(tx, wanted.source)
            if row is not None:
                publishing.fail(tx, wanted, row.epoch, reason, message, at)

        try:
            self._plant.store.write(unit, NORMAL)
        except CatalogError:
            log.exception("loading.fail_not_recorded", document=wanted.document)
        self._release(wanted)
        self._reloaded(wanted.source)

    def _release(self, wanted: Wanted) -> None:
        with self._lock:
            self._inflight.pop(wanted.document, None)

    # --- embedding and publishing -------------------------------------------------------------------------------------

    def _embed_loop(self) -> None:
        while True:
            with self._lock:
                self._loadable.wait_for(lambda: self._stopped or any(self._ready.values()))
                if self._stopped:
                    return
                batch = Batch(self._embedding.limit)
                self._fill(batch)
            self._embedding.run(batch)

    def _fill(self, batch: Batch) -> None:
        """Take turns over the sources until the batch is full, a change before an addition within each."""
        queues = [queue for queue in self._ready.values() if queue]
        while queues and not batch.full:
            for queue in list(queues):
                job = queue[0]
                batch.take(job)
                if job.all_taken:
                    queue.popleft()
                else:
                    queue.rotate(-1)  # a large document gives way to the small ones behind it
                if not queue:
                    queues.remove(queue)
                if batch.full:
                    break
        self._ready = {source: queue for source, queue in self._ready.items() if queue}

    def _finished(self, jobs: Sequence[Job], error: TrueupError | None) -> None:
        with self._lock:
            self._bytes -= sum(job.size for job in jobs)
            if error is None:
                for job in jobs:
                    self._inflight.pop(job.wanted.document, None)
            else:
                for queue in self._ready.values():
                    for job in jobs:
                        if job in queue:
                            queue.remove(job)
        if error is not None:
            for job in jobs:
                self._fail(job.wanted, error.reason, str(error), retry=True)
            return
        for source in {job.wanted.source for job in jobs}:
            self._reloaded(source)
        self.wake()
