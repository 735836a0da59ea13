"""One term of leadership: from the takeover to the loss of the Lease or the end of the process, everything that works in it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from trueup.catalog.fencing import FencedStore, begin_term
from trueup.catalog.generations import Planned
from trueup.catalog.store import URGENT, Store
from trueup.cluster.api import Api, Object
from trueup.errors import CatalogError, ClusterError, LeaseLost
from trueup.model.times import rfc3339
from trueup.operator.declarations import Declarations
from trueup.operator.indexes import Indexes
from trueup.operator.posting import Posting
from trueup.operator.shelf import Shelf
from trueup.operator.statuses import SourceStatuses, Statuses
from trueup.operator.watching import Watching
from trueup.reconcile.answer import Answerer
from trueup.reconcile.controller import Controller
from trueup.reconcile.origin import Plant

log = structlog.get_logger(__name__)

RELIST = 300.0
"""Seconds between full lists: what makes lost events, dead watches and stripped finalizers harmless. One request for
every 500 sources.
"""


@dataclass(frozen=True, slots=True)
class Setting:
    """What a term is made of.

    Attributes:
        api: the connection to the API server.
        store: the catalog, unfenced.
        plant: makes the controller's plant over a catalog: the index is opened and owned by it.
        plan: makes of an index's embedding the generation that it takes.
        namespaces: those served, all if none.
        instance: this process, as Lease and events name it.
    """

    api: Api
    store: Store
    plant: Callable[[Store], Plant]
    plan: Callable[[Mapping[str, Any]], Planned]
    namespaces: tuple[str, ...]
    instance: str


class Term:
    """Everything that works while this process leads."""

    def __init__(self, setting: Setting, held: Callable[[], bool]) -> None:
        """Take over.

        Raises:
            CatalogError: the catalog did not take it.
        """
        term = setting.store.write(lambda tx: begin_term(tx, setting.instance), URGENT)
        self._store = FencedStore(setting.store, term, held)
        self._clock = setting.store.clock
        self._shelf = Shelf()
        self._statuses = Statuses(setting.api, self._shelf, held)
        self.controller = Controller(setting.plant(self._store), SourceStatuses(self._statuses, self._shelf))
        indexes = Indexes(self.controller, self._shelf, self._statuses, setting.plan)
        self._indexes = indexes
        self.declarations = Declarations(self.controller, setting.api, self._shelf, indexes, self._refused, setting.namespaces)
        self._answerer = Answerer(self._store, self.controller.check, self.controller.hint)
        self._posting = Posting(setting.api, self._store, held, setting.instance)
        self._watching = Watching(self.declarations, setting.api.credentials, setting.namespaces)
        self._stopping = threading.Event()
        self._relisting = threading.Thread(target=self._relist, name="relist", daemon=True)

    @property
    def sound(self) -> bool:
        """Whether everything still runs; if not, the term must end and a new one begin."""
        return self._watching.alive and self.declarations.alive and self._posting.alive and self._relisting.is_alive()

    @property
    def written(self) -> int:
        """Status patches sent in this term."""
        return self._statuses.written

    def start(self) -> None:
        """Take up what is declared, bury what is not, then work.

        Raises:
            ClusterError: the cluster's objects could not be listed.
            CatalogError: the catalog could not be read or written.
        """
        self._indexes.builtin()
        # Before the controller runs: a restart must not look at what was deleted or narrowed while nobody watched.
        self.declarations.relist(self.declarations.take)
        self.controller.start()
        self.declarations.start()
        self._answerer.start()
        self._posting.start()
        self._watching.start()
        self._relisting.start()

    def stop(self) -> None:
        """Drain, in the order in which work comes in."""
        self._stopping.set()
        if self._watching.started:
            self._watching.stop()
            self._relisting.join()
            self.declarations.stop()
            self._answerer.stop()
            self.controller.stop()
            self._posting.stop()

    def _relist(self) -> None:
        while not self._stopping.wait(RELIST):
            try:
                self.declarations.relist(self.declarations.offer)
            except (ClusterError, CatalogError) as error:
                log.warning("relist.failed", reason=error.reason, message=str(error))

    def _refused(self, found: Object, why: str) -> None:
        """Say on the object that it cannot be read as declared."""
        meta, before = found["metadata"], dict(found.get("status") or {})
        now = rfc3339(self._clock.now())
        conditions = [
            {
                "type": type_,
                "status": status,
                "observedGeneration": meta["generation"],
                "lastTransitionTime": now,
                "reason": "Misconfigured",
                "message": why[:1024],
            }
            for type_, status in (("Ready", "False"), ("Fresh", "False"), ("Stalled", "True"))
        ]
        known = {c["type"]: c for c in before.get("conditions") or ()}
        if (known.get("Stalled") or {}).get("message") == why[:1024]:
            return
        try:
            self._statuses.write(meta["uid"], before, {**before, "observedGeneration": meta["generation"], "conditions": conditions})
        except LeaseLost:
            return
        except CatalogError as error:
            log.warning("status.unwritten", uid=meta["uid"], message=str(error))
