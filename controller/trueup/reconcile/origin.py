"""A declared source as the running controller has it: what was declared, compiled once, and its open connector."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from trueup.catalog.declaring import Declared, Slot
from trueup.catalog.generations import BUILTIN
from trueup.catalog.store import Store
from trueup.decide.access import AccessPolicy, readers_json
from trueup.decide.selection import GlobSelection
from trueup.model.listing import Hint
from trueup.model.resources import ContextSource
from trueup.model.resources.digests import access_digest, ingest_settings, settings_digest
from trueup.model.text import IngestSettings, Prepared
from trueup.ports import Clock, Embedders, Index, Selection, Source, Watch

Opener = Callable[[ContextSource], Source]
Prepare = Callable[[bytes, str, IngestSettings], Prepared]


@dataclass(frozen=True, slots=True)
class Plant:
    """Everything that the controller works with. Wired once, in `app.py`.

    `supported` tells by a uri's name whether text can be had from it at all; `ingest_version` names the code that
    extracts, chunks and screens, so that other code makes documents due for loading again.
    """

    store: Store
    index: Index
    embedders: Embedders
    clock: Clock
    open_source: Opener
    prepare: Prepare
    supported: Callable[[str], bool]
    ingest_version: str = ""
    chance: Callable[[], float] = random.random
    publishing: threading.Lock = field(default_factory=threading.Lock)
    """Held from the writing of points to their publication, so that the sweep takes none of them for an orphan."""


@dataclass(frozen=True, slots=True)
class View:
    """One declared generation of a source, compiled."""

    resource: ContextSource
    selection: Selection
    policy: AccessPolicy
    settings: IngestSettings
    settings_digest: str
    access_digest: str

    @classmethod
    def of(cls, resource: ContextSource, ingest_version: str) -> View:
        """Compile `resource`."""
        spec = resource.spec
        return cls(
            resource=resource,
            selection=GlobSelection(spec.include, spec.exclude, supported=_any),
            policy=AccessPolicy.compile(spec.access),
            settings=ingest_settings(spec),
            settings_digest=f"{settings_digest(spec)}+{ingest_version}",
            access_digest=access_digest(spec),
        )

    def declared(self, indexes: frozenset[str]) -> Declared:
        """What the catalog keeps of it; `indexes` are the keys of the ContextIndexes that exist."""
        meta = self.resource.metadata
        key = self.resource.index_key()
        return Declared(
            uid=meta.uid or "",
            namespace=meta.namespace,
            name=meta.name,
            generation=meta.generation or 1,
            spec=json.dumps(self.resource.spec.dump(), sort_keys=True),
            index_key=key if key in indexes or self.resource.spec.index_ref is not None else BUILTIN,
            settings=self.settings_digest,
            access=self.access_digest,
            suspended=self.resource.spec.suspend,
            slots=tuple(Slot(ordinal, readers_json(readers), classification.value) for ordinal, readers, classification in self.policy.slots()),
        )


def _any(_: str) -> bool:
    """Every type is listed: what cannot be read is counted as unsupported, not ignored."""
    return True


class Origin:
    """One source's runtime: its present view, its connector, and the lock that a look holds."""

    def __init__(self, id_: int, view: View, opener: Opener) -> None:
        self.id = id_
        self.view = view
        self.looking = threading.Lock()
        self.recent: list[tuple[float, int]] = []
        """(monotonic time, documents) of removals just decided: a burst is judged as one by the guard."""
        self.arrived: dict[str, tuple[float, str]] = {}
        """Identity of a document just added → (monotonic time, uri): the two halves of a move may come in two looks."""
        self.fresh_until: float | None = None
        """When its lease ends, as last reported; None while it is not fresh."""
        self.served_request: str | None = None
        """The annotation `requestedAt` that the last visit served."""
        self.retried: int | None = None
        """The generation for which what failed was last tried again."""
        self.listed = False
        """Whether this process has listed the whole of it since it last could not be read: before that a probe proves nothing."""
        self.watch: Watch | None = None
        self.mourned: Watch | None = None
        """The dead watch for which the source was last made due."""
        self.report_after = 0.0
        """Monotonic time before which its status is not summarized again."""
        self._opener = opener
        self._guard = threading.Lock()
        self._connector: Source | None = None

    @property
    def key(self) -> str:
        """`namespace/name`."""
        meta = self.view.resource.metadata
        return f"{meta.namespace}/{meta.name}"

    def connector(self) -> Source:
        """The open connector.

        Raises:
            SourceError: it cannot be opened as declared.
        """
        with self._guard:
            if self._connector is None:
                self._connector = self._opener(self.view.resource)
            return self._connector

    @property
    def watch_alive(self) -> bool:
        """Whether the watch still gives hints; a connector that cannot tell is believed."""
        return self.watch is not None and bool(getattr(self.watch, "alive", True))

    def watch_with(self, hint: Callable[[Hint], None]) -> None:
        """Begin to watch, in place of a watch that died."""
        connector = self.connector()
        dead, self.watch = self.watch, None
        if dead is not None:
            dead.close()
        self.watch = connector.watch(hint)

    def redeclare(self, view: View) -> None:
        """Take a new view; a connector of another origin is closed, and its watch with it."""
        old, self.view = self.view, view
        if _opening(old) != _opening(view):
            self.recent, self.arrived = [], {}
            self.close()

    def close(self) -> None:
        """Close watch and connector; the next use opens them anew."""
        with self._guard:
            watch, self.watch = self.watch, None
            connector, self._connector = self._connector, None
        if watch is not None:
            watch.close()
        if connector is not None:
            connector.close()


def _opening(view: View) -> tuple[object, ...]:
    spec = view.resource.spec
    return (spec.source, spec.secret_ref, spec.timeout)
