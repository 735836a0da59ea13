"""Answers kept for a few seconds, under the digest of what was asked: no token is ever a key."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

from trueup.ports import Clock

T = TypeVar("T")

_MOST = 4096


class Kept(Generic[T]):
    """Answers by question, the oldest let go first. Errors are never kept: who is refused may ask again."""

    def __init__(self, clock: Clock, seconds: float, most: int = _MOST) -> None:
        self._clock, self._seconds, self._most = clock, seconds, most
        self._lock = threading.Lock()
        self._answers: OrderedDict[str, tuple[float, T]] = OrderedDict()

    @staticmethod
    def digest(question: str) -> str:
        """What `question` is kept under."""
        return hashlib.sha256(question.encode("utf-8", "surrogatepass")).hexdigest()

    def get(self, question: str, ask: Callable[[], T]) -> T:
        """The answer to `question`, not older than the time set."""
        key, now = self.digest(question), self._clock.monotonic()
        with self._lock:
            found = self._answers.get(key)
        if found is not None and 0 <= now - found[0] < self._seconds:
            return found[1]
        # From before it was asked: it is no older than it says.
        answer = ask()
        with self._lock:
            self._answers[key] = (now, answer)
            self._answers.move_to_end(key)
            while len(self._answers) > self._most:
                self._answers.popitem(last=False)
        return answer
