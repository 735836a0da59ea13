"""The Directory connector."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from trueup.errors import SourceDenied, SourceMisconfigured, SourceTimeout, SourceUnavailable, TooLarge, VersionGone
from trueup.model.listing import Complete, Content, Hint, Item, Presence, Scope
from trueup.model.resources.contextsource import ContextSourceSpec
from trueup.ports import Selection
from trueup.sources.directory.inotify import Inotifies
from trueup.sources.directory.listing import Walk
from trueup.sources.directory.tree import ABSENT, FOLDER, Forbidden, fingerprint, fresh, look_at, open_file, pass_to
from trueup.sources.directory.watch import DirectoryWatch
from trueup.sources.naming import components
from trueup.sources.opening import OpenContext, within_roots

_BLOCK = 1 << 20
_KEPT = 0.25
"""Seconds for which an opened root serves further reads. Resolving its path and opening it component by component took longer
than everything else about reading a small file."""
_TRUSTED = 0.02
"""Seconds after which it is asked again whether the paths still lead where they led. Whatever happens, nothing is read but the very
file that was listed."""


_Folder = tuple[int, int] | None
"""Device and inode of a folder; None for none."""


class _Root:
    """An opened root. Whoever uses it keeps it open by holding the object.

    Attributes:
        descriptor: of the folder, opened from "/" so that no component of its path is a link.
        place: its resolved path.
        forbidden: what is never entered below it.
    """

    __slots__ = ("_asked", "_led_to", "_until", "descriptor", "forbidden", "place")

    def __init__(self, descriptor: int, place: Path, forbidden: Forbidden, led_to: dict[Path, _Folder]) -> None:
        self.descriptor = descriptor
        self.place = place
        self.forbidden = forbidden
        self._led_to = led_to
        self._asked = time.monotonic()
        self._until = self._asked + _KEPT

    def stands(self) -> bool:
        """Whether it was opened a moment ago, and every path still leads where it led then, whatever links are on the way."""
        now = time.monotonic()
        if now - self._asked > _TRUSTED and all(_led_to(path) == folder for path, folder in self._led_to.items()):
            self._asked = now
        return now < self._until and now - self._asked <= _TRUSTED

    def __del__(self) -> None:
        os.close(self.descriptor)


class DirectorySource:
    """The regular files below a folder.

    The folder may be named by way of links: the name is resolved anew at every call and must still lead to a place that
    `admitted` accepts. Below it no link is followed, and neither `forbidden` nor anything in it is ever listed or read.

    Args:
        path: the folder.
        forbidden: folders that are never entered (TRUEUP_HOME).
        timeout: seconds that the file system may take for one listing or one read.
        admitted: raises SourceMisconfigured for a resolved folder that may not be a source.
        inotifies: what all watches of the process share; a watch has one of its own without.
    """

    def __init__(
        self, path: Path, forbidden: tuple[Path, ...], timeout: float, admitted: Callable[[Path], None] | None = None, inotifies: Inotifies | None = None
    ) -> None:
        self._path = path
        self._forbidden = forbidden
        self._timeout = timeout
        self._admitted = admitted
        self._inotifies = inotifies
        self._held: _Root | None = None

    def revision(self) -> None:
        """None: a folder has nothing whose equality proves that nothing below it changed."""
        return

    def observe(self, scope: Scope, selection: Selection, previous: str | None) -> Iterator[Item | Complete]:
        """The files in `scope`. A place that cannot be read becomes a gap; the root itself, an outage.

        Raises:
            SourceUnavailable: the root is missing, is no folder, cannot be read, or went while it was listed.
            SourceTimeout: the file system took longer than the time set.
        """
        del previous  # a folder has no history
        root = self._root()
        walk = Walk(root.forbidden, selection, self._timeout)
        if scope.whole:
            try:
                yield from walk.tree(os.open(".", FOLDER, dir_fd=root.descriptor), "")
            except OSError as error:
                raise self._outage(error) from error
        else:
            yield from walk.parts(root.descriptor, scope.prefixes)
        self._confirm(root)
        yield Complete(gaps=tuple(walk.gaps))

    def read(self, uri: str, version: str, limit: int) -> Content:
        """The bytes of a file, if it is the file that was listed and no one touched it while it was read."""
        began = time.monotonic()
        with self._file(uri) as (opened, status):
            if fingerprint(status) != version:
                raise VersionGone
            if status.st_size > limit:
                raise TooLarge(limit=limit)
            wait = fresh(status.st_ctime_ns)
            if wait:  # even a sleep of nothing gives the interpreter away
                time.sleep(wait)
            size = min(_BLOCK, max(status.st_size, 4096) + 1)
            data = os.read(opened, min(size, limit + 1))
            # All of it, as far as its size tells. What is not, as in a file system that has no sizes, is read to its end.
            while len(data) != status.st_size and (block := os.read(opened, min(size, limit + 1 - len(data)))):
                data += block
                if time.monotonic() - began > self._timeout:
                    raise SourceTimeout(seconds=self._timeout)
            if fingerprint(os.fstat(opened)) != version:
                raise VersionGone
        return Content(data, version)

    def check(self, uri: str, version: str) -> Presence:
        """Whether the file is still the one that was listed, by its status alone."""
        try:
            with self._folder(self._root(), uri) as (forbidden, folder, name):
                status = look_at(forbidden, folder, name)
        except OSError as error:
            if error.errno in ABSENT:
                return Presence.ABSENT
            raise self._refusal(error) from error
        return Presence.SAME if fingerprint(status) == version else Presence.CHANGED

    def watch(self, hint: Callable[[Hint], None]) -> DirectoryWatch | None:
        """Begin to give hints; None if the system has no more watches to give or the folder is a mounted volume, and then
        the interval alone decides.

        When the watch is no longer `alive` (the root went, or another folder stands there), close it and watch again.
        """
        root = self._root()
        if root.place.parent == Path(os.path.realpath(self._path)) and root.place.name.startswith(".."):
            return None  # a mounted volume is swapped whole: what is watched would be gone with the first change
        return DirectoryWatch.start(root.place, root.forbidden.paths, hint, self._inotifies)

    def close(self) -> None:
        """Let go of the root."""
        self._held = None

    def _root(self) -> _Root:
        """The root, resolved and opened anew."""
        led_to = {path: _led_to(path) for path in (self._path, *self._forbidden)}
        try:
            folder = Path(os.path.realpath(self._path, strict=True))
            place = mounted(folder)
            if place != folder:
                led_to[folder / "..data"] = _led_to(place)
            if self._admitted is not None:
                self._admitted(place)
            forbidden = Forbidden(self._forbidden)
            return _Root(pass_to(forbidden, None, place.parts[1:]), place, forbidden, led_to)
        except OSError as error:
            raise self._outage(error) from error

    def _kept_root(self) -> _Root:
        """The root for one of many reads."""
        held = self._held
        if held is None or not held.stands():
            held = self._held = self._root()
        return held

    def _confirm(self, root: _Root) -> None:
        """That the root is still where it was: a tree that is being taken away looks like one that was emptied."""
        try:
            there, held = os.lstat(root.place), os.fstat(root.descriptor)
        except OSError as error:
            raise self._outage(error) from error
        if (there.st_dev, there.st_ino) != (held.st_dev, held.st_ino):
            raise SourceUnavailable(why="its folder was replaced while it was listed")

    @contextmanager
    def _folder(self, root: _Root, uri: str) -> Iterator[tuple[Forbidden, int, bytes]]:
        """The folder below `root` that holds `uri`, and the name in it; OSError if there is no such folder."""
        try:
            names = components(uri)
        except ValueError as error:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)) from error
        forbidden = root.forbidden.again()
        folder = pass_to(forbidden, root.descriptor, names[:-1])
        try:
            yield forbidden, folder, names[-1]
        finally:
            os.close(folder)

    @contextmanager
    def _file(self, uri: str) -> Iterator[tuple[int, os.stat_result]]:
        try:
            with self._folder(self._kept_root(), uri) as (forbidden, folder, name):
                opened, status = open_file(forbidden, folder, name)
        except OSError as error:
            if error.errno in ABSENT:
                raise VersionGone from error
            raise self._refusal(error) from error
        try:
            yield opened, status
        except OSError as error:
            raise self._refusal(error) from error
        finally:
            os.close(opened)

    @staticmethod
    def _outage(error: OSError) -> SourceUnavailable:
        causes = {
            errno.ENOENT: "its folder is missing; create it or correct spec.source.directory.path",
            errno.ENOTDIR: "its path is not a folder; correct spec.source.directory.path",
            errno.ELOOP: "its path is a loop of links; correct spec.source.directory.path",
            errno.EACCES: "its folder may not be read; give Trueup's user the right to",
        }
        return SourceUnavailable(why=causes.get(error.errno or 0, f"its folder cannot be read ({error.strerror})"))

    @staticmethod
    def _refusal(error: OSError) -> SourceDenied | SourceUnavailable:
        why = f"the file cannot be read ({error.strerror})"
        return SourceDenied(why=why) if error.errno in (errno.EACCES, errno.EPERM) else SourceUnavailable(why=why)


def mounted(folder: Path) -> Path:
    """Where the files of `folder` are: in itself, or where Kubernetes mounted a ConfigMap or a Secret, in the folder beside
    them that `..data` names at the moment. The kubelet swaps that one link, and what it leads to never changes.

    No other link is like it: it names a folder right here, whose name begins with two dots, and that is opened as no link.
    """
    try:
        name = str((folder / "..data").readlink())
    except OSError:
        return folder
    return folder / name if name.startswith("..") and len(name) > 2 and "/" not in name else folder


def _led_to(path: Path) -> _Folder:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def open_source(spec: ContextSourceSpec, context: OpenContext) -> DirectorySource:
    """The connector for a ContextSource of type Directory.

    Raises:
        SourceMisconfigured: the path lies outside the allowed roots, or in the home.
    """
    if spec.source.directory is None:
        raise SourceMisconfigured(why="spec.source.directory is missing")
    path = Path(spec.source.directory.path)
    within_roots(path, context)
    inotifies = context.shared.setdefault("inotifies", Inotifies())
    shared = inotifies if isinstance(inotifies, Inotifies) else None
    return DirectorySource(path, context.forbidden, context.timeout, lambda place: within_roots(place, context), shared)
