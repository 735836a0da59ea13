"""Opening things below a root one component at a time, so that no symbolic link is ever followed.

A path is opened as a chain of folders, each relative to the descriptor of the one before and none of them a link. What
is swapped for a link between two calls therefore fails to open, and never leads outside.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from stat import S_ISREG

PASSING = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
"""For a folder on the way: where the system has O_PATH, it need not be readable, only be passable."""
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
"""What opening says of a place that is not there, or is there only by way of a link."""


GRAIN = 0.02
"""Seconds within which a file system may give two changes one time: two ticks of the slowest usual kernel clock (100 Hz)."""


def fresh(stamp_ns: int) -> float:
    """Seconds until a time stamp is old enough that a further change would get another one; 0 if it is."""
    age = time.time() - stamp_ns / 1e9
    return GRAIN - age if 0 <= age < GRAIN else 0.0


def marks(status: os.stat_result) -> tuple[str, str]:
    """A file's version and its identity, in hexadecimal.

    The version is modification time, size, inode, change time and device: the change time catches an edit that restores
    the others. The identity is the same less the change time, so a rename keeps it and no other file has it.
    """
    body = "%x.%x.%x" % (status.st_mtime_ns, status.st_size, status.st_ino)  # noqa: UP031 - a third faster, once a file
    device = "%x" % status.st_dev  # noqa: UP031
    return f"{body}.{status.st_ctime_ns:x}.{device}", f"{body}.{device}"


def fingerprint(status: os.stat_result) -> str:
    """The version of a file."""
    return marks(status)[0]


class ForbiddenFolder(FileNotFoundError):
    """The folder is one of those that are never entered: to whoever asks it is not there."""


class Forbidden:
    """Folders that are never entered, by whatever name they are reached: known by device and inode, not by path."""

    def __init__(self, folders: Iterable[Path]) -> None:
        """Looks where they are now, so one object serves one listing or one read."""
        self.paths = tuple(Path(os.path.realpath(folder)) for folder in folders)
        self._files: frozenset[tuple[int, int]] | None = None
        found = set()
        for path in self.paths:
            with suppress(FileNotFoundError, NotADirectoryError):
                status = path.stat()
                found.add((status.st_dev, status.st_ino))
        self._folders = frozenset(found)

    def again(self) -> Forbidden:
        """The same folders for another listing or read, for which the files inside them are looked up anew."""
        other = Forbidden(())
        other.paths, other._folders = self.paths, self._folders
        return other

    def folder(self, status: os.stat_result) -> bool:
        """Whether an opened folder is one of them."""
        return (status.st_dev, status.st_ino) in self._folders

    def file(self, status: os.stat_result) -> bool:
        """Whether a file is a further hard link to one inside them."""
        if status.st_nlink < 2 or not self._folders:  # one name only: it is where it was found
            return False
        if self._files is None:
            self._files = frozenset(self._within())
        return (status.st_dev, status.st_ino) in self._files

    def _within(self) -> Iterable[tuple[int, int]]:
        for path in self.paths:
            for folder, _, names in os.walk(path):
                for name in names:
                    with suppress(FileNotFoundError):
                        status = os.lstat(os.path.join(folder, name))  # noqa: PTH118 - as above
                        yield status.st_dev, status.st_ino


def pass_to(forbidden: Forbidden, start: int | None, names: Iterable[bytes | str]) -> int:
    """A descriptor of the folder that `names` lead to from `start`, or from "/" where that is None; not for listing.

    Raises:
        OSError: it is not there, not a folder, a link, may not be entered, or is forbidden (as if not there).
    """
    at = os.open("/" if start is None else ".", PASSING, dir_fd=start)
    try:
        for name in names:
            below = os.open(name, PASSING, dir_fd=at)
            os.close(at)
            at = below
            _refuse(forbidden, at)
    except OSError:
        os.close(at)
        raise
    return at


def open_folder(forbidden: Forbidden, parent: int, name: bytes | str) -> int:
    """A descriptor of the folder `name` in `parent`, for listing.

    Raises:
        OSError: as of `pass_to`, or it may not be read.
    """
    opened = os.open(name, FOLDER, dir_fd=parent)
    try:
        _refuse(forbidden, opened)
    except OSError:
        os.close(opened)
        raise
    return opened


def _refuse(forbidden: Forbidden, folder: int) -> None:
    if forbidden.folder(os.fstat(folder)):
        raise ForbiddenFolder(errno.ENOENT, os.strerror(errno.ENOENT))


def look_at(forbidden: Forbidden, folder: int, name: bytes) -> os.stat_result:
    """The status of the regular file `name` in `folder`.

    Raises:
        OSError: it is not there, or is no regular file (as if not there).
    """
    status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if not S_ISREG(status.st_mode) or forbidden.file(status):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    return status


def open_file(forbidden: Forbidden, folder: int, name: bytes) -> tuple[int, os.stat_result]:
    """The descriptor and status of the regular file `name` in `folder`.

    Raises:
        OSError: it is not there, may not be read, or is no regular file (as if not there).
    """
    look_at(forbidden, folder, name)  # opening a device can do something; a FIFO swapped in is caught by O_NONBLOCK
    opened = os.open(name, FILE, dir_fd=folder)
    status = os.fstat(opened)
    if not S_ISREG(status.st_mode) or forbidden.file(status):
        os.close(opened)
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    return opened, status
