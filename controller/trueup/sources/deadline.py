"""One deadline for a whole call to a source, which also ends what blocks: a slow drip of bytes defeats any time-out a read."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from trueup.errors import SourceTimeout


class Deadline:
    """A span of time after which everything that was put under it is ended from another thread.

    Use as a context manager; what is put under it must be something that may be ended twice.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end = time.monotonic() + seconds
        self._lock = threading.Lock()
        self._ends: list[Callable[[], None]] = []
        self._timer: threading.Timer | None = None

    @property
    def expired(self) -> bool:
        """Whether it has passed."""
        return time.monotonic() >= self._end

    @property
    def error(self) -> SourceTimeout:
        """What to raise once it has passed."""
        return SourceTimeout(seconds=self._seconds)

    def remaining(self) -> float:
        """Seconds left, more than 0.

        Raises:
            SourceTimeout: none.
        """
        left = self._end - time.monotonic()
        if left <= 0:
            raise self.error
        return left

    def ends(self, end: Callable[[], None]) -> None:
        """Have `end` called at the deadline; at once if it has passed."""
        with self._lock:
            if not self.expired:
                self._ends.append(end)
                if self._timer is None:
                    self._timer = threading.Timer(self._end - time.monotonic(), self._expire)
                    self._timer.daemon = True
                    self._timer.start()
                return
        end()

    def _expire(self) -> None:
        with self._lock:
            self._end = min(self._end, time.monotonic())  # the timer's clock is not ours to the last microsecond
            ends, self._ends = self._ends, []
        for end in ends:
            end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            self._ends = []
