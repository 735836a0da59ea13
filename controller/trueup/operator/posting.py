"""Events of the catalog, posted on the resource: each once, also across restarts, since its name is made of its number."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime

import structlog

from trueup.catalog import posting
from trueup.catalog.posting import Told
from trueup.catalog.store import BULK, Store
from trueup.cluster.api import Api, Object, path_of
from trueup.errors import CatalogError, ClusterError, ClusterForbidden, ObjectConflict, ObjectGone
from trueup.model.resources import API_VERSION

log = structlog.get_logger(__name__)

_EVERY = 1.0
"""Seconds between looks for new ones: one statement that reads an index."""
_COMPONENT = "trueup-operator"


class Posting:
    """Follows the table `event`."""

    def __init__(self, api: Api, store: Store, held: Callable[[], bool], instance: str) -> None:
        """`store` is the fenced one; `instance` is this process, as the events name it."""
        self._api, self._store, self._held, self._instance = api, store, held, instance
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)

    @property
    def alive(self) -> bool:
        """Whether its thread still runs."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Post what there is and stop."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(_EVERY):
            self._turn()
        self._turn()

    def _turn(self) -> None:
        try:
            while self._held() and self.post():
                pass
        except (ClusterError, CatalogError) as error:
            log.warning("events.postponed", reason=error.reason, message=str(error))

    def post(self) -> int:
        """Post a batch; returns how many.

        Raises:
            ClusterError: the API server could not be reached; what was posted is noted, the rest comes again.
            CatalogError: the catalog could not be read or written.
        """
        with self._store.read() as snapshot:
            told = posting.unposted(snapshot, posting.mark(snapshot))
        done = 0
        try:
            for one in told:
                self._post(one)
                done = one.id
        finally:
            if done:
                self._store.write(lambda tx: posting.set_mark(tx, done), BULK)
        return len(told)

    def _post(self, one: Told) -> None:
        try:
            self._api.create(path_of("v1", "events", one.namespace), self._event(one))
        except (ObjectConflict, ObjectGone, ClusterForbidden) as error:
            # Posted by a predecessor; or its namespace is going or gone, and nobody is left to read it there.
            log.debug("event.not_posted", number=one.id, reason=error.reason)

    def _event(self, one: Told) -> Object:
        at = datetime.fromtimestamp(one.at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{one.name[:200]}.{one.uid[:8]}.{one.id}", "namespace": one.namespace},
            "involvedObject": {"apiVersion": API_VERSION, "kind": "ContextSource", "namespace": one.namespace, "name": one.name, "uid": one.uid},
            "type": one.type,
            "reason": one.reason,
            "message": one.message,
            "firstTimestamp": at,
            "lastTimestamp": at,
            "count": 1,
            "source": {"component": _COMPONENT},
            "reportingComponent": _COMPONENT,
            "reportingInstance": self._instance,
        }
