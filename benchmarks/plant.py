"""Trueup in one process, without HTTP: the real controller, catalog, index and gate, with vectors by hash."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa

import corpus
from trueup.catalog import migrate
from trueup.catalog.generations import Planned
from trueup.catalog.store import SqliteStore
from trueup.index.edge import EdgeIndex
from trueup.ingest.kinds import supported
from trueup.ingest.prepare import prepare
from trueup.interpreter import tune
from trueup.model.index import GenerationSpec, Question
from trueup.model.listing import Hint
from trueup.model.resources import ContextSource
from trueup.model.text import IngestSettings, Prepared, Vectors
from trueup.ports import Source, Watch
from trueup.reconcile.controller import Controller
from trueup.reconcile.embedded import Embedded, EmbeddedStatuses
from trueup.reconcile.origin import Plant
from trueup.sources.opening import OpenContext
from trueup.sources.registry import open_source

READERS = {"readers": [{"kind": "Everyone"}], "classification": "Internal"}


class SystemClock:
    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


class Hashed:
    """The embedder of the benchmarks."""

    dimensions = corpus.DIMENSIONS
    sparse = False

    def __init__(self, fingerprint: str) -> None:
        self.fingerprint = fingerprint

    def embed(self, texts: Sequence[str]) -> list[Vectors]:
        return [Vectors(dense=corpus.vector(text).tobytes()) for text in texts]

    def ask(self, query: str) -> Question:
        return Question(dense=corpus.vector(query).tobytes())


class OneEmbedder:
    def __init__(self) -> None:
        self.made: dict[str, Hashed] = {}

    def get(self, generation: GenerationSpec) -> Hashed:
        return self.made.setdefault(generation.fingerprint, Hashed(generation.fingerprint))


class Unwatched:
    """A connector without its hints: a source that is polled."""

    def __init__(self, inner: Source) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def watch(self, hint: Callable[[Hint], None]) -> Watch | None:
        del hint
        return None


def plan(embedding: Mapping[str, Any]) -> Planned:
    return Planned(hashlib.sha256(json.dumps(dict(embedding), sort_keys=True).encode()).hexdigest(), corpus.DIMENSIONS, False, dict(embedding))


class Trueup:
    """A running controller over one home."""

    def __init__(self, home: Path, *, watched: bool = False) -> None:
        tune()
        self.store = SqliteStore(home / "catalog.db", SystemClock())
        self.store.write(lambda tx: migrate.prepare(tx.connection))
        self.index = EdgeIndex(home / "index")
        self.embedders = OneEmbedder()
        context = OpenContext(allowed_roots=(Path("/"),), forbidden=(), cache_dir=home / "cache", timeout=600.0)

        def opened(resource: ContextSource) -> Source:
            source = open_source(resource.spec, context)
            return source if watched else Unwatched(source)  # type: ignore[return-value]

        def prepared(data: bytes, uri: str, wanted: IngestSettings) -> Prepared:
            return prepare(data, uri, wanted, None)

        self.core = Controller(Plant(self.store, self.index, self.embedders, SystemClock(), opened, prepared, supported), EmbeddedStatuses(self.store))
        self.controller = Embedded(self.core, plan)

    def apply(self, folder: Path, name: str = "bench") -> None:
        """Declare a directory that everybody may read, looked at only when asked."""
        self.controller.accept(
            "ContextSource",
            "default",
            name,
            {
                "apiVersion": "trueup.dev/v1alpha1",
                "kind": "ContextSource",
                "metadata": {"name": name, "namespace": "default"},
                "spec": {
                    "source": {"type": "Directory", "directory": {"path": str(folder)}},
                    "interval": "24h",
                    "timeout": "10m",
                    "freshness": {"maxStaleness": "48h"},
                    "access": READERS,
                    "screening": {"injection": "Off", "secrets": "Off"},
                },
            },
            "user:owner",
        )

    def published(self) -> None:
        """Wait until everything that is wanted is served."""
        self._wait("SELECT 1 FROM document WHERE wanted IS NOT NULL AND retry_at IS NULL LIMIT 1")

    def settled(self) -> None:
        """Wait until the index, too, is in the catalog's state."""
        self.core.settler.wake()
        self._wait("SELECT 1 FROM outbox LIMIT 1")

    def _wait(self, left: str) -> None:
        while True:
            with self.store.read() as read:
                if not read.value(sa.text(left)):
                    return
            time.sleep(0.05)

    def decided(self, name: str = "bench") -> bool:
        """Whether the source was looked at."""
        with self.store.read() as read:
            return read.value(sa.text("SELECT decided_generation = generation FROM source WHERE name = :name AND state = 'live'"), {"name": name}) == 1

    def close(self) -> None:
        self.controller.stop()
        self.index.close()
        self.store.close()


@contextlib.contextmanager
def running(home: Path, *, watched: bool = False) -> Iterator[Trueup]:
    """A started controller, stopped at the end."""
    home.mkdir(parents=True, exist_ok=True)
    made = Trueup(home, watched=watched)
    made.controller.start()
    try:
        yield made
    finally:
        made.close()
