"""The one writer of status: one patch of the subresource, only where something changed, and never over a newer one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog

from trueup.cluster.api import Api, Object, path_of
from trueup.errors import CatalogError, ClusterError, LeaseLost, ObjectConflict, ObjectGone
from trueup.operator.shelf import GROUP, PLURALS, Shelf, merged
from trueup.reconcile.origin import Origin

log = structlog.get_logger(__name__)

_TRIES = 5


class StatusUnwritten(CatalogError):
    """The status of {name} could not be written: {why}."""

    reason = "ClusterUnavailable"


class Statuses:
    """Writes the status of any of our objects."""

    def __init__(self, api: Api, shelf: Shelf, held: Callable[[], bool]) -> None:
        """`held()` tells whether the Lease is held: without it nothing is written."""
        self._api, self._shelf, self._held = api, shelf, held
        self.written = 0
        """Patches since the process began, for the metrics."""

    def write(self, uid: str, before: dict[str, Any], status: dict[str, Any]) -> None:
        """Make `status` of `before`, unless the object is gone or its status is another one by now.

        Raises:
            LeaseLost: somebody else writes now.
            StatusUnwritten: the API server did not take it; try again later.
        """
        name = uid
        for _ in range(_TRIES):
            found = self._shelf.get(uid)
            if found is None:
                return
            name = _name(found)
            if found["status"] != before:
                raise StatusUnwritten(name=name, why="another one was written meanwhile")
            if not self._held():
                raise LeaseLost
            try:
                self._shelf.put(self._patch(found, merged(before, status)))
            except ObjectConflict:
                # Somebody changed the object beside the status (an annotation, a finalizer): on the newest one again.
                self._refresh(found)
            except ObjectGone:
                self._shelf.drop(uid)
                return
            except ClusterError as error:
                raise StatusUnwritten(name=name, why=error.reason) from error
            else:
                return
        raise StatusUnwritten(name=name, why="it is being changed all the time")

    def _patch(self, found: Object, change: dict[str, Any]) -> Object:
        body = {"metadata": {"resourceVersion": found["metadata"]["resourceVersion"]}, "status": change}
        self.written += 1
        return self._api.patch(_path(found, "status"), body)

    def _refresh(self, found: Object) -> None:
        try:
            newest = self._api.get(_path(found))
        except ObjectGone:
            newest = None
        except ClusterError as error:
            raise StatusUnwritten(name=_name(found), why=error.reason) from error
        if newest is None or newest["metadata"]["uid"] != found["metadata"]["uid"]:
            self._shelf.drop(found["metadata"]["uid"])
        else:
            self._shelf.put(newest)


class SourceStatuses:
    """Statuses of ContextSources, as the reporter reads and writes them."""

    def __init__(self, statuses: Statuses, shelf: Shelf) -> None:
        self._statuses, self._shelf = statuses, shelf

    def read(self, origin: Origin) -> dict[str, Any] | None:
        """The status as the API server has it; None if the resource is gone."""
        found = self._shelf.get(origin.view.resource.metadata.uid or "")
        return None if found is None else dict(found["status"])

    def write(self, origin: Origin, status: dict[str, Any]) -> None:
        """Replace it."""
        uid = origin.view.resource.metadata.uid or ""
        found = self._shelf.get(uid)
        if found is not None:
            self._statuses.write(uid, found["status"], status)


def _path(found: Object, subresource: str = "") -> str:
    meta = found["metadata"]
    return path_of(GROUP, PLURALS[found["kind"]], meta["namespace"], meta["name"], subresource)


def _name(found: Object) -> str:
    return f"{found['metadata']['namespace']}/{found['metadata']['name']}"
