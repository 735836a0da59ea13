"""The Git connector keeps the promises of a connector, over each way to a repository."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.sources.githttp import GitServer
from trueup.model.resources.contextsource import ContextSourceSpec
from trueup.sources.git import GitSource, open_source
from trueup.sources.naming import decode
from trueup.sources.opening import OpenContext
from trueup.testing.source_contract import SourceContract
from trueup.testing.source_origin import Origin

ENVIRONMENT = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"} | {
    f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in (("NAME", "Test"), ("EMAIL", "test@example.test"))
}


class Checkout(Origin):
    """A work tree, pushed to the bare repository that the source reads."""

    probes = True
    keeps_history = True
    keeps_versions = True

    def __init__(self, place: Path) -> None:
        self.place = place
        self.tree = place / "tree"
        self.bare = place / "srv" / "repo.git"
        self.opened = 0
        self.git("init", "-q", "--bare", "-b", "main", str(self.bare), at=place)
        self.git("init", "-q", "-b", "main", str(self.tree), at=place)
        self.commit()

    def git(self, *arguments: str, at: Path | None = None) -> str:
        done = subprocess.run(["git", *arguments], cwd=at or self.tree, env=ENVIRONMENT, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    @property
    def url(self) -> str:
        return str(self.bare)

    def open(self) -> GitSource:
        self.opened += 1
        spec = ContextSourceSpec.model_validate({"source": {"type": "Git", "git": {"url": self.url, "ref": {"branch": "main"}}}})
        return open_source(spec, self.context(self.place / f"cache{self.opened}"))

    def context(self, cache: Path) -> OpenContext:
        return OpenContext(allowed_roots=(self.place,), forbidden=(), cache_dir=cache, timeout=20)

    def path(self, uri: str) -> Path:
        return self.tree / os.fsdecode(decode(uri))

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
            if parent == self.tree or any(parent.iterdir()):
                return
            parent.rmdir()

    def commit(self) -> None:
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "a change")
        self.push()

    def push(self) -> None:
        self.git("push", "-q", "-f", str(self.bare), "HEAD:refs/heads/main")

    def skip(self, uri: str) -> bool:
        self.path(uri).symlink_to("../a.md")
        return True

    def cut(self) -> None:
        self.bare.rename(self.place / "away")

    def restore(self) -> None:
        (self.place / "away").rename(self.bare)

    def rewind(self) -> None:
        self.git("reset", "-q", "--hard", "HEAD^")
        self.push()

    def rewrite(self) -> None:
        self.git("commit", "-q", "--amend", "-m", "the same, said otherwise")
        self.push()


class Served(Checkout):
    """The same behind git's own HTTP server."""

    def __init__(self, place: Path, server: GitServer) -> None:
        super().__init__(place)
        server.root = self.bare.parent
        self._server = server

    @property
    def url(self) -> str:
        return f"{self._server.url}/repo.git"


class TestGitOnDisk(SourceContract):
    """The suite, over a repository read where it is."""

    @pytest.fixture
    def origin(self, tmp_path: Path) -> Checkout:
        return Checkout(tmp_path)


class TestGitOverHttp(SourceContract):
    """The suite, over fetching from a server into a cache."""

    @pytest.fixture
    def origin(self, tmp_path: Path) -> Iterator[Served]:
        with GitServer() as server:
            yield Served(tmp_path, server)
