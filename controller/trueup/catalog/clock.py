"""The catalog's clock: the server's time, kept between measurements by this machine's monotonic clock.

All processes of one catalog then agree on leases to within half a round trip, whatever their machines' clocks show.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import sqlalchemy as sa
import structlog

from trueup.errors import CatalogError
from trueup.ports import Clock

if TYPE_CHECKING:
    from trueup.catalog.store import Store

log = structlog.get_logger(__name__)

EVERY = 5.0
"""Seconds between measurements: at a drift of 200 ppm, a millisecond."""
SLOW = 1.0
"""A measurement that took longer, in seconds, tells too little."""
STEP = 2.0
"""How far the measured time may lie behind the shown one, in seconds, and still be waited for. Further back, the
server's clock was set back, and the freshness of everything must become doubtful (`decide.freshness.SLACK`)."""

SERVER_NOW = sa.text("SELECT CAST(extract(epoch FROM clock_timestamp()) AS double precision)")
_READY = sa.text("SELECT 1")


class CatalogClock:
    """Implements `ports.Clock`."""

    def __init__(self, store: Store, local: Clock, *, every: float = EVERY) -> None:
        """Measure, and go on measuring in a thread.

        Raises:
            CatalogError: the server cannot be reached.
        """
        self._store = store
        self._local = local
        self._every = every
        self._lock = threading.Lock()
        self._shown = float("-inf")
        self._offset: float | None = None
        self._closed = threading.Event()
        self.measure()
        self._thread = threading.Thread(target=self._run, name="catalog-clock", daemon=True)
        self._thread.start()

    def now(self) -> float:
        """The server's time, seconds since the epoch. It stands still rather than go back by less than `STEP`."""
        with self._lock:
            self._shown = max(self._shown, self._local.monotonic() + (self._offset or 0.0))
            return self._shown

    def monotonic(self) -> float:
        """Seconds that never go back, of this machine."""
        return self._local.monotonic()

    def measure(self) -> None:
        """Ask the server once.

        Raises:
            CatalogError: it cannot be reached; the clock goes on by what it knew.
        """
        with self._store.read() as read:
            read.value(_READY)  # opens the connection and the transaction, which are not to be measured
            before = self._local.monotonic()
            server = float(read.value(SERVER_NOW))
            after = self._local.monotonic()
        if after - before <= SLOW or self._offset is None:
            self.set(server - (before + after) / 2)

    def set(self, offset: float) -> None:
        """Take the server's time to be the monotonic one and `offset`."""
        with self._lock:
            back = self._shown - (self._local.monotonic() + offset)
            self._offset = offset
            if back > STEP:
                log.warning("catalog.clock_went_back", seconds=round(back, 1))
                self._shown = float("-inf")

    def close(self) -> None:
        """Measure no more."""
        self._closed.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closed.wait(self._every):
            try:
                self.measure()
            except CatalogError as error:
                log.info("catalog.clock_not_measured", reason=error.reason)
