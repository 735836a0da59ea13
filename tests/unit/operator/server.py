"""An API server of a few verbs in memory: objects by path, versions, conflicts, and faults when told to."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Mapping
from typing import Any

from trueup.cluster.api import Api, Object
from trueup.errors import ClusterError, ObjectConflict, ObjectGone


class Clock:
    """Time that is told."""

    def __init__(self) -> None:
        self.wall, self.mono = 1_795_271_409.0, 1000.0

    def now(self) -> float:
        return self.wall

    def monotonic(self) -> float:
        return self.mono

    def pass_(self, seconds: float) -> None:
        self.wall += seconds
        self.mono += seconds


class Server(Api):
    """Implements what our parts ask of `Api`. `answers` says what a review at a path is answered."""

    def __init__(self) -> None:
        self.objects: dict[str, Object] = {}
        self.calls: list[tuple[str, str]] = []
        self.answers: dict[str, Callable[[Object], Object]] = {}
        self.fault: ClusterError | None = None
        self.before: Callable[[str, str], None] = lambda verb, path: None
        self._versions = itertools.count(1)

    def put(self, path: str, found: Object) -> Object:
        """An object as it is, with the next version."""
        held = copy.deepcopy(found)
        held.setdefault("metadata", {})["resourceVersion"] = str(next(self._versions))
        self.objects[path] = held
        return copy.deepcopy(held)

    def get(self, path: str, query: Mapping[str, str] | None = None) -> Object:
        self._begin("get", path)
        return copy.deepcopy(self._there(path))

    def items(self, path: str) -> list[Object]:
        self._begin("list", path)
        return [copy.deepcopy(found) for place, found in self.objects.items() if place.rpartition("/")[0].endswith(path.rpartition("/")[2])]

    def create(self, path: str, body: Object) -> Object:
        self._begin("create", path)
        if path in self.answers:
            return body | {"status": self.answers[path](body)}
        place = f"{path}/{body['metadata']['name']}"
        if place in self.objects:
            raise ObjectConflict
        return self.put(place, body)

    def replace(self, path: str, body: Object) -> Object:
        self._begin("replace", path)
        self._same(path, body)
        return self.put(path, body)

    def patch(self, path: str, body: Object) -> Object:
        self._begin("patch", path)
        path = path.removesuffix("/status")
        held = self._same(path, body)
        return self.put(path, held | {"status": _merge(held.get("status") or {}, body["status"])})

    def _begin(self, verb: str, path: str) -> None:
        self.before(verb, path)
        self.calls.append((verb, path))
        if self.fault is not None:
            raise self.fault

    def _there(self, path: str) -> Object:
        if path not in self.objects:
            raise ObjectGone
        return self.objects[path]

    def _same(self, path: str, body: Object) -> Object:
        held, wanted = self._there(path), body["metadata"].get("resourceVersion")
        if wanted is not None and wanted != held["metadata"]["resourceVersion"]:
            raise ObjectConflict
        return copy.deepcopy(held)


def _merge(before: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in {**before, **change}.items() if value is not None}
