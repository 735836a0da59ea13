"""Hints: what watches and webhooks say is gathered for a moment, then makes a source due. A hint carries no authority."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from trueup.model.listing import WHOLE, Hint, Scope
from trueup.ports import Clock

QUIET = 0.03
"""Seconds without a further hint after which a source becomes due."""
PATIENCE = 0.12
"""Seconds after which it becomes due however many hints follow: a busy folder is still looked at."""
MOST = 256
"""Prefixes of one look: beyond them, the folders that they lie in are looked at, and beyond as many of these, everything."""


@dataclass(slots=True)
class _Gathered:
    first: float
    last: float
    prefixes: set[str] = field(default_factory=set)


class Hints:
    """Gathers hints by source and passes them on as scopes."""

    def __init__(self, clock: Clock, due: Callable[[int, Scope], None]) -> None:
        self._clock = clock
        self._due = due
        self._gathered: dict[int, _Gathered] = {}
        self._condition = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="hints", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Stop; what is gathered is dropped, and the next whole look sees it."""
        with self._condition:
            self._stopped = True
            self._condition.notify_all()
        self._thread.join()

    def give(self, source: int, hint: Hint) -> None:
        """Something may have happened in `source`."""
        now = self._clock.monotonic()
        with self._condition:
            gathered = self._gathered.setdefault(source, _Gathered(now, now))
            gathered.last = now
            gathered.prefixes.update(hint.prefixes)
            self._condition.notify_all()

    def _run(self) -> None:
        while True:
            with self._condition:
                if self._stopped:
                    return
                now = self._clock.monotonic()
                ready = {s: g for s, g in self._gathered.items() if now - g.last >= QUIET or now - g.first >= PATIENCE}
                for source in ready:
                    del self._gathered[source]
                if not ready:
                    self._condition.wait(QUIET / 2 if self._gathered else None)
            for source, gathered in ready.items():
                self._due(source, scope_of(gathered.prefixes))


def scope_of(prefixes: set[str]) -> Scope:
    """The scope that covers `prefixes`, without those that another one covers already."""
    kept = _outermost(prefixes)
    if len(kept) > MOST:
        kept = _outermost({prefix.rpartition("/")[0] for prefix in kept})
    return Scope() if WHOLE in kept or len(kept) > MOST else Scope(tuple(sorted(kept)))


def _outermost(prefixes: set[str]) -> set[str]:
    """Those of `prefixes` that lie below no other."""
    if WHOLE in prefixes:
        return {WHOLE}
    return {prefix for prefix in prefixes if not any(prefix[:end] in prefixes for end in range(len(prefix)) if prefix[end] == "/")}


def merge(a: Scope | None, b: Scope) -> Scope:
    """The scope that covers both."""
    return b if a is None else scope_of({*a.prefixes, *b.prefixes})
