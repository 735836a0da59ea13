"""The walk over a folder tree: items in ascending order of uri, and the places that could not be read."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from itertools import groupby, islice
from operator import itemgetter
from stat import S_ISDIR, S_ISREG

from trueup.errors import SourceTimeout
from trueup.model.listing import Gap, Item, Kind
from trueup.ports import Selection
from trueup.sources.directory.tree import ABSENT, Forbidden, ForbiddenFolder, fresh, marks, open_folder, pass_to
from trueup.sources.naming import components, encode_name

DEPTH = 200
"""Folders within folders that are followed; each holds a descriptor open. What lies deeper is a gap, so it is seen."""
_BATCH = 256
_SCANS = 3

_Entry = tuple[str, "os.DirEntry[str]"]


def _scan(folder: int) -> list[_Entry]:
    """The entries of an open folder, by the key that puts their uris in order.

    A name that is replaced while a folder is read may be missed (POSIX leaves it open), so a folder that changed
    meanwhile is read again, and what any reading saw counts; whether it is there is for its status to say.
    """
    seen: dict[str, os.DirEntry[str]] = {}
    for _ in range(_SCANS):
        before = os.fstat(folder).st_mtime_ns
        with os.scandir(folder) as entries:
            seen.update((entry.name, entry) for entry in entries)
        if os.fstat(folder).st_mtime_ns == before and not fresh(before):
            break
    # The uris below a folder begin with its name and a slash, so that is what it sorts as.
    keyed = [(encode_name(name) + "/" if entry.is_dir(follow_symlinks=False) else encode_name(name), entry) for name, entry in seen.items()]
    keyed.sort(key=itemgetter(0))
    return keyed


class _Level:
    """One open folder of the walk: its descriptor, what its uris begin with, the entries in order and how far we are."""

    __slots__ = ("at", "descriptor", "entries", "prefix")

    def __init__(self, descriptor: int, prefix: str) -> None:
        self.descriptor = descriptor
        self.prefix = prefix
        self.entries: list[_Entry] = []
        self.at = 0


class Walk:
    """One listing of a tree, or of parts of it.

    Attributes:
        gaps: the places that could not be read, so far.
    """

    def __init__(self, forbidden: Forbidden, selection: Selection, timeout: float) -> None:
        """A walk of its own, with its own gaps.

        Args:
            forbidden: what is never entered.
            selection: tells which folders need not be entered.
            timeout: seconds that the file system may take in all; the consumer's time does not count.
        """
        self.gaps: list[Gap] = []
        self._forbidden = forbidden
        self._selection = selection
        self._timeout = timeout
        self._spent = 0.0

    def tree(self, folder: int, prefix: str) -> Iterator[Item]:
        """Everything below the folder of descriptor `folder`, which is closed at the end; uris begin with `prefix`.

        Raises:
            OSError: the folder itself cannot be read. What cannot be read below it becomes a gap.
            SourceTimeout: the file system took too long.
        """
        levels = [_Level(folder, prefix)]
        try:
            levels[0].entries = _scan(folder)
            while levels:
                began = time.monotonic()
                level = levels[-1]
                items = self._batch(level)
                if level.at == len(level.entries):
                    os.close(levels.pop().descriptor)
                elif level.entries[level.at][0].endswith("/"):
                    self._descend(levels, level)
                self._spent += time.monotonic() - began
                if self._spent > self._timeout:
                    raise SourceTimeout(seconds=self._timeout)
                yield from items
        finally:
            for level in levels:
                os.close(level.descriptor)

    def _batch(self, level: _Level) -> list[Item]:
        """The files next in order, up to the next folder. The inner loop of a quiet pass, hence its plainness."""
        items: list[Item] = []
        prefix = level.prefix
        for key, entry in islice(level.entries, level.at, level.at + _BATCH):
            if key[-1] == "/":
                break
            level.at += 1
            try:
                item = self.item(prefix + key, entry.stat(follow_symlinks=False))
            except FileNotFoundError:
                continue  # it went while we looked: absent
            except OSError as error:
                self._gap(prefix + key, error)
                continue
            if item is not None:
                items.append(item)
        return items

    def item(self, uri: str, status: os.stat_result) -> Item | None:
        """The line for one entry; None for what has become a folder meanwhile, or lies in a forbidden one too."""
        mode = status.st_mode
        version, identity = marks(status)
        if S_ISREG(mode):
            if status.st_nlink > 1 and self._forbidden.file(status):
                return None
            return Item(uri, version, status.st_size, status.st_mtime, Kind.DOCUMENT, identity)
        if S_ISDIR(mode):
            self.gaps.append(Gap(uri, "it became a folder while the folder above it was listed"))
            return None
        return Item(uri, version, status.st_size, status.st_mtime, Kind.SKIPPED, identity)

    def _descend(self, levels: list[_Level], level: _Level) -> None:
        """Open the folder that is next in order, if it is wanted and can be opened."""
        key, entry = level.entries[level.at]
        level.at += 1
        uri = level.prefix + key[:-1]
        if not self._selection.enters(uri):
            return
        if len(levels) >= DEPTH:
            self.gaps.append(Gap(uri, f"it lies deeper than {DEPTH} folders"))
            return
        try:
            levels.append(_Level(open_folder(self._forbidden, level.descriptor, entry.name), level.prefix + key))
        except ForbiddenFolder:
            return
        except OSError as error:
            self._gap(uri, error)
            return
        try:
            levels[-1].entries = _scan(levels[-1].descriptor)
        except OSError as error:
            self._gap(uri, error)
            os.close(levels.pop().descriptor)

    def _gap(self, uri: str, error: OSError) -> None:
        self.gaps.append(Gap(uri, (error.strerror or type(error).__name__).lower()))

    def parts(self, root: int, prefixes: tuple[str, ...]) -> Iterator[Item]:
        """What lies at or below any of `prefixes` (uris) in the folder of descriptor `root`; nothing at one that is not there.

        Raises:
            SourceTimeout: the file system took too long.
        """
        last = None
        for key, status in sorted(self._places(root, prefixes), key=itemgetter(0)):
            if last is not None and key.startswith(last):
                continue  # below a folder that has been listed
            if not key.endswith("/"):
                item = self.item(key, status)
                if item is not None:
                    yield item
                continue
            last = key
            try:
                yield from self.tree(self._folder(root, key[:-1]), key)
            except ForbiddenFolder:
                continue
            except OSError as error:
                self._gap(key[:-1], error)

    def _places(self, root: int, prefixes: tuple[str, ...]) -> Iterator[tuple[str, os.stat_result]]:
        """Those of `prefixes` that are there, as they sort (a folder with a slash), and their status. Neighbours are looked up in
        one opened folder: after many changes they are most of them.
        """
        for parent, neighbours in groupby(sorted(set(prefixes), key=_parent), key=_parent):
            above = parent.split("/") if parent else []
            if not all(self._selection.enters("/".join(above[:depth])) for depth in range(1, len(above) + 1)):
                continue
            try:
                folder = pass_to(self._forbidden, root, components(parent) if parent else ())
            except ValueError:
                continue
            except OSError as error:
                for prefix in neighbours:
                    self._missing(prefix, error)
                continue
            try:
                for prefix in neighbours:
                    status = self._status(folder, prefix)
                    if status is not None and not S_ISDIR(status.st_mode):
                        yield prefix, status
                    elif status is not None and self._selection.enters(prefix):
                        yield prefix + "/", status
            finally:
                os.close(folder)

    def _status(self, folder: int, uri: str) -> os.stat_result | None:
        """The status of `uri`, which lies in `folder`; None if there is nothing to list."""
        try:
            return os.stat(components(uri)[-1], dir_fd=folder, follow_symlinks=False)
        except ValueError:
            return None
        except OSError as error:
            self._missing(uri, error)
            return None

    def _missing(self, uri: str, error: OSError) -> None:
        if error.errno not in ABSENT:
            self._gap(uri, error)

    def _folder(self, root: int, uri: str) -> int:
        """The folder `uri`, readable."""
        names = components(uri)
        above = pass_to(self._forbidden, root, names[:-1])
        try:
            return open_folder(self._forbidden, above, names[-1])
        finally:
            os.close(above)


def _parent(uri: str) -> str:
    return uri.rpartition("/")[0]
