"""The Git connector: committed content only, read from the object database at a listed commit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol, TypeVar

from dulwich.object_store import BaseObjectStore

from trueup.errors import ListingBroken, SourceMisconfigured, SourceUnavailable, TooLarge, VersionGone
from trueup.model.listing import Complete, Content, Hint, History, Item, Kind, Presence, Scope
from trueup.model.resources.contextsource import ContextSourceSpec
from trueup.ports import Selection
from trueup.sources.deadline import Deadline
from trueup.sources.git.bounds import Bounds
from trueup.sources.git.cache import Mirror
from trueup.sources.git.local import LocalRepository
from trueup.sources.git.objects import Entry, Missing, blob, commit, find, walk
from trueup.sources.git.reference import Reference
from trueup.sources.git.remote import Remote
from trueup.sources.naming import components
from trueup.sources.opening import OpenContext, within_roots

T = TypeVar("T")


class Repository(Protocol):
    """Where commits come from: a disk, or a server by way of a cache."""

    def tip(self, reference: Reference, deadline: Deadline) -> bytes:
        """The commit that a reference names at the origin now."""
        ...

    def holding(self, sha: bytes, deadline: Deadline) -> AbstractContextManager[BaseObjectStore]:
        """A store that has the whole content of a commit."""
        ...

    def relation(self, previous: str, sha: str, deadline: Deadline) -> History:
        """How a commit relates to the one decided before."""
        ...


class GitSource:
    """The files of one commit, at or below a folder of it.

    Args:
        repository: where commits come from.
        reference: which commit is followed.
        root: the folder, as the components of its path.
        timeout: seconds that one call may take in all.
        bounds: what a server may make us read.
    """

    def __init__(self, repository: Repository, reference: Reference, root: tuple[bytes, ...], timeout: float, bounds: Bounds) -> None:
        self._repository = repository
        self._reference = reference
        self._root = root
        self._timeout = timeout
        self._bounds = bounds
        self._listed: bytes | None = None

    def revision(self) -> str:
        """The commit that the reference names at the origin: nothing changes without it changing."""
        with Deadline(self._timeout) as deadline:
            return self._repository.tip(self._reference, deadline).decode()

    def observe(self, scope: Scope, selection: Selection, previous: str | None) -> Iterator[Item | Complete]:
        """The files of the commit that the reference names now; none if the folder to read is not in it."""
        with Deadline(self._timeout) as deadline:
            sha = self._repository.tip(self._reference, deadline)
            history = History.FORWARD
            try:
                with self._repository.holding(sha, deadline) as store:
                    folder = self._folder(store, sha)
                    if previous is not None:
                        history = self._repository.relation(previous, sha.decode(), deadline)
                    self._listed = sha
                    if folder is not None:
                        yield from walk(store, folder, scope.prefixes, selection, self._bounds)
            except Missing as error:
                raise ListingBroken from error
        yield Complete(sha.decode(), (), history)

    def read(self, uri: str, version: str, limit: int) -> Content:
        """The bytes of a file of the commit listed last, if its blob there is `version`."""
        with Deadline(self._timeout) as deadline:
            sha = self._listed or self._repository.tip(self._reference, deadline)
            try:
                data = self._blob(sha, uri, version, deadline)
            except SourceUnavailable:
                # The cache is gone and the server no longer gives that commit: the file may still be in the present one.
                now = self._repository.tip(self._reference, deadline)
                if now == sha:
                    raise
                data = self._blob(now, uri, version, deadline)
            if len(data) > limit:
                raise TooLarge(limit=limit)
            return Content(data, version)

    def check(self, uri: str, version: str) -> Presence:
        """Whether the file is the same blob in the commit that the reference names now."""
        with Deadline(self._timeout) as deadline:
            sha = self._repository.tip(self._reference, deadline)
            entry = self._again(lambda store: self._entry(store, sha, uri), sha, deadline)
        if entry is None or entry.kind is not Kind.DOCUMENT or entry.folder:
            return Presence.ABSENT
        return Presence.SAME if entry.sha == version.encode() else Presence.CHANGED

    def watch(self, hint: Callable[[Hint], None]) -> None:
        """None: a repository tells nothing by itself. Its server may, by a hook."""
        del hint

    def close(self) -> None:
        """Nothing is held between calls."""

    def _blob(self, sha: bytes, uri: str, version: str, deadline: Deadline) -> bytes:
        def bring(store: BaseObjectStore) -> bytes:
            entry = self._entry(store, sha, uri)
            if entry is None or entry.kind is not Kind.DOCUMENT or entry.folder or entry.sha != version.encode():
                raise VersionGone
            return blob(store, entry.sha)

        return self._again(bring, sha, deadline)

    def _again(self, bring: Callable[[BaseObjectStore], T], sha: bytes, deadline: Deadline) -> T:
        """What `bring` brings, a second time if the cache went in between."""
        try:
            with self._repository.holding(sha, deadline) as store:
                return bring(store)
        except Missing:
            pass
        try:
            with self._repository.holding(sha, deadline) as store:
                return bring(store)
        except Missing as error:
            raise SourceUnavailable(why="its repository lacks objects of the commit that is asked for") from error

    def _folder(self, store: BaseObjectStore, sha: bytes) -> bytes | None:
        entry = find(store, commit(store, sha).tree, self._root)
        if entry is not None and not entry.folder:
            raise SourceMisconfigured(why="spec.source.git.path names a file; name a folder")
        return None if entry is None else entry.sha

    def _entry(self, store: BaseObjectStore, sha: bytes, uri: str) -> Entry | None:
        try:
            names = components(uri)
        except ValueError:
            return None
        return find(store, commit(store, sha).tree, (*self._root, *names))


def open_source(spec: ContextSourceSpec, context: OpenContext, bounds: Bounds | None = None) -> GitSource:
    """The connector for a ContextSource of type Git.

    Raises:
        SourceMisconfigured: its URL is a path outside the allowed roots.
    """
    git = spec.source.git
    if git is None:
        raise SourceMisconfigured(why="spec.source.git is missing")
    bounds = bounds or Bounds()
    root = tuple(name for name in git.root.encode().split(b"/") if name)
    path = git.url.removeprefix("file://")
    repository: Repository
    if path.startswith("/"):
        within_roots(Path(path), context)
        repository = LocalRepository(Path(path), context)
    else:
        repository = Mirror(Remote(git.url, context, bounds), context.cache_dir, bounds)
    return GitSource(repository, Reference.of(git.ref), root, context.timeout, bounds)
