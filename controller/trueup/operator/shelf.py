"""What the API server last said of each of our objects, so that a quiet pass asks it nothing."""

from __future__ import annotations

import threading
from typing import Any

from trueup.cluster.api import Object
from trueup.model.resources import FINALIZER

GROUP = "trueup.dev/v1alpha1"
SOURCES, INDEXES = "contextsources", "contextindexes"
PLURALS = {"ContextSource": SOURCES, "ContextIndex": INDEXES}


class Shelf:
    """Objects by uid, only ever replaced by newer ones. Of each only what is needed again is kept: identity, version and status."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._objects: dict[str, Object] = {}

    def put(self, found: Object) -> bool:
        """Keep `found` unless something newer is here; returns whether it was kept."""
        meta = found["metadata"]
        kept = {
            "kind": found["kind"],
            "metadata": {name: meta[name] for name in ("namespace", "name", "uid", "resourceVersion", "generation")},
            "status": found.get("status") or {},
        }
        with self._lock:
            before = self._objects.get(meta["uid"])
            if before is not None and _version(before) > _version(found):
                return False
            self._objects[meta["uid"]] = kept
            return True

    def get(self, uid: str) -> Object | None:
        """The object of that uid; None once it is gone."""
        with self._lock:
            return self._objects.get(uid)

    def drop(self, uid: str) -> None:
        """It is gone."""
        with self._lock:
            self._objects.pop(uid, None)

    def of(self, kind: str) -> list[Object]:
        """Every object of a kind."""
        with self._lock:
            return [found for found in self._objects.values() if found["kind"] == kind]


def _version(found: Object) -> int:
    """Versions of one resource type compare as integers (KEP-5504)."""
    return int(found["metadata"]["resourceVersion"])


def guarded(found: Object) -> bool:
    """Whether the object carries our finalizer, so that it cannot go without us."""
    return FINALIZER in (found["metadata"].get("finalizers") or ())


def leaving(found: Object) -> bool:
    """Whether the object is being deleted."""
    return found["metadata"].get("deletionTimestamp") is not None


def merged(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """The merge patch that makes `after` of `before`, member by member: what is gone is null (RFC 7386)."""
    changed = {key: value for key, value in after.items() if before.get(key) != value}
    return {**changed, **dict.fromkeys(before.keys() - after.keys())}
