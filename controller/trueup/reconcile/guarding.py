"""Watches that died: a root that was replaced gives no hint of it, so somebody has to look after the watch itself."""

from __future__ import annotations

import threading
from collections.abc import Callable

from trueup.model.listing import Hint
from trueup.reconcile.origin import Origin

TICK = 1.0
"""Seconds between rounds: a watched source is to be true within one or two of them."""


class WatchGuard:
    """One thread of its own, since asking whether a watch is alive may hang with the file system that it watches."""

    def __init__(self, origins: Callable[[], list[Origin]], hint: Callable[[int, Hint], None]) -> None:
        """`hint(source, hint)` makes the source due as a whole, and that look watches anew."""
        self._origins = origins
        self._hint = hint
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch-guard", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Stop. A round that hangs is not waited for: it would hold the process."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.wait(TICK):
            self.round()

    def round(self) -> None:
        """Hint once for each watch that died; whether the look succeeds then is the cadence's to follow up."""
        for origin in self._origins():
            watch = origin.watch
            if watch is None or watch is origin.mourned or origin.view.resource.spec.suspend or origin.watch_alive:
                continue
            origin.mourned = watch
            self._hint(origin.id, Hint())
