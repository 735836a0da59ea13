"""Cadence: when sources become due, and the pool that looks at them.

The clock of apscheduler is the wall's, so a monotonic guard notices a jump and arms every job anew. One job a source,
coalesced, jittered, and never dropped for being late.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.interval import IntervalTrigger

from trueup.model.listing import Scope
from trueup.ports import Clock
from trueup.reconcile.hints import merge

JITTER = 0.05
"""Of the interval, either way."""
POOL = 32
"""Looks that may run at once. A look that hangs occupies one until its source's own timeout ends it."""
SUSPECTS = 8
"""Of these, the most that sources whose last look failed may occupy, so that the healthy ones always find a thread."""
GUARD = 1.0
"""Seconds between checks of the clock."""
JUMP = 2.0
"""Seconds by which wall and monotonic time must differ to be called a jump."""


class Queue:
    """Sources that are due, each looked at by one thread at a time; what comes due meanwhile is merged and looked at next."""

    def __init__(self, visit: Callable[[int, Scope], bool]) -> None:
        """`visit(source, scope)` looks, and returns whether the source is healthy."""
        self._visit = visit
        self._lock = threading.Lock()
        self._due: dict[int, Scope] = {}
        self._running: set[int] = set()
        self._suspects: set[int] = set()
        self._stopped = False
        self._pool = ThreadPoolExecutor(POOL, thread_name_prefix="look")

    def due(self, source: int, scope: Scope) -> None:
        """Look at `scope` of `source` as soon as a thread is free."""
        with self._lock:
            self._due[source] = merge(self._due.get(source), scope)
        self._dispatch()

    def forget(self, source: int) -> None:
        """Nothing of `source` is due any more."""
        with self._lock:
            self._due.pop(source, None)
            self._suspects.discard(source)

    @property
    def waiting(self) -> int:
        """How many sources are due and not being looked at."""
        return len(self._due)

    def stop(self) -> None:
        """Begin no further look. Those that run are not waited for: a hung one would hold the process."""
        with self._lock:
            self._stopped = True
            self._due.clear()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _dispatch(self) -> None:
        with self._lock:
            if self._stopped:
                return
            for source in [s for s in self._due if s not in self._running]:
                if source in self._suspects and len(self._running & self._suspects) >= SUSPECTS:
                    continue
                scope = self._due.pop(source)
                self._running.add(source)
                self._pool.submit(self._run, source, scope)

    def _run(self, source: int, scope: Scope) -> None:
        healthy = False
        try:
            healthy = self._visit(source, scope)
        finally:
            with self._lock:
                self._running.discard(source)
                (self._suspects.discard if healthy else self._suspects.add)(source)
            self._dispatch()


class Cadence:
    """One job a source, and the guard over the clock."""

    def __init__(self, clock: Clock, due: Callable[[int], None], jumped: Callable[[float], None]) -> None:
        """`jumped(seconds)` is told of a jump of the wall clock before the jobs are armed anew."""
        self._clock = clock
        self._due = due
        self._jumped = jumped
        self._intervals: dict[int, float] = {}
        self._offset = clock.now() - clock.monotonic()
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._scheduler = BackgroundScheduler(timezone=UTC, job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1})
        self._thread = threading.Thread(target=self._guard, name="clock-guard", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._scheduler.start()
        self._thread.start()

    def stop(self) -> None:
        """Stop; no job fires after this."""
        self._stopped.set()
        self._scheduler.shutdown(wait=False)
        self._thread.join()

    def arm(self, source: int, uid: str, interval: float, *, first: float | None = None) -> None:
        """Make `source` due every `interval` seconds, first after `first`, or at a time spread by the hash of its uid."""
        spread = interval * (int.from_bytes(hashlib.sha256(uid.encode()).digest()[:4], "big") / 2**32)
        with self._lock:
            self._intervals[source] = interval
            self._add(source, interval, spread if first is None else first)

    def disarm(self, source: int) -> None:
        """`source` is due no more."""
        with self._lock:
            self._intervals.pop(source, None)
            try:
                self._scheduler.remove_job(str(source))
            except JobLookupError:
                return

    def retry(self, source: int, wait: float) -> None:
        """After a failure: due again in `wait` seconds, never later than the interval says."""
        with self._lock:
            if source in self._intervals:
                # A look that is still under way while everything stops comes too late: its job is gone.
                with contextlib.suppress(JobLookupError):
                    self._scheduler.modify_job(str(source), next_run_time=self._at(min(wait, self._intervals[source])))

    def _add(self, source: int, interval: float, first: float) -> None:
        trigger = IntervalTrigger(seconds=interval, jitter=interval * JITTER, timezone=UTC)  # type: ignore[no-untyped-call, unused-ignore]
        self._scheduler.add_job(self._due, trigger, args=(source,), id=str(source), replace_existing=True, next_run_time=self._at(first))

    def _at(self, seconds: float) -> datetime:
        # The scheduler reads the machine's clock, not the port, so the port's clock has no say here.
        return datetime.now(UTC) + timedelta(seconds=seconds)

    def _guard(self) -> None:
        while not self._stopped.wait(GUARD):
            offset = self._clock.now() - self._clock.monotonic()
            jump, self._offset = offset - self._offset, offset
            if abs(jump) > JUMP:
                self._jumped(jump)
                with self._lock:
                    for source, interval in self._intervals.items():
                        self._add(source, interval, 0.0)
