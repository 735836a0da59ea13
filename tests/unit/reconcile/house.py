"""The whole controller in process over twins: a memory source, a memory index, a real SQLite catalog."""

from __future__ import annotations

import contextlib
import hashlib
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from trueup.catalog import migrate, resources
from trueup.catalog.bodies import unpack_body
from trueup.catalog.generations import Planned
from trueup.catalog.opening import open_store
from trueup.errors import VersionGone
from trueup.ingest.kinds import supported
from trueup.ingest.prepare import prepare
from trueup.model.index import GenerationSpec, Question
from trueup.model.text import IngestSettings, Prepared, Vectors
from trueup.ports import Source
from trueup.reconcile.controller import Controller
from trueup.reconcile.embedded import Embedded, EmbeddedStatuses
from trueup.reconcile.origin import Plant
from trueup.testing.index import MemoryIndex
from trueup.testing.source import MemorySource


class SettableClock:
    """The machine's clock, which a test can move."""

    def __init__(self) -> None:
        self.shift = 0.0

    def now(self) -> float:
        return time.time() + self.shift

    def monotonic(self) -> float:
        return time.monotonic()


class CountingEmbedder:
    """Vectors by hash, and a count of every text that was embedded."""

    dimensions = 8
    sparse = False

    def __init__(self, fingerprint: str) -> None:
        self.fingerprint = fingerprint
        self.embedded: list[str] = []
        self.pause = 0.0

    def embed(self, texts: Sequence[str]) -> list[Vectors]:
        time.sleep(self.pause)
        self.embedded.extend(texts)
        return [Vectors(dense=self._vector(text)) for text in texts]

    def ask(self, query: str) -> Question:
        return Question(dense=self._vector(query))

    def _vector(self, text: str) -> bytes:
        digest = hashlib.sha256((self.fingerprint + text).encode()).digest()
        return struct.pack("<8f", *(byte / 255 + 0.01 for byte in digest[:8]))


class OneEmbedder:
    """An embedder a fingerprint."""

    def __init__(self) -> None:
        self.made: dict[str, CountingEmbedder] = {}

    def get(self, generation: GenerationSpec) -> CountingEmbedder:
        return self.made.setdefault(generation.fingerprint, CountingEmbedder(generation.fingerprint))


