"""The coordination Lease that lets one operator work at a time, with the timing of client-go's leader election.

Holding it is necessary and not sufficient: the catalog's own term (`catalog/fencing.py`) voids what a process writes
that was stopped and does not know it yet.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog

from trueup.cluster.api import Api, Object, path_of
from trueup.errors import ClusterError, ObjectConflict, ObjectGone
from trueup.ports import Clock

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of the election. client-go's defaults are 15, 10 and 2; 3 keeps etcd quieter and still leaves three tries.

    Attributes:
        duration: how long others leave a Lease alone that nobody renews.
        deadline: how long its holder believes in it without a renewal; less than `duration`, so that it stops first.
        every: between renewals, and between looks at somebody else's.
    """

    duration: float = 15.0
    deadline: float = 10.0
    every: float = 3.0


class Lease:
    """One candidate for the Lease `namespace/name`."""

    def __init__(self, api: Api, clock: Clock, namespace: str, name: str, identity: str, timing: Timing | None = None) -> None:
        """`identity` must differ between processes, also between two of one pod."""
        self.identity = identity
        self._api, self._clock, self._namespace, self._name = api, clock, namespace, name
        self._timing = timing or Timing()
        self._renewed: float | None = None
        self._ours: Object | None = None
        """The Lease as we wrote it last: a renewal is one request, until somebody else's write makes it a conflict."""
        self._seen: tuple[object, float] | None = None
        """What somebody else's Lease said last, and since when: a clock of our own, as theirs may differ."""
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def held(self) -> bool:
        """Whether this process may write now. True only within `deadline` of a renewal, by the monotonic clock."""
        renewed = self._renewed
        return renewed is not None and self._clock.monotonic() - renewed < self._timing.deadline

    def acquire(self, stopping: threading.Event) -> bool:
        """Wait until the Lease is ours, and keep it from then on; False if `stopping` came first."""
        while not stopping.is_set():
            if self._try():
                self._stopping = threading.Event()
                self._thread = threading.Thread(target=self._keep, args=(self._stopping,), name="lease", daemon=True)
                self._thread.start()
                return True
            stopping.wait(self._timing.every)
        return False

    def release(self) -> None:
        """Give it back if it is still ours, so that the next one need not wait for its end."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
        if not self.held():
            self._renewed = None
            return
        self._renewed = None
        try:
            found = self._api.get(self._path())
            if found["spec"].get("holderIdentity") == self.identity:
                # One second, as client-go does it: an empty holder means that nobody has to wait at all.
                self._api.replace(self._path(), found | {"spec": {**found["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}})
        except ClusterError as error:
            log.warning("lease.not_released", reason=error.reason)

    def _keep(self, stopping: threading.Event) -> None:
        while not stopping.wait(self._timing.every):
            # Once the deadline has passed it is lost, even if nobody else took it: the term must begin anew.
            if not self.held() or (not self._try() and self._seen is not None) or not self.held():
                self._renewed = None
                log.warning("lease.lost", identity=self.identity)
                return

    def _try(self) -> bool:
        """One attempt to take or renew it."""
        began = self._clock.monotonic()
        try:
            ours = self._attempt()
        except ObjectConflict:
            self._ours = None
            return False
        except ClusterError as error:
            self._ours = None
            log.warning("lease.unreachable", reason=error.reason, message=str(error))
            return False
        if ours:
            # From before the request: the others count from when the API server took it, which is later.
            self._renewed = began
            self._seen = None
        return ours

    def _attempt(self) -> bool:
        try:
            found = self._ours if self._ours is not None and self._renewed is not None else self._api.get(self._path())
        except ObjectGone:
            self._ours = self._api.create(path_of("coordination.k8s.io/v1", "leases", self._namespace), self._object({}, {}))
            return True
        spec = found.get("spec") or {}
        holder = spec.get("holderIdentity") or ""
        if holder not in {"", self.identity} and not self._ended(spec):
            return False
        self._ours = self._api.replace(self._path(), self._object(found["metadata"], spec))
        return True

    def _ended(self, spec: Object) -> bool:
        """Whether somebody else's Lease was left unchanged for as long as it says it lasts."""
        now = self._clock.monotonic()
        said = (spec.get("holderIdentity"), spec.get("renewTime"))
        if self._seen is None or self._seen[0] != said:
            self._seen = (said, now)
        return now - self._seen[1] >= float(spec.get("leaseDurationSeconds") or self._timing.duration)

    def _object(self, metadata: Object, before: Object) -> Object:
        now = datetime.fromtimestamp(self._clock.now(), UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        kept = before.get("holderIdentity") == self.identity
        spec: dict[str, Any] = {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": int(self._timing.duration),
            "renewTime": now,
            "acquireTime": before.get("acquireTime", now) if kept else now,
            "leaseTransitions": int(before.get("leaseTransitions") or 0) + (0 if kept or not before else 1),
        }
        # With the version that was read: of two who take it at once, one gets a conflict.
        return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {**metadata, "name": self._name}, "spec": spec}

    def _path(self) -> str:
        return path_of("coordination.k8s.io/v1", "leases", self._namespace, self._name)
