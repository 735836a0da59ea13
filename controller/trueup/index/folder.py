"""The folder that holds the embedded index: one process at a time, one folder a collection, broken ones moved aside."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from pathlib import Path

from trueup.errors import HomeLocked, IndexFailure
from trueup.index.checks import is_collection

_OPENINGS = 2
"""Opens that died before a folder is held to be what kills us. One may have been an unlucky kill."""


class Folder:
    """`index/`: disposable. The lock lies beside the collections, never inside one, and the kernel drops it with the process."""

    def __init__(self, path: Path) -> None:
        """Take the folder.

        Raises:
            HomeLocked: another owner has it open.
            IndexFailure: it cannot be made or written.
        """
        self.path = path
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(path / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise IndexFailure(why=f"the folder {path} cannot be used ({error.strerror})") from error
        try:
            # Before anything else: an engine that is refused its own lock has by then damaged the owner's next flush.
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise HomeLocked(home=path) from error
        self._closed = False
        for left in path.glob("*.dropped"):
            shutil.rmtree(left, ignore_errors=True)

    def names(self) -> list[str]:
        """The collections, in order of name."""
        return sorted(entry.name for entry in self.path.iterdir() if entry.is_dir() and is_collection(entry.name))

    def move_aside(self, name: str) -> Path:
        """Rename a collection to `<name>.broken-<n>`; of earlier ones none is kept, so that a failing disk is not filled."""
        earlier = [entry for entry in self.path.glob(f"{name}.broken-*") if entry.name.rpartition("-")[2].isdigit()]
        number = max((int(entry.name.rpartition("-")[2]) for entry in earlier), default=0) + 1
        target = self.path / f"{name}.broken-{number}"
        (self.path / name).rename(target)
        for entry in earlier:
            _remove(entry)
        self.trust(name)
        return target

    def remove(self, name: str) -> None:
        """Erase a collection and what was moved aside of it. A kill in between leaves a name that the next start erases."""
        target = self.path / name
        if target.exists():
            doomed = self.path / f"{name}.dropped"
            _remove(doomed)
            target.rename(doomed)
            _remove(doomed)
        for entry in self.path.glob(f"{name}.broken-*"):
            _remove(entry)
        self.trust(name)

    def distrust(self, name: str) -> None:
        """Leave a mark that reading `name` failed, for this and the next process."""
        self._mark(name, "suspect").touch()

    def suspected(self, name: str) -> bool:
        """Whether reading `name` failed since it was last trusted."""
        return self._mark(name, "suspect").exists()

    def trust(self, name: str) -> None:
        """Take the marks of `name` away."""
        self._mark(name, "suspect").unlink(missing_ok=True)
        self._mark(name, "opening").unlink(missing_ok=True)

    def begin_opening(self, name: str) -> None:
        """Note that `name` is being opened; `trust` takes the note away.

        Raises:
            IndexFailure: opening it has killed the process time and again.
        """
        mark = self._mark(name, "opening")
        died = len(mark.read_bytes()) if mark.exists() else 0
        if died >= _OPENINGS:
            raise IndexFailure(why="the process ended each time the collection was opened")
        mark.write_bytes(b"." * (died + 1))

    def close(self) -> None:
        """Give the folder back. Idempotent."""
        if not self._closed:
            self._closed = True
            os.close(self._lock)

    def _mark(self, name: str, what: str) -> Path:
        return self.path / f".{name}.{what}"


def _remove(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
