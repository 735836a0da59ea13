"""ContextIndexes: which there are, what generation each takes, and what their status says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import structlog

from trueup.catalog import generations
from trueup.catalog.generations import BUILTIN, Planned
from trueup.cluster.api import Object
from trueup.decide.index_conditions import summarize_index
from trueup.errors import CatalogError, Invalid, LeaseLost, TrueupError
from trueup.model.resources import ContextIndex, parse_stored
from trueup.operator.shelf import Shelf
from trueup.operator.statuses import Statuses
from trueup.reconcile.controller import Controller

log = structlog.get_logger(__name__)


class Indexes:
    """The indexes of the cluster, as the controller knows them."""

    def __init__(self, controller: Controller, shelf: Shelf, statuses: Statuses, plan: Callable[[Mapping[str, Any]], Planned]) -> None:
        """`plan` makes of an index's embedding the generation that it takes."""
        self._controller, self._shelf, self._statuses, self._plan = controller, shelf, statuses, plan
        self._taken: dict[str, int] = {}
        self._failures: dict[str, str] = {}
        controller.switched = self.report

    def builtin(self) -> None:
        """Plan the installation's own index, for sources that name none."""
        self._controller.plan(BUILTIN, self._plan({"provider": "Local", "model": None, "dimensions": None, "mode": "Hybrid"}))

    def take(self, found: Object) -> bool:
        """Plan an index as declared; returns whether the set of indexes changed.

        Raises:
            CatalogError: the catalog did not take it.
        """
        meta = found["metadata"]
        key = f"{meta['namespace']}/{meta['name']}"
        if self._taken.get(meta["uid"]) == meta["generation"]:
            return False
        try:
            resource = parse_stored(found | {"status": {}})
            if isinstance(resource, ContextIndex):
                self._controller.plan(key, self._planned(resource))
            self._failures.pop(key, None)
        except CatalogError:
            raise
        except (Invalid, TrueupError) as error:
            # A model that is not installed, say: what serves it stays what it was, and the next full list tries again.
            self._failures[key] = str(error)
        else:
            self._taken[meta["uid"]] = meta["generation"]
        new = key not in self._controller.indexes and key not in self._failures
        if new:
            self._controller.indexes = self._controller.indexes | {key}
        self.report()
        return new

    def drop(self, key: str) -> bool:
        """The index `namespace/name` is no more; returns whether it was one."""
        there = key in self._controller.indexes
        self._controller.indexes = self._controller.indexes - {key}
        self._failures.pop(key, None)
        return there

    def report(self) -> None:
        """Write what each ContextIndex is at, where it changed."""
        for found in self._shelf.of("ContextIndex"):
            try:
                status = self._status(found)
                if status != found["status"]:
                    self._statuses.write(found["metadata"]["uid"], found["status"], status)
            except LeaseLost:
                return
            except CatalogError as error:
                log.warning("index.status_unwritten", uid=found["metadata"]["uid"], reason=error.reason, message=str(error))

    def _planned(self, resource: ContextIndex) -> Planned:
        spec = resource.spec
        embedding = spec.embedding
        return self._plan({"provider": embedding.provider.value, "model": embedding.model, "dimensions": embedding.dimensions, "mode": spec.mode.value})

    def _status(self, found: Object) -> dict[str, Any]:
        meta = found["metadata"]
        key = f"{meta['namespace']}/{meta['name']}"
        with self._controller.plant.store.read() as snapshot:
            active = generations.active(snapshot, key)
            chunks = generations.chunks_in(snapshot, key)
        serving = next((a.spec for a in active if a.serving), None)
        building = next((a.spec for a in active if not a.serving), None)
        return summarize_index(
            generation=meta["generation"],
            serving=serving.fingerprint if serving else None,
            building=building.fingerprint if building else None,
            dimensions=serving.dimensions if serving else 0,
            chunks=chunks,
            failure=self._failures.get(key) or (None if serving else "No generation of this index could be planned; see the log."),
            before=found["status"],
            now=self._controller.plant.clock.now(),
        )
