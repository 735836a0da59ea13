"""Declarations of the embedded profile: resources in the catalog, accepted and withdrawn in one transaction with what they mean."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from trueup.catalog import declaring, generations, placing, resources
from trueup.catalog.generations import BUILTIN, Planned
from trueup.catalog.store import BULK, URGENT, Read, Store, Write
from trueup.decide.index_conditions import summarize_index
from trueup.errors import CatalogError, Invalid, NotFound
from trueup.model.listing import Presence
from trueup.model.resources import ContextIndex, ContextSource, parse_manifest, parse_stored
from trueup.reconcile.controller import Controller, retains
from trueup.reconcile.origin import Origin

log = structlog.get_logger(__name__)

SOURCE, INDEX = "ContextSource", "ContextIndex"


class EmbeddedStatuses:
    """Statuses in the table `resource`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def read(self, origin: Origin) -> dict[str, Any] | None:
        """The status as it was written last; None if the resource is gone."""
        meta = origin.view.resource.metadata
        try:
            with self._store.read() as snapshot:
                found = resources.get(snapshot, SOURCE, meta.namespace, meta.name)
        except NotFound:
            return None
        return dict(found["status"]) if found["metadata"]["uid"] == meta.uid else None

    def write(self, origin: Origin, status: dict[str, Any]) -> None:
        """Replace it, unless the resource was deleted meanwhile."""
        meta = origin.view.resource.metadata
        try:
            self._store.write(lambda tx: resources.set_status(tx, SOURCE, meta.namespace, meta.name, status, uid=meta.uid), BULK)
        except NotFound:
            log.debug("status.gone", source=origin.key)


