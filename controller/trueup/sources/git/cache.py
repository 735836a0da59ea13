"""The objects fetched from a server, kept between looks. Disposable: whatever is deleted from it is fetched again."""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dulwich.errors import ChecksumMismatch, GitProtocolError
from dulwich.object_format import SHA1
from dulwich.object_store import DiskObjectStore
from dulwich.objects import Commit, ObjectID
from dulwich.pack import PackData

from trueup.errors import SourceUnavailable
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
            with suppress(Outgrown):
                try:
                    self._learn(Wish(wants, depth=depth, bare=True), deadline)
                except SourceUnavailable:  # most likely it no longer has, or will not name, the earlier commit
                    self._learn(Wish(wants[:1], depth=depth, bare=True), deadline)

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
        if self._outgrown():
            self._forget()
        self._place.mkdir(parents=True, exist_ok=True, mode=0o700)
        with suppress(FileExistsError):
            DiskObjectStore.init(self._objects)
        tips = [tip for tip in self._tips() if self._whole(tip.encode())][-_TIPS:]
        self._receive(Wish((sha,), tuple(tip.encode() for tip in tips)), self._objects, deadline)
        store = DiskObjectStore(self._objects)
        try:
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
            objects = Path(place) / "objects"
            store = DiskObjectStore.init(objects)
            try:
                self._receive(wish, objects, deadline)
                self._graph.add(_commits(store, wish.wants))
            finally:
                store.close()

    def _receive(self, wish: Wish, objects: Path, deadline: Deadline) -> None:
        """Fetch a pack, and let it in once it is found whole and within its bounds."""
        with tempfile.TemporaryDirectory(dir=self._place, prefix="fetch-") as place:
            pack, index = Path(place) / "incoming.pack", Path(place) / "incoming.idx"
            with pack.open("wb") as file:
                self._remote.fetch(wish, file, deadline)
            if pack.stat().st_size == 0:
                return
            audit(pack, self._bounds)
            deadline.remaining()
            try:
                with PackData(pack, object_format=SHA1) as data:
                    name = f"pack-{data.get_stored_checksum().hex()}"
                    data.create_index(str(index), version=2)
            except (KeyError, ValueError, ChecksumMismatch, GitProtocolError) as error:
                raise SourceUnavailable(why="its server sent a pack that does not add up") from error
            pack.replace(objects / "pack" / f"{name}.pack")
            index.replace(objects / "pack" / f"{name}.idx")

    def _outgrown(self) -> bool:
        packs = list((self._objects / "pack").glob("*.pack"))
        return len(packs) > _PACKS or sum(pack.stat().st_size for pack in packs) > self._bounds.cache

    def _forget(self) -> None:
        """Begin anew. Who reads just now goes on with the files that he has open."""
        with suppress(FileNotFoundError):
            (self._place / "tips.json").unlink()
        shutil.rmtree(self._objects, ignore_errors=True)


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