class House:
    """A running controller. `sources` are the memory sources by name, made when first declared."""

    def __init__(self, home: Path, url: str = "") -> None:
        """`url`: of the catalog; without it, an SQLite file in `home`."""
        self.store = open_store(url or f"sqlite:///{home / 'catalog.db'}", SettableClock())
        self.clock = self.store.clock
        self.store.write(lambda tx: migrate.prepare(tx.connection))
        self.index = MemoryIndex()
        self.embedders = OneEmbedder()
        self.sources: dict[str, Any] = {}
        self.plant = Plant(self.store, self.index, self.embedders, self.clock, self._open, self._prepare, supported)
        self.core = Controller(self.plant, EmbeddedStatuses(self.store))
        self.controller = Embedded(self.core, self._plan)

    def _open(self, resource: Any) -> Source:
        return self.sources.setdefault(resource.metadata.name, MemorySource())

    def _prepare(self, data: bytes, uri: str, settings: IngestSettings) -> Prepared:
        return prepare(data, uri, settings, None)

    def _plan(self, embedding: Any) -> Planned:
        return Planned(hashlib.sha256(str(sorted(embedding.items(), key=str)).encode()).hexdigest(), 8, False, dict(embedding))

    # --- declaring ---

    def apply(self, name: str = "docs", namespace: str = "default", annotations: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
        manifest: dict[str, Any] = {
            "apiVersion": "trueup.dev/v1alpha1",
            "kind": "ContextSource",
            "metadata": {"name": name, "namespace": namespace, "annotations": annotations or {}},
            "spec": {
                "source": {"type": "Directory", "directory": {"path": "/nowhere"}},
                "access": {"readers": [{"kind": "Everyone"}]},
                "interval": "1h",
                **spec,
            },
        }
        return self.controller.accept("ContextSource", namespace, name, manifest, "user:owner")

    def withdraw(self, name: str = "docs") -> None:
        self.controller.withdraw("ContextSource", "default", name, "user:owner")

    def look(self, name: str = "docs", **spec: Any) -> dict[str, Any]:
        """Ask for a look now, and wait until it has published."""
        token = str(time.time_ns())
        current = self.resource(name)
        manifest = {
            "apiVersion": current["apiVersion"],
            "kind": current["kind"],
            "metadata": {"name": name, "namespace": "default", "annotations": {"trueup.dev/requestedAt": token}},
            "spec": {**current["spec"], **spec},
        }
        self.controller.accept("ContextSource", "default", name, manifest, "user:owner")
        until(
            lambda: self.status(name).get("lastHandledReconcileAt") == token and not self.condition("Reconciling", name), f"look at {name}: {self.status(name)}"
        )
        return self.status(name)

    # --- asking ---

    def resource(self, name: str = "docs", kind: str = "ContextSource") -> dict[str, Any]:
        with self.store.read() as read:
            return resources.get(read, kind, "default", name)

    def status(self, name: str = "docs") -> dict[str, Any]:
        return self.resource(name)["status"]

    def condition(self, type_: str, name: str = "docs") -> dict[str, Any] | None:
        return next((c for c in self.status(name).get("conditions", ()) if c["type"] == type_), None)

    def ready(self, name: str = "docs") -> None:
        def is_ready() -> bool:
            found = self.condition("Ready", name)
            return found is not None and found["status"] == "True" and found["observedGeneration"] == self.resource(name)["metadata"]["generation"]

        until(is_ready, f"{name} ready: {self.status(name)}")

    def sql(self, statement: str, **params: Any) -> list[Any]:
        with self.store.read() as read:
            return list(read.rows(sa.text(statement), params))

    def served(self, name: str = "docs") -> dict[str, str]:
        """uri -> text of what the catalog vouches for now."""
        rows = self.sql(
            "SELECT d.uri, c.ordinal, b.data FROM source s JOIN document d ON d.source_id = s.id JOIN revision r ON r.id = d.revision_id JOIN chunk c ON c.revision_id = r.id "
            "JOIN body b ON b.digest = c.digest JOIN generation g ON g.id = c.generation_id "
            "WHERE s.name = :name AND s.state = 'live' AND d.state = 'live' AND r.state = 'live' AND g.state = 'serving' ORDER BY d.uri, c.ordinal",
            name=name,
        )
        texts: dict[str, str] = {}
        for uri, _, data in rows:
            texts[uri] = texts.get(uri, "") + unpack_body(data)
        return texts

    def tombstones(self) -> list[Any]:
        return self.sql("SELECT uri, reason, successor, observation FROM tombstone ORDER BY id")

    def events(self) -> list[str]:
        return [row[0] for row in self.sql("SELECT reason FROM event ORDER BY id")]

    def embedded(self) -> list[str]:
        return [text for embedder in self.embedders.made.values() for text in embedder.embedded]


def until(check: Callable[[], bool], what: str = "", timeout: float = 10.0) -> None:
    """Wait until `check` holds."""
    ends = time.monotonic() + timeout
    while not check():
        assert time.monotonic() < ends, f"not within {timeout} s: {what}"
        time.sleep(0.01)


@contextlib.contextmanager
def house(home: Path, url: str = "") -> Iterator[House]:
    """A running house, stopped at the end."""
    made = House(home, url)
    made.controller.start()
    try:
        yield made
    finally:
        made.controller.stop()
        made.store.close()


def gone(_: object = None) -> None:
    """What a connector raises for a version that is not there."""
    raise VersionGone


__all__ = ["House", "house", "threading", "until"]
