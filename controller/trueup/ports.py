"""The protocols between the core and everything that does I/O.

All ports are synchronous: the core runs on threads, and only the edge of HTTP is asynchronous. A port that can hang
takes its deadline from its constructor (`spec.timeout`), raises the errors of `trueup.errors`, and never swallows one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol, runtime_checkable

from trueup.model.index import GenerationSpec, Hit, Keys, Point, Question
from trueup.model.index import Scope as IndexScope
from trueup.model.listing import Complete, Content, Hint, Item, Presence, Scope
from trueup.model.principal import Caller
from trueup.model.text import Vectors


class Selection(Protocol):
    """Which uris a source takes: `include`, `exclude`, dot-files and the default types, compiled once."""

    digest: str
    """Changes whenever the choice could change for any uri."""

    def takes(self, uri: str) -> bool:
        """Whether the document `uri` is wanted."""
        ...

    def enters(self, folder: str) -> bool:
        """Whether anything below `folder` could be wanted; False lets a connector prune."""
        ...


class Watch(Protocol):
    """A running source of hints."""

    def close(self) -> None:
        """Stop; no hint is given after it returns."""
        ...


@runtime_checkable
class Source(Protocol):
    """One origin of documents. One object a declared source and generation; calls come from one thread at a time
    except `read`, `check` and `close`, which may come from others.
    """

    def revision(self) -> str | None:
        """The probe: a value whose equality proves that nothing was added, changed or removed, else None.

        Raises:
            SourceError: the source could not be asked.
        """
        ...

    def observe(self, scope: Scope, selection: Selection, previous: str | None) -> Iterator[Item | Complete]:
        """List the items in `scope` in ascending order of uri (by code point), then one `Complete`.

        Items that `selection` does not take may be left out. `previous` is the source revision decided last, for
        `Complete.history`. A listing that cannot say where it is incomplete raises instead of ending.

        Raises:
            SourceError: an outage; nothing may be concluded.
        """
        ...

    def read(self, uri: str, version: str, limit: int) -> Content:
        """The bytes of `uri` at exactly `version`.

        Raises:
            VersionGone: it is not there at that version (any more).
            TooLarge: it has more than `limit` bytes.
            SourceError: it could not be read.
        """
        ...

    def check(self, uri: str, version: str) -> Presence:
        """Whether `uri` is still there at `version`, asked of the origin now."""
        ...

    def watch(self, hint: Callable[[Hint], None]) -> Watch | None:
        """Begin to give hints; None where the source has none to give."""
        ...

    def close(self) -> None:
        """Release what is held. Idempotent."""
        ...


class Embedder(Protocol):
    """One embedding model, chunker and weights table: what makes a generation's vectors."""

    fingerprint: str
    dimensions: int
    """Of the dense vector; 0 where there is none."""
    sparse: bool

    def embed(self, texts: Sequence[str]) -> list[Vectors]:
        """Vectors of documents' chunks, in order. Callers send at most 32 at a time; each text is heading path and chunk text."""
        ...

    def ask(self, query: str) -> Question:
        """The vectors of a query."""
        ...


class Index(Protocol):
    """The searchable projection. Never authoritative, always rebuildable. Writes are by ids and idempotent."""

    def ensure(self, generation: GenerationSpec) -> None:
        """Make the generation's collection ready, with its payload indexes, before anything is loaded."""
        ...

    def upsert(self, generation: GenerationSpec, points: Sequence[Point]) -> None:
        """Write points; returns once they can be found. Durable with the next `flush`. Any number; batched inside.

        Raises:
            IndexFailure: some or all may not be there.
        """
        ...

    def put_keys(self, generation: GenerationSpec, keys: Iterable[tuple[str, Keys]]) -> None:
        """Replace the keys of existing points; ids that are not there are left alone."""
        ...

    def delete(self, generation: GenerationSpec, ids: Sequence[str]) -> None:
        """Erase points; ids that are not there are left alone."""
        ...

    def search(self, generation: GenerationSpec, question: Question, scope: IndexScope, limit: int) -> list[Hit]:
        """The best `limit` live points in `scope`, best first; dense and sparse fused by DBSF where both are asked."""
        ...

    def present(self, generation: GenerationSpec, ids: Sequence[str]) -> dict[str, Keys]:
        """The keys of those of `ids` that exist."""
        ...

    def scroll(self, generation: GenerationSpec, after: str | None, limit: int) -> list[tuple[str, Keys]]:
        """Points in ascending order of id, after `after`; for the sweep."""
        ...

    def collections(self) -> list[str]:
        """Names of every collection of ours that exists, of whatever generation."""
        ...

    def drop(self, collection: str) -> None:
        """Remove a whole collection."""
        ...

    def flush(self) -> None:
        """Make everything written durable."""
        ...

    def close(self) -> None:
        """Flush and release. Idempotent."""
        ...


class Clock(Protocol):
    """Time as an argument."""

    def now(self) -> float:
        """Wall time, seconds since the epoch (UTC)."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back."""
        ...


class Identity(Protocol):
    """Makes a Caller of a bearer token."""

    def verify(self, token: str) -> Caller:
        """The caller whom the token vouches for.

        Raises:
            Unauthenticated: for whatever reason; the message says no more than that.
        """
        ...


class Embedders(Protocol):
    """The embedders of this process, one a fingerprint, loaded when first needed."""

    def get(self, generation: GenerationSpec) -> Embedder:
        """The embedder whose vectors `generation` holds.

        Raises:
            EmbeddingError: its model is not installed or cannot be loaded.
        """
        ...


class Controller(Protocol):
    """What the gate's surfaces may ask of the controller that runs beside them. In a cluster, kubectl has most of it."""

    def accept(self, kind: str, namespace: str, name: str, manifest: dict[str, object], principal: str) -> dict[str, object]:
        """Create or replace a resource from its manifest; returns it as stored. What it narrows holds when this returns.

        Raises:
            Invalid: it is refused; the message names the path of the field and what to do.
            Conflict: `metadata.resourceVersion` was given and is not the present one.
        """
        ...

    def withdraw(self, kind: str, namespace: str, name: str, principal: str) -> None:
        """Delete a resource: when this returns, everything of it is dead at the gate.

        Raises:
            NotFound: there is none.
        """
        ...

    def hint(self, namespace: str, name: str) -> None:
        """Make a source due now; does nothing for one that is not there or is suspended."""
        ...

    def check(self, source: int, uri: str, version: str, deadline: float) -> Presence | None:
        """Ask the source of catalog id `source` whether `uri` is still there at `version`; None if it did not answer
        within `deadline` seconds.
        """
        ...


class Upkeep(Protocol):
    """What an operator may ask of the index's keeper."""

    def sweep(self) -> None:
        """Compare catalog and index both ways soon, and repair the index."""
        ...

    def rebuild(self) -> None:
        """Make every index anew from the catalog; the present ones answer until the new ones are whole."""
        ...
