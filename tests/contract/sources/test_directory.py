"""The Directory connector keeps the promises of a connector."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from trueup.sources.directory import DirectorySource, listing, tree
from trueup.sources.naming import decode
from trueup.testing.source_contract import SourceContract
from trueup.testing.source_origin import Origin


class Folder(Origin):
    """A folder, with files made and removed by the operating system's own calls."""

    def __init__(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = place / "root"
        self.root.mkdir()
        self._monkeypatch = monkeypatch

    def open(self) -> DirectorySource:
        return DirectorySource(self.root, (self.root.parent / "home",), 60)

    def path(self, uri: str) -> Path:
        return self.root / os.fsdecode(decode(uri))

    def write(self, uri: str, data: bytes) -> None:
        self.path(uri).parent.mkdir(parents=True, exist_ok=True)
        self.path(uri).write_bytes(data)

    def delete(self, uri: str) -> None:
        self.path(uri).unlink()
        self._prune(self.path(uri))

    def rename(self, old: str, new: str) -> None:
        self.path(new).parent.mkdir(parents=True, exist_ok=True)
        self.path(old).rename(self.path(new))
        self._prune(self.path(old))

    def _prune(self, path: Path) -> None:
        for parent in path.parents:
            if parent == self.root or any(parent.iterdir()):
                return
            parent.rmdir()

    def skip(self, uri: str) -> bool:
        self.path(uri).symlink_to(self.path("a.md"))
        return True

    def obstruct(self, prefix: str) -> bool:
        real, name = listing.open_folder, prefix.rpartition("/")[2]

        def refuse(forbidden: tree.Forbidden, parent: int, entry: bytes | str) -> int:
            if os.fsdecode(entry) == name:
                raise OSError(errno.EACCES, os.strerror(errno.EACCES))
            return real(forbidden, parent, entry)

        self._monkeypatch.setattr(listing, "open_folder", refuse)
        return True

    def cut(self) -> None:
        self.root.rename(self.root.with_name("away"))

    def restore(self) -> None:
        self.root.with_name("away").rename(self.root)


class TestDirectorySource(SourceContract):
    """The suite, over a folder."""

    @pytest.fixture
    def origin(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
        return Folder(tmp_path, monkeypatch)
