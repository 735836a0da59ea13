"""kopf, in a thread and a loop of its own: it watches, adds our finalizer, and calls `on.delete`. It decides nothing.

The one importer of kopf. What it would do by itself and must not is switched off here, each for a reason that was measured.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Collection
from typing import Any, Protocol

import kopf
import structlog

from trueup.cluster.api import Credentials, Object
from trueup.errors import TrueupError
from trueup.model.resources import FINALIZER, DeletionPolicy

log = structlog.get_logger(__name__)

_GROUP = "trueup.dev"
_RETRY = 2.0
"""Seconds until a deletion that the catalog refused is tried again."""
_STARTING = 30.0
_STOPPING = 15.0
"""Seconds that kopf gets to come up and to go down."""


class Feed(Protocol):
    """Where watched objects go."""

    def offer(self, found: Object, *, gone: bool = False) -> None:
        """An object was listed, added or changed, or is gone; must return at once."""
        ...

    def delete(self, uid: str, *, retain: bool) -> None:
        """Make everything of a source dead; raises if it could not."""
        ...


class Watching:
    """One run of kopf."""

    def __init__(self, feed: Feed, credentials: Callable[[], Credentials], namespaces: Collection[str]) -> None:
        """`credentials()` are asked for anew when a token ran out; `namespaces`: those watched, all if none."""
        self._feed = feed
        self._credentials = credentials
        self._namespaces = tuple(namespaces)
        self._ready, self._stop, self._ended = threading.Event(), threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="kopf", daemon=True)

    @property
    def alive(self) -> bool:
        """Whether it still runs. Its own liveness endpoint would stay green while it is dead."""
        return not self._ended.is_set()

    @property
    def started(self) -> bool:
        """Whether it was ever begun."""
        return self._thread.ident is not None

    def start(self) -> None:
        """Begin to watch; returns once kopf is up."""
        self._thread.start()
        self._ready.wait(_STARTING)

    def stop(self) -> None:
        """Stop watching; no handler runs after this, unless one hangs."""
        self._stop.set()
        self._thread.join(_STOPPING)

    def _run(self) -> None:
        # It logs each object's every step; what is wrong it says as a warning.
        logging.getLogger("kopf").setLevel(logging.WARNING)
        # That signals are not its own, which is meant so.
        logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)
        settings = _settings()
        try:
            asyncio.run(
                kopf.operator(
                    registry=_registry(self._feed, self._credentials),
                    settings=settings,
                    identity=_IDENTITY,
                    standalone=True,
                    clusterwide=not self._namespaces,
                    namespaces=self._namespaces,
                    ready_flag=self._ready,
                    stop_flag=self._stop,
                )
            )
        except Exception:
            # Whoever leads sees `alive` fall and begins anew; the reason must not be lost with the thread.
            log.exception("kopf.failed")
        finally:
            settings.execution.executor.shutdown(wait=False)
            self._ended.set()


_IDENTITY: Any = "trueup"
"""Among peers, of which there are none. Left to itself kopf would ask for its user's name, and a pod's user has no name."""


class _NoDiffBase(kopf.DiffBaseStorage):
    """No last-handled annotation: nothing here compares with the past, and each would be a write to every object."""

    def fetch(self, *, body: kopf.Body) -> Any:
        """What is there now, so that nothing ever differs."""
        return self.build(body=body)

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: Any) -> None:
        """Nothing."""


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False  # events of ours come from the catalog
    settings.peering.standalone = True  # kopf's peering pauses everybody and fences nobody; the Lease is our own
    settings.background.cancellation_polling = 2  # 60 by default: an object would linger a minute
    # A watch that died silently ends after eleven minutes at the latest; by default it never does.
    settings.watching.server_timeout = 600
    settings.watching.client_timeout = 660
    settings.networking.request_timeout = 60
    # By default each object is handled at once: at the first start, 2,000 finalizers in one second were refused with 429,
    # and so was the Lease. A worker counts until it has been idle for a while, so that while must be short.
    settings.queueing.worker_limit = 16
    settings.queueing.idle_timeout = 0.1
    settings.persistence.finalizer = FINALIZER
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=_GROUP)
    settings.persistence.diffbase_storage = _NoDiffBase()
    return settings


def _registry(feed: Feed, credentials: Callable[[], Credentials]) -> kopf.OperatorRegistry:
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    def login(**_: Any) -> kopf.ConnectionInfo:
        known = credentials()
        return kopf.ConnectionInfo(
            server=known.server,
            ca_path=known.authority,
            insecure=not known.verify,
            scheme="Bearer" if known.token else None,
            token=known.token,
            certificate_path=known.certificate,
            private_key_path=known.key,
        )

    @kopf.on.event(_GROUP, "v1alpha1", "contextsources", registry=registry)
    @kopf.on.event(_GROUP, "v1alpha1", "contextindexes", registry=registry)
    async def seen(event: kopf.RawEvent, **_: Any) -> None:
        feed.offer(dict(event["object"]), gone=event["type"] == "DELETED")

    @kopf.on.delete(_GROUP, "v1alpha1", "contextsources", registry=registry, id="empty")
    def emptied(body: kopf.Body, uid: str, **_: Any) -> None:
        deletion = body.get("spec", {}).get("deletion") or {}
        try:
            feed.delete(uid, retain=deletion.get("policy") == DeletionPolicy.RETAIN.value)
        except TrueupError as error:
            log.warning("delete.postponed", uid=uid, reason=error.reason)
            raise kopf.TemporaryError("The catalog did not take it.", delay=_RETRY) from error

    return registry
