"""Declarations of the cluster: what the API server has becomes what the catalog has, object by object, level by level.

Events only say that an object should be looked at; each is offered with what it said, and a full list offers them all
again, so that a lost or repeated event is harmless. Deleting takes no look's lock: one transaction, and it is dead.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Collection
from typing import Any

import structlog

from trueup.catalog import declaring, placing
from trueup.catalog.store import URGENT, Write
from trueup.cluster.api import Api, Object, path_of
from trueup.errors import CatalogError, Invalid, LeaseLost
from trueup.model.resources import ContextSource, DeletionPolicy, parse_stored
from trueup.operator.indexes import Indexes
from trueup.operator.shelf import GROUP, INDEXES, SOURCES, Shelf, guarded, leaving
from trueup.reconcile.controller import Controller

log = structlog.get_logger(__name__)

_RETRY = 1.0
"""Seconds until what the catalog refused is tried again."""
_REMEMBERED = 10_000
"""Deleted uids that are remembered, so that an event from before the deletion revives nothing."""


class Declarations:
    """Takes objects as events and lists bring them."""

    def __init__(
        self, controller: Controller, api: Api, shelf: Shelf, indexes: Indexes, refused: Callable[[Object, str], None], namespaces: Collection[str]
    ) -> None:
        """`refused(object, why)` is told of one that cannot be read; `namespaces`: those served, all if none."""
        self._controller, self._store = controller, controller.plant.store
        self._api, self._shelf, self._indexes, self._refused = api, shelf, indexes, refused
        self._namespaces = tuple(namespaces)
        self._condition = threading.Condition()
        self._offered: OrderedDict[str, tuple[Object, bool]] = OrderedDict()
        self._stopped = False
        self._changing = threading.Lock()
        """Held while one object becomes a declaration, so that a deletion comes before or after it, never between."""
        self._deleted: OrderedDict[str, None] = OrderedDict()
        self._known: dict[str, tuple[Any, ...]] = {}
        """What of each object was last declared: an event that changes nothing of it costs nothing."""
        self._thread = threading.Thread(target=self._run, name="declarations", daemon=True)

    # --- taking -------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to take what is offered."""
        self._thread.start()

    def stop(self) -> None:
        """Take nothing more."""
        with self._condition:
            self._stopped = True
            self._condition.notify_all()
        self._thread.join()

    @property
    def alive(self) -> bool:
        """Whether its thread still runs."""
        return self._thread.is_alive()

    @property
    def waiting(self) -> int:
        """How many objects are offered and not taken yet."""
        return len(self._offered)

    def offer(self, found: Object, *, gone: bool = False) -> None:
        """An object as an event or a list has it; returns at once. What carries no finalizer of ours yet comes again."""
        with self._condition:
            uid = found["metadata"]["uid"]
            self._offered[uid] = (found, gone)
            self._offered.move_to_end(uid)
            self._condition.notify_all()

    def _run(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._stopped or self._offered)
                if self._stopped:
                    return
                uid, (found, gone) = self._offered.popitem(last=False)
            try:
                (self.gone if gone else self.take)(found)
            except LeaseLost:
                return
            except CatalogError:
                log.exception("declaration.catalog_failed", uid=uid)
                with self._condition:
                    self._offered.setdefault(uid, (found, gone))
                    self._condition.wait_for(lambda: self._stopped, timeout=_RETRY)

    def take(self, found: Object) -> None:
        """Make `found` what is declared, where it is new.

        Raises:
            CatalogError: the catalog did not take it.
        """
        if found["kind"] == "ContextIndex":
            self._take_index(found)
            return
        with self._changing:
            uid = found["metadata"]["uid"]
            if leaving(found) or not guarded(found) or uid in self._deleted or not self._shelf.put(found):
                return
            orders = _orders(found)
            if self._known.get(uid) == orders:
                return
            try:
                resource = parse_stored(found | {"status": {}})
            except Invalid as error:
                self._known[uid] = orders
                self._refuse(found, str(error))
                return
            if isinstance(resource, ContextSource):
                source, view = self._store.write(lambda tx: self._controller.declare(tx, resource, "controller"), URGENT)
                self._controller.adopt(source, view)
                self._known[uid] = orders

    def _take_index(self, found: Object) -> None:
        if not leaving(found) and self._shelf.put(found) and self._indexes.take(found):
            self._redeclare(found["metadata"]["namespace"])

    def _refuse(self, found: Object, why: str) -> None:
        """Stop looking at it: nobody knows any more who may read it, so its lease must run out."""
        with self._store.read() as snapshot:
            source = declaring.find_uid(snapshot, found["metadata"]["uid"])
        if source is not None:
            self._controller.forget(source)
        self._refused(found, why)

    def _redeclare(self, namespace: str) -> None:
        """The indexes of a namespace changed: its sources may load into another one now."""
        with self._changing:
            for origin in self._controller.origins():
                resource = origin.view.resource
                if resource.metadata.namespace == namespace and resource.metadata.uid not in self._deleted:
                    source, view = self._store.write(lambda tx, r=resource: self._controller.declare(tx, r, "controller"), URGENT)  # type: ignore[misc]
                    self._controller.adopt(source, view)
        self._controller.builder.wake()

    # --- going --------------------------------------------------------------------------------------------------------

    def gone(self, found: Object) -> None:
        """The object is no more. A source of which nobody told us in time (a finalizer stripped by hand) is dead now, too.

        Raises:
            CatalogError: the catalog did not take it.
        """
        meta = found["metadata"]
        self._shelf.drop(meta["uid"])
        if found["kind"] == "ContextSource":
            self.delete(meta["uid"], retain=_retains(found))
        elif self._indexes.drop(f"{meta['namespace']}/{meta['name']}"):
            self._redeclare(meta["namespace"])

    def delete(self, uid: str, *, retain: bool) -> None:
        """Everything of a source is dead at the gate when this returns. Idempotent; waits for no look.

        Raises:
            CatalogError: the catalog did not take it; nothing is dead, so the object must stay.
        """

        def unit(tx: Write) -> int | None:
            source = declaring.find_uid(tx, uid)
            if source is not None:
                self._controller.abandon(tx, source, retain=retain, principal="controller")
            return source

        with self._condition:
            self._offered.pop(uid, None)
        with self._changing:
            source = self._store.write(unit, URGENT)
            self._deleted[uid] = None
            self._known.pop(uid, None)
            while len(self._deleted) > _REMEMBERED:
                self._deleted.popitem(last=False)
        if source is not None:
            self._controller.forget(source)

    # --- the full list ------------------------------------------------------------------------------------------------

    def relist(self, take: Callable[[Object], None]) -> None:
        """Give every object to `take`, and bury what the catalog still serves without one.

        Raises:
            ClusterError: the list could not be had; nothing was concluded.
            CatalogError: the catalog could not be read or written.
        """
        # The catalog first: what is declared while the list is on its way is not missed in it.
        with self._store.read() as snapshot:
            served = placing.live_sources(snapshot)
        indexes, sources = self._list(INDEXES), self._list(SOURCES)
        there = {found["metadata"]["uid"] for found in sources}
        for _, namespace, name, uid in served:
            if uid not in there and (not self._namespaces or namespace in self._namespaces):
                log.warning("source.orphaned", namespace=namespace, name=name)
                self.delete(uid, retain=False)
        held = {found["metadata"]["uid"] for found in indexes}
        for found in self._shelf.of("ContextIndex"):
            if found["metadata"]["uid"] not in held:
                self.gone(found)
        for found in (*indexes, *sources):
            take(found)

    def _list(self, plural: str) -> list[Object]:
        if not self._namespaces:
            return self._api.items(path_of(GROUP, plural))
        return [found for namespace in self._namespaces for found in self._api.items(path_of(GROUP, plural, namespace))]


def _orders(found: Object) -> tuple[Any, ...]:
    """What of an object can mean anything to the controller: its spec (by generation) and its annotations."""
    meta = found["metadata"]
    return (meta["generation"], meta.get("annotations") or {})


def _retains(found: Object) -> bool:
    deletion = (found.get("spec") or {}).get("deletion") or {}
    return deletion.get("policy") == DeletionPolicy.RETAIN.value
