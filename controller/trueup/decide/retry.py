"""When to try again."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Capped exponential backoff with full jitter on its upper half.

    With first=1, cap=300: after failures 1, 2, 3 … the wait lies in [0.5, 1], [1, 2], [2, 4] … [150, 300] seconds.
    """

    first: float = 1.0
    cap: float = 300.0

    def wait(self, failures: int, chance: float) -> float:
        """Seconds to wait after `failures` failures in a row; `chance` is uniform in [0, 1)."""
        longest = min(self.cap, self.first * 2.0 ** min(max(failures, 1) - 1, 40))
        return longest * (0.5 + chance / 2)
