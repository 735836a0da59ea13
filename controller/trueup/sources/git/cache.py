"""The objects fetched from a server, kept between looks. Disposable: whatever is deleted from it is fetched again."""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dulwich.object_store import DiskObjectStore
from dulwich.objects import Commit, ObjectID

from trueup.errors import SourceTimeout, SourceUnavailable
from trueup.model.listing import History
from trueup.sources.deadline import Deadline
from trueup.sources.git.bounds import Bounds, Outgrown, audit
from trueup.sources.git.history import Graph, relate
from trueup.sources.git.objects import Missing, commit
from trueup.sources.git.reference import Reference
from trueup.sources.git.remote import Remote, Wish

_PACKS = 40
"""Packs beyond which the cache is made anew: each push adds one, and each is looked through for every object."""
_TIPS = 4


class Mirror:
    """A server's repository, as far as it has been fetched: of some commits the whole content, of others who their parents are."""

    def __init__(self, remote: Remote, place: Path, bounds: Bounds) -> None:
        self._remote = remote
        self._place = place
        self._bounds = bounds
        self._graph = Graph()
        self._graph.load(place / "graph.json")
        self._fetching = threading.Lock()

    def tip(self, reference: Reference, deadline: Deadline) -> bytes:
        """The commit that `reference` names at the server now."""
        return self._remote.tip(reference, deadline)

    @contextmanager
    def holding(self, sha: bytes, deadline: Deadline) -> Iterator[DiskObjectStore]:
        """A store with the whole content of a commit, fetched if need be.

        If it turns out not to hold it after all, it is forgotten, so that the next call fetches it.
        """
        with self._fetching:
            if not self._whole(sha):
                self._fetch(sha, deadline)
        store = DiskObjectStore(self._objects)
        try:
            yield store
        except Missing:
            with self._fetching:
                self._forget()
            raise
        finally:
            store.close()

    def relation(self, previous: str, sha: str, deadline: Deadline) -> History:
        """How the commit `sha` relates to `previous`."""
        if previous == sha:
            return History.FORWARD

        def learn(depth: int) -> None:
            wants = (sha.encode(), previous.encode())
            # A long history must not keep a source from ever being looked at: it has half the time there is.
            with Deadline(deadline.remaining() / 2) as share, suppress(Outgrown, SourceTimeout):
                try:
                    self._learn(Wish(wants, depth=depth, bare=True), share)
                except SourceUnavailable:  # most likely it no longer has, or will not name, the earlier commit
                    self._learn(Wish(wants[:1], depth=depth, bare=True), share)

        with self._fetching:
            before = len(self._graph.commits)
            found = relate(self._graph, previous, sha, learn)
            if len(self._graph.commits) != before:
                self._graph.save(self._place / "graph.json")
            return found

    @property
    def _objects(self) -> Path:
        return self._place / "objects"

    def _tips(self) -> list[str]:
        """Commits of which the whole content is here, latest last."""
        try:
            tips = json.loads((self._place / "tips.json").read_text())
        except (OSError, ValueError):
            return []
        return [tip for tip in tips if isinstance(tip, str)] if isinstance(tips, list) else []

    def _whole(self, sha: bytes) -> bool:
        if sha.decode() not in self._tips():
            return False
        store = DiskObjectStore(self._objects)
        try:
            return ObjectID(sha) in store
        finally:
            store.close()

    def _fetch(self, sha: bytes, deadline: Deadline) -> None:
        self._tidy()
        if self._outgrown():
            self._forget()
        self._place.mkdir(parents=True, exist_ok=True, mode=0o700)
        tips = [tip for tip in self._tips() if self._whole(tip.encode())][-_TIPS:]
        store = DiskObjectStore(self._objects) if self._objects.exists() else DiskObjectStore.init(self._objects)
        try:
            self._receive(Wish((sha,), tuple(tip.encode() for tip in tips)), store, deadline)
            found = commit(store, sha)
            self._graph.add({found.id.decode(): _line(found)})
        except Missing as error:
            raise SourceUnavailable(why="its server did not send the commit that it was asked for") from error
        finally:
            store.close()
        fresh = self._place / "tips.new"
        fresh.write_text(json.dumps([*tips, sha.decode()][-_TIPS:]))
        fresh.replace(self._place / "tips.json")
        self._graph.save(self._place / "graph.json")

    def _learn(self, wish: Wish, deadline: Deadline) -> None:
        """Fetch commits for their parents alone; what else comes with them is thrown away."""
        self._place.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(dir=self._place, prefix="history-") as place:
            store = DiskObjectStore.init(Path(place) / "objects")
            try:
                self._receive(wish, store, deadline)
                self._graph.add(_commits(store, wish.wants))
            finally:
                store.close()

    def _receive(self, wish: Wish, store: DiskObjectStore, deadline: Deadline) -> None:
        """Fetch a pack, and let it into a store once it is found whole and within its bounds."""
        file, let_in, abort = store.add_pack()
        try:
            self._remote.fetch(wish, file, deadline)
            file.flush()
            if file.tell():
                audit(file, self._bounds)
                deadline.remaining()
            _let_in(let_in)
        except BaseException:
            with suppress(FileNotFoundError):
                abort()
            raise

    def _outgrown(self) -> bool:
        packs = list((self._objects / "pack").glob("*.pack"))
        return len(packs) > _PACKS or sum(pack.stat().st_size for pack in packs) > self._bounds.cache

    def _tidy(self) -> None:
        """Take away what a fetch that was killed left behind."""
        for left in (self._objects / "pack").glob("tmp*.pack"):
            left.unlink(missing_ok=True)
        for left in self._place.glob("history-*"):
            shutil.rmtree(left, ignore_errors=True)

    def _forget(self) -> None:
        """Begin anew. Who reads just now goes on with the files that he has open."""
        with suppress(FileNotFoundError):
            (self._place / "tips.json").unlink()
        shutil.rmtree(self._objects, ignore_errors=True)


def _let_in(let_in: Callable[[], object]) -> None:
    try:
        let_in()
    except Exception as error:  # what a pack can break its reader with is in no list, and all of it is the server's
        raise SourceUnavailable(why="its server sent a pack that does not add up") from error


def _line(found: Commit) -> tuple[int, tuple[str, ...]]:
    return found.commit_time, tuple(parent.decode() for parent in found.parents)


def _commits(store: DiskObjectStore, wants: tuple[bytes, ...]) -> dict[str, tuple[int, tuple[str, ...]]]:
    """The commits in a store that `wants` lead to."""
    lines: dict[str, tuple[int, tuple[str, ...]]] = {}
    left = list(wants)
    while left:
        sha = left.pop()
        if sha.decode() in lines:
            continue
        try:
            found = commit(store, sha)
        except Missing:
            continue
        lines[sha.decode()] = _line(found)
        left.extend(found.parents)
    return lines
