"""Everything the gate works with, wired once in `app.py`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from trueup.catalog.store import Store
from trueup.decide.freshness import Instant, jumped_back
from trueup.gate.keys import Keys
from trueup.gate.policies import Policies
from trueup.gate.reach import Atlas
from trueup.model.principal import Caller
from trueup.ports import Clock, Controller, Embedders, Identity, Index

_ASKERS = 16
"""Threads that ask sources at delivery, for all requests together: they wait, and cost next to nothing."""


class ClockGuard:
    """Notices that the wall clock went back while this process ran."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._last = Instant(clock.now(), clock.monotonic())

    def jumped(self) -> bool:
        """Whether it went back since the last call."""
        with self._lock:
            now = Instant(self._clock.now(), self._clock.monotonic())
            before, self._last = self._last, now
        return jumped_back(before, now)


@dataclass(frozen=True, slots=True)
class Gate:
    """The gate's ports and what it keeps between requests: nothing of any caller's.

    Attributes:
        controller: None where there is none beside this gate; sources cannot be asked then.
        distrust: makes every freshness lease in the catalog void until its source is read again; called when the
            clock is seen to have gone back.
        reviews: tells which of some sources (`namespace/name`) the cluster's own authorizer lets a caller retrieve;
            None where there is no cluster, and with it no reader of kind RBAC.
        hook_secret: the secret that signs hook calls for a source, None if it has none; where this itself is None, the
            installation's own keys have it.
    """

    store: Store
    index: Index
    embedders: Embedders
    clock: Clock
    identity: Identity
    keys: Keys
    controller: Controller | None
    distrust: Callable[[], None]
    reviews: Callable[[Caller, Collection[str]], frozenset[str]] | None = None
    hook_secret: Callable[[str, str], str | None] | None = None
    policies: Policies = field(default_factory=Policies)
    atlas: Atlas = field(default_factory=Atlas)
    guard: ClockGuard = field(init=False)
    askers: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(_ASKERS, thread_name_prefix="gate-ask"))

    def __post_init__(self) -> None:
        object.__setattr__(self, "guard", ClockGuard(self.clock))

    def close(self) -> None:
        """Let go of the threads. The store and the index belong to whoever made them."""
        self.askers.shutdown(wait=False, cancel_futures=True)
