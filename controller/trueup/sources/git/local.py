"""A repository on this machine's disk, read where it is: refs and objects only, never the work tree."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dulwich.errors import NotGitRepository
from dulwich.object_store import BaseObjectStore
from dulwich.objects import Commit
from dulwich.refs import Ref
from dulwich.repo import Repo

from trueup.errors import SourceDenied, SourceError, SourceMisconfigured, SourceUnavailable
from trueup.model.listing import History
from trueup.sources.deadline import Deadline
from trueup.sources.git.history import Graph, relate
from trueup.sources.git.objects import Missing, commit
from trueup.sources.git.reference import Reference
from trueup.sources.opening import OpenContext, within_roots

_COMMITS = 100_000
"""Commits looked at to relate two of them: seconds of work, and beyond what a source is usually behind."""


class LocalRepository:
    """A repository, or the one that a checkout belongs to."""

    def __init__(self, place: Path, context: OpenContext) -> None:
        self._path = place
        self._context = context

    def tip(self, reference: Reference, deadline: Deadline) -> bytes:
        """The commit that `reference` names now."""
        del deadline
        with self._open() as repository:
            if reference.name is None:
                return reference.among({})
            try:
                found = repository.refs[Ref(reference.name)]
            except KeyError:
                return reference.among({})
            try:
                return commit(repository.object_store, reference.among({reference.name: found})).id
            except Missing as error:
                raise SourceUnavailable(why="its repository lacks the commit that its ref names") from error

    @contextmanager
    def holding(self, sha: bytes, deadline: Deadline) -> Iterator[BaseObjectStore]:
        """Its object store."""
        del deadline
        with self._open() as repository:
            commit_of(repository.object_store, sha)
            yield repository.object_store

    def relation(self, previous: str, sha: str, deadline: Deadline) -> History:
        """How the commit `sha` relates to `previous`."""
        if previous == sha:
            return History.FORWARD
        graph = Graph()
        with self._open() as repository:
            store = repository.object_store

            def learn(depth: int) -> None:
                del depth
                deadline.remaining()
                for start in (sha, previous):
                    _gather(store, start, graph)

            return relate(graph, previous, sha, learn)

    @contextmanager
    def _open(self) -> Iterator[Repo]:
        """The repository, after a look at where all its parts really are."""
        try:
            with Repo(os.fspath(self._path)) as repository:
                for place in _places(repository):
                    within_roots(place, self._context)
                yield repository
        except NotGitRepository as error:
            raise SourceUnavailable(why="there is no Git repository at its path; create it or correct spec.source.git.url") from error
        except PermissionError as error:
            raise SourceDenied(why="its repository may not be read by Trueup's user") from error
        except (SourceError, Missing):
            raise
        except OSError as error:
            raise SourceUnavailable(why=f"its repository cannot be read ({error.strerror})") from error


def commit_of(store: BaseObjectStore, sha: bytes) -> Commit:
    """A commit that must be there.

    Raises:
        SourceUnavailable: it is not.
    """
    try:
        return commit(store, sha)
    except Missing as error:
        raise SourceUnavailable(why="its repository lacks the commit that is asked for") from error


def _places(repository: Repo) -> Iterator[Path]:
    """Every folder and link that the repository's content may come from.

    A file `.git`, a common directory, alternates and links in the object store can all lead to somebody else's objects.
    """
    yield Path(repository.path)
    yield Path(repository.controldir()).absolute()
    yield Path(repository.commondir()).absolute()
    left, seen = [Path(repository.commondir()).absolute() / "objects"], set[Path]()
    while left:
        objects = left.pop()
        if objects in seen:
            continue
        seen.add(objects)
        if len(seen) > 10:
            raise SourceMisconfigured(why="its repository borrows objects from too many others")
        yield objects
        for folder in (objects, objects / "pack", objects / "info"):
            if folder.is_dir():
                yield from [path for path in folder.iterdir() if path.is_symlink()]
        left += [objects / os.fsdecode(line) for line in _alternates(objects)]


def _alternates(objects: Path) -> list[bytes]:
    try:
        lines = (objects / "info" / "alternates").read_bytes().splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [line for line in lines if line and not line.startswith(b"#")]


def _gather(store: BaseObjectStore, start: str, graph: Graph) -> None:
    left = [start.encode()]
    while left and len(graph.commits) < _COMMITS:
        sha = left.pop()
        if sha.decode() in graph.commits:
            continue
        try:
            found = commit(store, sha)
        except Missing:
            continue
        graph.commits[sha.decode()] = (found.commit_time, tuple(parent.decode() for parent in found.parents))
        left.extend(found.parents)
