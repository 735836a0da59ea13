"""The in-memory twin of a source."""

from __future__ import annotations

import hashlib
import itertools
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from trueup.errors import TooLarge, VersionGone
from trueup.model.listing import Complete, Content, Hint, History, Item, Kind, Presence, Scope
from trueup.ports import Selection
from trueup.testing.source_faults import Faults


@dataclass(frozen=True, slots=True)
class _Document:
    data: bytes
    kind: Kind
    serial: int
    """Kept by a rename, never given twice: what makes the identity."""

    @property
    def version(self) -> str:
        return hashlib.sha256(self.data).hexdigest()[:40]

    def item(self, uri: str) -> Item:
        return Item(uri, self.version, len(self.data), None, self.kind, f"{self.serial}:{self.version}")


class MemoryWatch:
    """A watch on a MemorySource."""

    def __init__(self, source: MemorySource, hint: Callable[[Hint], None]) -> None:
        self.hint = hint
        self.alive = True
        self._source = source

    def close(self) -> None:
        """Stop."""
        self.alive = False
        self._source.forget(self)


class MemorySource:
    """A source whose origin is a dictionary, with commits, and with faults that can be switched on.

    Every change is a commit: a new revision whose parent is the one before. `check_out` goes back to an older one, as a
    reset and a force-push do.

    Args:
        documents: what is there first, by uri.
        probes: whether `revision` answers; a folder's twin has False.
        hints: whether changes are hinted to whoever watches.

    Attributes:
        faults: what is wrong with it.
        calls: how often each method asked the origin, to test what a look costs.
    """

    def __init__(self, documents: dict[str, bytes] | None = None, *, probes: bool = True, hints: bool = True) -> None:
        self.faults = Faults()
        self.calls: dict[str, int] = dict.fromkeys(("revision", "observe", "read", "check"), 0)
        self._probes = probes
        self._hints = hints
        self._lock = threading.RLock()
        self._numbers = itertools.count(1)
        self._trees: dict[str, dict[str, _Document]] = {"r0": {}}
        self._parents: dict[str, str | None] = {"r0": None}
        self._head = "r0"
        self._watches: set[MemoryWatch] = set()
        if documents:
            self.put_all(documents)

    # --- the origin's side ---------------------------------------------------------------------------------------

    @property
    def head(self) -> str:
        """The present revision, whether or not `revision` tells it."""
        return self._head

    @property
    def documents(self) -> dict[str, bytes]:
        """What is there now."""
        return {uri: document.data for uri, document in self._trees[self._head].items()}

    def parent(self, revision: str) -> str:
        """The revision before `revision`; the first is its own."""
        return self._parents[revision] or revision

    def put(self, uri: str, data: bytes, kind: Kind = Kind.DOCUMENT) -> None:
        """Create or edit a document."""
        self.put_all({uri: data}, kind)

    def put_all(self, documents: dict[str, bytes], kind: Kind = Kind.DOCUMENT) -> None:
        """Create or edit documents in one commit."""
        with self._lock:
            tree = dict(self._trees[self._head])
            tree.update({uri: _Document(data, kind, next(self._numbers)) for uri, data in documents.items()})
            self._commit(tree, *documents)

    def delete(self, *uris: str) -> None:
        """Delete documents in one commit.

        Raises:
            KeyError: one of them is not there.
        """
        with self._lock:
            tree = dict(self._trees[self._head])
            for uri in uris:
                del tree[uri]
            self._commit(tree, *uris)

    def clear(self) -> None:
        """Delete everything in one commit."""
        self.delete(*self.documents)

    def rename(self, old: str, new: str) -> None:
        """Move a document.

        Raises:
            KeyError: it is not there.
        """
        with self._lock:
            tree = dict(self._trees[self._head])
            tree[new] = tree.pop(old)
            self._commit(tree, old, new)

    def check_out(self, revision: str) -> None:
        """Make an earlier revision the present one."""
        with self._lock:
            self._trees[revision]  # KeyError: there never was one
            self._head = revision
            self._tell()

    def _commit(self, tree: dict[str, _Document], *uris: str) -> None:
        revision = f"r{next(self._numbers)}"
        self._trees[revision], self._parents[revision] = tree, self._head
        self._head = revision
        self._tell(*uris)

    def _tell(self, *uris: str) -> None:
        if self._hints:
            self.tell(Hint(uris) if uris else Hint())

    def tell(self, hint: Hint) -> None:
        """Give a hint, true or not."""
        for watch in tuple(self._watches):
            watch.hint(hint)

    def forget(self, watch: MemoryWatch) -> None:
        """Tell it nothing more."""
        self._watches.discard(watch)

    # --- the connector's side ------------------------------------------------------------------------------------

    def revision(self) -> str | None:
        """The present revision, if this source has a probe."""
        self._ask("revision")
        return self._head if self._probes else None

    def observe(self, scope: Scope, selection: Selection, previous: str | None) -> Iterator[Item | Complete]:
        """The documents of one revision, in order."""
        del selection
        self._ask("observe")
        with self._lock:
            head, tree = self._head, self._trees[self._head]
        end = Complete(head if self._probes else None, (), self._history(head, previous))
        yield from self.faults.listed(iter([*(tree[uri].item(uri) for uri in sorted(tree) if scope.covers(uri)), end]))

    def read(self, uri: str, version: str, limit: int) -> Content:
        """The bytes of a document, at its present version only."""
        self._ask("read")
        if uri in self.faults.refuse_read:
            raise self.faults.refuse_read[uri]
        document = self._trees[self._head].get(uri)
        if document is None or document.kind is not Kind.DOCUMENT or document.version != version:
            raise VersionGone
        if len(document.data) > limit:
            raise TooLarge(limit=limit)
        return Content(document.data, version)

    def check(self, uri: str, version: str) -> Presence:
        """Whether a document is there at that version."""
        self._ask("check")
        document = self._trees[self._head].get(uri)
        if document is None:
            return Presence.ABSENT
        return Presence.SAME if document.version == version else Presence.CHANGED

    def watch(self, hint: Callable[[Hint], None]) -> MemoryWatch | None:
        """Hear of every change as it is made, in the thread that makes it."""
        if not self._hints:
            return None
        watch = MemoryWatch(self, hint)
        self._watches.add(watch)
        return watch

    def close(self) -> None:
        """Ends its watches."""
        for watch in tuple(self._watches):
            watch.close()

    def _ask(self, call: str) -> None:
        self.calls[call] += 1
        self.faults.asked()

    def _history(self, head: str, previous: str | None) -> History:
        if not self._probes or previous is None or previous in self._ancestry(head):
            return History.FORWARD
        return History.OLDER if head in self._ancestry(previous) else History.REWRITTEN

    def _ancestry(self, revision: str) -> set[str]:
        seen: set[str] = set()
        at: str | None = revision
        while at is not None:
            seen.add(at)
            at = self._parents.get(at)
        return seen
