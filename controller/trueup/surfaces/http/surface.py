"""What the routes of the HTTP edge share."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from trueup.gate.deps import Gate
from trueup.gate.hooks import HookCounts
from trueup.gate.refusals import Refusals
from trueup.ports import Upkeep
from trueup.surfaces.http.limits import Limits
from trueup.surfaces.http.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Surface:
    """What the HTTP edge works with.

    Attributes:
        ready: more that must hold before requests are welcome; each raises `TrueupError` if it does not.
        upkeep: keeps the index, where that is in this process; None: its calls are 404.
        closing: set it to end open event streams, before the server is told to stop.
        resources: whether resources are declared here; in a cluster they are not, and their paths lead nowhere.
    """

    gate: Gate
    limits: Limits = field(default_factory=Limits)
    metrics: Metrics = field(default_factory=Metrics)
    refusals: Refusals = field(default_factory=Refusals)
    hooks: HookCounts = field(default_factory=HookCounts)
    ready: tuple[Callable[[], None], ...] = ()
    upkeep: Upkeep | None = None
    closing: threading.Event = field(default_factory=threading.Event)
    resources: bool = True
