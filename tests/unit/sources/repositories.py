"""Repositories for tests of the Git connector, made by git itself, and by hand where git would refuse."""

from __future__ import annotations

import hashlib
import zlib
from pathlib import Path

from tests.contract.sources.githttp import GitServer
from tests.contract.sources.test_git import Checkout
from trueup.model.resources.contextsource import ContextSourceSpec
from trueup.sources.git import GitSource, open_source
from trueup.sources.git.bounds import Bounds
from trueup.sources.opening import OpenContext

SMALL = Bounds(pack=1 << 20, objects=1000, object=1 << 16, ratio=20, free=1 << 18, refs=1 << 16, entries=500, depth=20, cache=1 << 22)


class Repository(Checkout):
    """A checkout and its bare repository, opened in whatever way a test wants."""

    def source(
        self, url: str | None = None, ref: dict[str, str] | None = None, *, path: str = "", bounds: Bounds | None = None, **context: object
    ) -> GitSource:
        git: dict[str, object] = {"url": url or self.url, "path": path}
        if ref is not None:
            git["ref"] = ref
        spec = ContextSourceSpec.model_validate({"source": {"type": "Git", "git": git}})
        given: dict[str, object] = {"allowed_roots": (self.place,), "forbidden": (), "cache_dir": self.place / "cache", "timeout": 10.0}
        return open_source(spec, OpenContext(**given | context), bounds)  # type: ignore[arg-type]

    def head(self) -> str:
        return self.git("rev-parse", "HEAD")

    def object(self, kind: str, data: bytes) -> str:
        """Put an object into the bare repository as it is, however malformed; returns its id."""
        whole = f"{kind} {len(data)}\0".encode() + data
        sha = hashlib.sha1(whole, usedforsecurity=False).hexdigest()
        path = self.bare / "objects" / sha[:2] / sha[2:]
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(zlib.compress(whole))
        return sha

    def folder(self, *lines: tuple[bytes, bytes, str]) -> str:
        return self.object("tree", b"".join(mode + b" " + name + b"\0" + bytes.fromhex(sha) for mode, name, sha in lines))

    def point(self, tree: str) -> str:
        """Make main a commit of a tree, in the bare repository alone."""
        sha = self.object("commit", f"tree {tree}\nauthor T <t@example.test> 1 +0000\ncommitter T <t@example.test> 1 +0000\n\nby hand\n".encode())
        (self.bare / "refs" / "heads").mkdir(parents=True, exist_ok=True)
        (self.bare / "refs" / "heads" / "main").write_text(sha + "\n")
        return sha


class Hosted(Repository):
    """The same, whose URL is a server's."""

    def __init__(self, place: Path, server: GitServer) -> None:
        super().__init__(place)
        server.root = self.bare.parent
        self.server = server

    @property
    def url(self) -> str:
        return f"{self.server.url}/repo.git"
