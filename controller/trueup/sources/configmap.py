"""The ConfigMap connector: each key of one ConfigMap in the source's namespace is a document.

The one connector besides the operator that speaks to the API server, over the same connection.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import threading
import time
from collections.abc import Callable, Iterator

import structlog

from trueup.cluster.api import Api, path_of
from trueup.errors import ClusterError, ClusterForbidden, ObjectGone, SourceDenied, SourceError, SourceMisconfigured, SourceUnavailable, TooLarge, VersionGone
from trueup.model.listing import Complete, Content, Hint, Item, Presence, Scope
from trueup.model.resources.contextsource import ContextSourceSpec
from trueup.ports import Selection
from trueup.sources.opening import OpenContext

log = structlog.get_logger(__name__)

_WATCH = 300
"""Seconds after which the server ends a watch; then another begins."""
_REFUSED = 600.0
"""Seconds before a watch that was refused is tried again: asking more often would only fill the audit log."""
_PAUSE = 5.0
"""Seconds before a watch that broke off is begun anew. What is missed meanwhile, the next look finds."""


def open_source(spec: ContextSourceSpec, context: OpenContext) -> ConfigMap:
    """The connector for a declared source.

    Raises:
        SourceMisconfigured: there is no cluster here.
    """
    if spec.source.config_map is None or context.cluster is None:
        raise SourceMisconfigured(why="a ConfigMap can be read in a cluster only; name a Directory, or run the operator")
    return ConfigMap(context.cluster, context.namespace, spec.source.config_map.name)


class ConfigMap:
    """The keys of a ConfigMap. A key's version is the digest of its value, so that other keys' changes are none of its own."""

    def __init__(self, api: Api, namespace: str, name: str) -> None:
        self._api, self._namespace, self._name = api, namespace, name
        self._lock = threading.Lock()
        self._known = False
        """Whether it was ever read: who may not even get it need not try to watch it."""
        self._read: dict[str, bytes] = {}
        """The values as last read: at most 1 MiB, which is what a ConfigMap holds."""

    def revision(self) -> str:
        """The object's own version: it moves with any change of it, and names no other object's state."""
        return self._get()[0]

    def observe(self, scope: Scope, selection: Selection, previous: str | None) -> Iterator[Item | Complete]:
        """The keys in `scope`, as one moment has them.

        Raises:
            SourceUnavailable: the ConfigMap is not there: an outage, as a folder that is missing is one.
        """
        del selection, previous  # the core selects, and a ConfigMap has no history
        revision, values = self._get()
        for key in sorted(values):
            if scope.covers(key):
                yield Item(key, _version(values[key]), size=len(values[key]))
        yield Complete(revision=revision)

    def read(self, uri: str, version: str, limit: int) -> Content:
        """The value of a key, if it still has this version."""
        with self._lock:
            value = self._read.get(uri)
        if value is None or _version(value) != version:
            value = self._get()[1].get(uri)
        if value is None or _version(value) != version:
            raise VersionGone
        if len(value) > limit:
            raise TooLarge(limit=limit)
        return Content(value, version)

    def check(self, uri: str, version: str) -> Presence:
        """Whether the key still has this version, asked of the API server now."""
        value = self._get()[1].get(uri)
        if value is None:
            return Presence.ABSENT
        return Presence.SAME if _version(value) == version else Presence.CHANGED

    def watch(self, hint: Callable[[Hint], None]) -> ConfigMapWatch | None:
        """Hints from a watch of this one object, once it could be read; where a watch is not allowed, polling remains."""
        if not self._known:
            try:
                # Before the first look, so that nothing falls between the two: an interval may be long.
                self._get()
            except SourceError:
                return None
        return ConfigMapWatch(self._api, self._namespace, self._name, hint)

    def close(self) -> None:
        """Forget the values."""
        with self._lock:
            self._read = {}

    def _get(self) -> tuple[str, dict[str, bytes]]:
        try:
            found = self._api.get(path_of("v1", "configmaps", self._namespace, self._name))
            values = {str(key): str(text).encode() for key, text in (found.get("data") or {}).items()}
            values |= {str(key): base64.b64decode(text, validate=True) for key, text in (found.get("binaryData") or {}).items()}
        except ObjectGone as error:
            raise SourceUnavailable(why=f"there is no ConfigMap {self._name} in its namespace") from error
        except ClusterForbidden as error:
            raise SourceDenied(
                why=f"the operator may not read the ConfigMap {self._name}; bind the ClusterRole trueup-source-reader in its namespace"
            ) from error
        except (ClusterError, binascii.Error) as error:
            raise SourceUnavailable(why=f"its ConfigMap could not be read ({type(error).__name__})") from error
        with self._lock:
            self._read, self._known = values, True
        # The uid, too: an object of the same name made anew may come by the same version again.
        return f"{found['metadata']['uid']}/{found['metadata']['resourceVersion']}", values


class ConfigMapWatch:
    """A thread that follows one ConfigMap."""

    def __init__(self, api: Api, namespace: str, name: str, hint: Callable[[Hint], None]) -> None:
        self._api, self._path, self._name, self._hint = api, path_of("v1", "configmaps", namespace), name, hint
        self._closed = threading.Event()
        self._again = float("inf")
        self._thread = threading.Thread(target=self._run, name=f"watch-{name}"[:15], daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether it still follows; False asks for another one."""
        return time.monotonic() < self._again

    def close(self) -> None:
        """Give no further hint. The thread ends with its watch, which nothing waits for."""
        self._closed.set()

    def _run(self) -> None:
        while not self._closed.is_set():
            began = time.monotonic()
            try:
                with self._api.watch(self._path, {"fieldSelector": f"metadata.name={self._name}"}, _WATCH) as events:
                    for _ in events:
                        if self._closed.is_set():
                            return
                        self._hint(Hint())
            except ClusterForbidden:
                # A tenant's own Role without `watch`.
                log.info("configmap.not_watched", name=self._name)
                self._again = time.monotonic() + _REFUSED
                return
            except ClusterError as error:
                log.info("configmap.watch_broke", name=self._name, reason=error.reason)
            self._closed.wait(max(0.0, _PAUSE - (time.monotonic() - began)))


def _version(value: bytes) -> str:
    return "sha256:" + hashlib.sha256(value).hexdigest()
