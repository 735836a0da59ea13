"""Refusals that would flood the audit log one by one: callers nobody knows, and those who ask too much. One row a minute."""

from __future__ import annotations

import threading
from collections import Counter

from trueup.catalog.store import Store, Write
from trueup.errors import CatalogError
from trueup.model.times import rfc3339

ANONYMOUS = "anonymous"
_MINUTE = 60


class Refusals:
    """Counts refusals by minute, principal and reason, and writes those of past minutes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[int, str, str]] = Counter()

    def count(self, reason: str, principal: str, now: float) -> None:
        """One more refusal of `principal` for `reason`."""
        with self._lock:
            self._counts[int(now // _MINUTE), principal, reason] += 1

    def flush(self, store: Store, now: float) -> None:
        """Write what was counted in minutes before that of `now`; use infinity at the end.

        Raises:
            CatalogError: it could not be written; the counts are kept for the next time.
        """
        with self._lock:
            due = Counter({key: count for key, count in self._counts.items() if (key[0] + 1) * _MINUTE <= now})
            self._counts -= due
        if not due:
            return

        def unit(tx: Write) -> None:
            for (minute, principal, reason), count in sorted(due.items()):
                data = {"count": count, "minute": rfc3339(minute * _MINUTE)}
                tx.audit("Denial", principal=principal, object="gate", decision="Denied", reason=reason, data=data)

        try:
            store.write(unit)
        except CatalogError:
            with self._lock:
                self._counts += due
            raise
