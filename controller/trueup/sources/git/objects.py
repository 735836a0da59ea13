"""Reading commits, trees and blobs out of an object store, trusting nothing about their shape."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass

from dulwich.object_store import BaseObjectStore
from dulwich.objects import Blob, Commit, ObjectID, ShaFile, Tag, Tree, parse_tree

from trueup.errors import SourceMisconfigured, SourceUnavailable
from trueup.model.listing import Item, Kind, covered
from trueup.ports import Selection
from trueup.sources.git.bounds import Bounds, too_much
from trueup.sources.naming import encode

_SUBMODULE = 0o160000


class Missing(Exception):
    """An object that should be in the store is not."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a tree."""

    name: bytes
    mode: int
    sha: bytes

    @property
    def folder(self) -> bool:
        """Whether it is a tree."""
        return stat.S_ISDIR(self.mode)

    @property
    def kind(self) -> Kind:
        """What it is to the core, for what is no tree."""
        if stat.S_ISREG(self.mode):
            return Kind.DOCUMENT
        return Kind.UNSUPPORTED if self.mode == _SUBMODULE else Kind.SKIPPED


def raw(store: BaseObjectStore, sha: bytes, kind: type[ShaFile]) -> bytes:
    """The bytes of an object that must be of one kind.

    Raises:
        Missing: it is not there.
        SourceUnavailable: it is something else.
    """
    try:
        number, data = store.get_raw(ObjectID(sha))
    except (KeyError, FileNotFoundError) as error:
        raise Missing from error
    if number != kind.type_num:
        raise _malformed()
    return data


def _malformed() -> SourceUnavailable:
    return SourceUnavailable(why="its repository holds malformed objects; git fsck there tells more")


def commit(store: BaseObjectStore, sha: bytes) -> Commit:
    """A commit, with tags on the way to it peeled.

    Raises:
        Missing: it is not there.
        SourceMisconfigured: the name leads to something else.
    """
    for _ in range(10):
        try:
            found = store[ObjectID(sha)]
        except (KeyError, FileNotFoundError) as error:
            raise Missing from error
        if isinstance(found, Commit):
            return found
        if not isinstance(found, Tag):
            break
        sha = found.object[1]
    raise SourceMisconfigured(why="spec.source.git.ref names no commit")


def entries(store: BaseObjectStore, sha: bytes) -> list[Entry]:
    """The lines of a tree.

    Raises:
        Missing: it is not there.
        SourceUnavailable: it has names that no folder can have, which would let one document pass for another.
    """
    data = raw(store, sha, Tree)
    try:
        found = [Entry(name, mode, bytes(oid)) for name, mode, oid in parse_tree(data, store.object_format.oid_length)]
    except Exception as error:  # the parser promises no particular one
        raise _malformed() from error
    names = {entry.name for entry in found}
    if len(names) != len(found) or not names.isdisjoint((b"", b".", b"..")) or any(b"/" in name for name in names):
        raise _malformed()
    return found


def find(store: BaseObjectStore, tree: bytes, path: tuple[bytes, ...]) -> Entry | None:
    """What `path` leads to below a tree; None if nothing is there. Links and submodules are not gone through."""
    at: Entry | None = Entry(b"", stat.S_IFDIR, tree)
    for name in path:
        if at is None or not at.folder:
            return None
        at = next((entry for entry in entries(store, at.sha) if entry.name == name), None)
    return at


def blob(store: BaseObjectStore, sha: bytes) -> bytes:
    """The bytes of a blob."""
    return raw(store, sha, Blob)


def walk(store: BaseObjectStore, tree: bytes, prefixes: tuple[str, ...], selection: Selection, bounds: Bounds) -> Iterator[Item]:
    """Every line at or below `prefixes` that is no tree, in ascending order of uri.

    Raises:
        Missing: a tree is not there.
        SourceUnavailable: a tree is malformed, or they are too many.
    """
    left = [_ordered(store, tree, "")]
    count = 0
    while left:
        uri, entry = next(left[-1], (None, None))
        if uri is None or entry is None:
            left.pop()
            continue
        count += 1
        if count > bounds.entries or len(left) > bounds.depth:
            raise too_much("more files, or deeper folders,")
        if entry.folder:
            if selection.enters(uri) and (covered(uri, prefixes) or any(prefix.startswith(uri + "/") for prefix in prefixes)):
                left.append(_ordered(store, entry.sha, uri + "/"))
        elif covered(uri, prefixes):
            version = entry.sha.decode()
            yield Item(uri, version, None, None, entry.kind, version)


def _ordered(store: BaseObjectStore, tree: bytes, prefix: str) -> Iterator[tuple[str, Entry]]:
    """The lines of a tree with their uris; a folder sorts as its name and a slash, because its uris begin with that."""
    keyed = sorted(((encode(entry.name) + ("/" if entry.folder else ""), entry) for entry in entries(store, tree)), key=lambda line: line[0])
    return iter([(prefix + key.removesuffix("/"), entry) for key, entry in keyed])