class Embedded:
    """The controller as the gate's surfaces see it in the embedded profile."""

    def __init__(self, controller: Controller, plan: Callable[[Mapping[str, Any]], Planned]) -> None:
        """`plan` makes of an index's embedding (provider, model, dimensions, mode) the generation that it takes."""
        self._controller = controller
        self._store = controller.plant.store
        self._plan = plan
        controller.switched = self._report_indexes

    def start(self) -> None:
        """Take up what is declared, and bury what the catalog still serves without a resource."""
        self._controller.doubt()
        with self._store.read() as snapshot:
            indexes = [parse_stored(o) for o in resources.list_(snapshot, INDEX)]
            sources = [parse_stored(o) for o in resources.list_(snapshot, SOURCE)]
            live = placing.live_sources(snapshot)
        self._controller.plan(BUILTIN, self._plan({"provider": "Local", "model": None, "dimensions": None, "mode": "Hybrid"}))
        for index in indexes:
            if isinstance(index, ContextIndex):
                self._plan_index(index)
        declared = {source.metadata.uid for source in sources}
        for id_, _, _, uid in live:
            if uid not in declared:
                self._store.write(lambda tx, i=id_: self._controller.abandon(tx, i, retain=False, principal="controller"), URGENT)  # type: ignore[misc]
        self._declare([source for source in sources if isinstance(source, ContextSource)])
        self._controller.start()

    def stop(self) -> None:
        """Drain."""
        self._controller.stop()

    def accept(self, kind: str, namespace: str, name: str, manifest: dict[str, object], principal: str) -> dict[str, object]:
        """Create or replace a resource from its manifest; returns it as stored. What it narrows holds when this returns.

        Raises:
            Invalid: it is refused; the message names the path of the field and what to do.
            Conflict: `metadata.resourceVersion` was given and is not the present one.
        """
        resource = parse_manifest(manifest)
        if (resource.kind, resource.metadata.namespace, resource.metadata.name) != (kind, namespace, name):
            raise Invalid(f"The {kind} is not valid: kind, metadata.namespace and metadata.name must be those of the address it is sent to.")
        if isinstance(resource, ContextIndex):
            return self._accept_index(resource)

        def unit(tx: Write) -> tuple[dict[str, Any], int, Any]:
            stored = resources.put(tx, resource)
            parsed = parse_stored(stored)
            if not isinstance(parsed, ContextSource):
                raise CatalogError("The catalog gave another kind of object than was stored.")
            source, view = self._controller.declare(tx, parsed, principal)
            return stored, source, view

        stored, source, view = self._store.write(unit, URGENT)
        self._controller.adopt(source, view)
        return stored

    def withdraw(self, kind: str, namespace: str, name: str, principal: str) -> None:
        """Delete a resource: when this returns, everything of it is dead at the gate.

        Raises:
            NotFound: there is none.
        """
        if kind == INDEX:
            self._store.write(lambda tx: resources.delete(tx, INDEX, namespace, name), URGENT)
            self._controller.indexes = self._controller.indexes - {f"{namespace}/{name}"}
            self._redeclare(namespace)
            return

        def unit(tx: Write) -> int | None:
            gone = parse_stored(resources.delete(tx, SOURCE, namespace, name))
            source = declaring.find(tx, namespace, name)
            if source is not None and isinstance(gone, ContextSource):
                self._controller.abandon(tx, source, retain=retains(gone), principal=principal)
            return source

        source = self._store.write(unit, URGENT)
        if source is not None:
            self._controller.forget(source)

    def hint(self, namespace: str, name: str) -> None:
        """Make a source due now; does nothing for one that is not there or is suspended."""
        self._controller.hint(namespace, name)

    def check(self, source: int, uri: str, version: str, deadline: float) -> Presence | None:
        """Ask a source whether `uri` is still there at `version`; None if it did not answer within `deadline` seconds."""
        return self._controller.check(source, uri, version, deadline)

    def sweep(self) -> None:
        """Compare catalog and index both ways soon, and repair the index."""
        self._controller.sweeper.ask()

    def rebuild(self) -> None:
        """Make every index anew from the catalog; the present ones answer until the new ones are whole."""
        self._store.write(generations.again, URGENT)
        self._controller.builder.wake()

    def _accept_index(self, resource: ContextIndex) -> dict[str, Any]:
        # Planned first: an index whose model is not installed is refused, not stored and then broken.
        self._embedding(resource)
        stored = self._store.write(lambda tx: resources.put(tx, resource), URGENT)
        self._plan_index(resource)
        self._redeclare(resource.metadata.namespace)
        return stored

    def _embedding(self, resource: ContextIndex) -> Planned:
        spec = resource.spec
        return self._plan(
            {"provider": spec.embedding.provider.value, "model": spec.embedding.model, "dimensions": spec.embedding.dimensions, "mode": spec.mode.value}
        )

    def _plan_index(self, resource: ContextIndex) -> None:
        key = f"{resource.metadata.namespace}/{resource.metadata.name}"
        self._controller.plan(key, self._embedding(resource))
        self._controller.indexes = self._controller.indexes | {key}
        self._report_indexes()

    def _report_indexes(self) -> None:
        """Write what each ContextIndex is at, where it changed."""
        with self._store.read() as snapshot:
            found = [(o, _index_status(snapshot, o, self._controller.plant.clock.now())) for o in resources.list_(snapshot, INDEX)]
        for stored, status in found:
            meta = stored["metadata"]
            if status != stored["status"]:
                self._store.write(_set_status(meta["namespace"], meta["name"], meta["uid"], status), BULK)

    def _redeclare(self, namespace: str) -> None:
        """The indexes of a namespace changed: its sources may load into another one now."""
        with self._store.read() as snapshot:
            sources = [parse_stored(o) for o in resources.list_(snapshot, SOURCE, namespace)]
        self._declare([source for source in sources if isinstance(source, ContextSource)])
        self._controller.builder.wake()

    def _declare(self, sources: list[ContextSource]) -> None:
        for resource in sources:
            source, view = self._store.write(lambda tx, r=resource: self._controller.declare(tx, r, "controller"), URGENT)  # type: ignore[misc]
            self._controller.adopt(source, view)


def _set_status(namespace: str, name: str, uid: str, status: dict[str, Any]) -> Callable[[Write], None]:
    def unit(tx: Write) -> None:
        with contextlib.suppress(NotFound):  # deleted meanwhile: nobody is left to tell
            resources.set_status(tx, INDEX, namespace, name, status, uid=uid)

    return unit


def _index_status(read: Read, stored: Mapping[str, Any], now: float) -> dict[str, Any]:
    meta = stored["metadata"]
    key = f"{meta['namespace']}/{meta['name']}"
    active = generations.active(read, key)
    serving = next((a.spec for a in active if a.serving), None)
    building = next((a.spec for a in active if not a.serving), None)
    return summarize_index(
        generation=meta["generation"],
        serving=serving.fingerprint if serving else None,
        building=building.fingerprint if building else None,
        dimensions=serving.dimensions if serving else 0,
        chunks=generations.chunks_in(read, key),
        failure=None if serving else "No generation of this index could be planned; see the log.",
        before=stored["status"],
        now=now,
    )
