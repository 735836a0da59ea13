"""How much may come in, and how much at once."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass

from trueup.errors import TooMany


@dataclass(frozen=True, slots=True)
class Limits:
    """Settings of the HTTP edge.

    Attributes:
        body: bytes of a request's body.
        body_seconds: for the whole of it to arrive.
        in_flight: requests at once, of all callers.
        in_flight_each: of one caller.
    """

    body: int = 64 * 1024
    body_seconds: float = 30.0
    in_flight: int = 256
    in_flight_each: int = 16


class Flights:
    """Counts the requests in flight, of all callers and of each."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._lock = threading.Lock()
        self._each: Counter[str] = Counter()
        self.count = 0

    def begin(self) -> None:
        """One more in all.

        Raises:
            TooMany: as many as there may be are in flight; nothing was counted.
        """
        with self._lock:
            if self.count >= self._limits.in_flight:
                raise TooMany
            self.count += 1

    def end(self) -> None:
        """One less in all."""
        with self._lock:
            self.count -= 1

    def begin_of(self, principal: str) -> None:
        """One more of `principal`.

        Raises:
            TooMany: it has as many in flight as one may; nothing was counted.
        """
        with self._lock:
            if self._each[principal] >= self._limits.in_flight_each:
                raise TooMany
            self._each[principal] += 1

    def end_of(self, principal: str) -> None:
        """One less of `principal`."""
        with self._lock:
            self._each[principal] -= 1
            if not self._each[principal]:
                del self._each[principal]
