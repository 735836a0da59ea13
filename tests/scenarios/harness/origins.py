"""Origins that scenarios change: a folder, and a Git repository. Each change is entered in the oracle's books."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.scenarios.harness.truth import Truth

_GIT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    **{f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in (("NAME", "T"), ("EMAIL", "t@example.invalid"))},
}


def git(folder: Path, *arguments: str) -> str:
    """Run git in `folder`, by nobody's settings."""
    done = subprocess.run(["git", *arguments], cwd=folder, env={**os.environ, **_GIT}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"git {arguments}: {done.stderr}"
    return done.stdout.strip()


class Origin:
    """Documents by uri, and how they change. `key` is the source (namespace/name) whose truth they are."""

    kind: str
    settles: bool
    """Whether each single mutation is true at once; False where they become true together at the end of a change."""

    def __init__(self, truth: Truth, key: str) -> None:
        self.truth = truth
        self.key = key
        self.now: dict[str, bytes] = {}
        """What the origin holds."""

    def spec(self) -> dict[str, Any]:
        """As `spec.source` has it."""
        raise NotImplementedError

    @contextlib.contextmanager
    def change(self) -> Iterator[None]:
        """Mutations within become true with the end of it, at the latest."""
        yield

    def write(self, uri: str, text: str) -> None:
        """Create or replace a document."""
        raise NotImplementedError

    def delete(self, uri: str) -> None:
        """Remove a document."""
        raise NotImplementedError

    def rename(self, old: str, new: str) -> None:
        """Move a document."""
        raise NotImplementedError


class Tree(Origin):
    """A folder on the disk."""

    kind, settles = "Directory", True

    def __init__(self, truth: Truth, key: str, root: Path) -> None:
        super().__init__(truth, key)
        self.root = root
        root.mkdir(parents=True)
        self._spare = root.parent / f".{root.name}.new"

    def spec(self) -> dict[str, Any]:
        return {"type": "Directory", "directory": {"path": str(self.root)}}

    @contextlib.contextmanager
    def _turning(self, after: dict[str, bytes]) -> Iterator[None]:
        with self.truth.turning(self.key, after):
            yield
        self.now = after

    def write(self, uri: str, text: str) -> None:
        data = text.encode()
        with self._turning({**self.now, uri: data}):
            path = self.root / uri
            path.parent.mkdir(parents=True, exist_ok=True)
            self._spare.write_bytes(data)
            self._spare.replace(path)

    def delete(self, uri: str) -> None:
        with self._turning({u: d for u, d in self.now.items() if u != uri}):
            (self.root / uri).unlink()

    def delete_folder(self, folder: str) -> None:
        """`rm -r`."""
        with self._turning({u: d for u, d in self.now.items() if not u.startswith(folder + "/")}):
            shutil.rmtree(self.root / folder)

    def rename(self, old: str, new: str) -> None:
        after = {u: d for u, d in self.now.items() if u != old} | {new: self.now[old]}
        with self._turning(after):
            (self.root / new).parent.mkdir(parents=True, exist_ok=True)
            (self.root / old).rename(self.root / new)


class Repo(Origin):
    """A bare repository and a checkout that pushes to it; what is live is what the branch `main` holds."""

    kind, settles = "Git", False

    def __init__(self, truth: Truth, key: str, root: Path, bare: Path, url: str) -> None:
        """`url` is where sources find `bare`."""
        super().__init__(truth, key)
        self.url = url
        self.bare = bare
        self.work = root
        bare.mkdir(parents=True)
        git(bare, "init", "-q", "--bare", "-b", "main")
        git(bare, "config", "uploadpack.allowAnySHA1InWant", "true")
        root.mkdir(parents=True)
        git(root, "init", "-q", "-b", "main")
        git(root, "commit", "-q", "--allow-empty", "-m", "begin")
        git(root, "push", "-q", str(bare), "main")

    def spec(self) -> dict[str, Any]:
        return {"type": "Git", "git": {"url": self.url, "ref": {"branch": "main"}}}

    @contextlib.contextmanager
    def change(self) -> Iterator[None]:
        """The mutations within are one commit, pushed at the end."""
        yield
        git(self.work, "add", "-A")
        git(self.work, "commit", "-q", "--allow-empty", "-m", "change")
        self.push()

    def push(self, *, force: bool = False) -> None:
        """Make what the checkout's HEAD holds true at the origin."""
        after = self.committed()
        with self.truth.turning(self.key, after):
            git(self.work, "push", "-q", *(["--force"] if force else []), str(self.bare), "HEAD:main")
        self.now = after

    def committed(self) -> dict[str, bytes]:
        """The documents of the checkout's HEAD."""
        names = git(self.work, "ls-tree", "-r", "-z", "--name-only", "HEAD").split("\0")
        return {name: (self.work / name).read_bytes() for name in names if name}

    def head(self) -> str:
        """The commit that the checkout is at."""
        return git(self.work, "rev-parse", "HEAD")

    def reset(self, commit: str) -> None:
        """Put the checkout back to `commit`; true at the origin with the next push."""
        git(self.work, "reset", "-q", "--hard", commit)

    def write(self, uri: str, text: str) -> None:
        path = self.work / uri
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def delete(self, uri: str) -> None:
        (self.work / uri).unlink()

    def delete_folder(self, folder: str) -> None:
        """`rm -r`."""
        shutil.rmtree(self.work / folder)

    def rename(self, old: str, new: str) -> None:
        (self.work / new).parent.mkdir(parents=True, exist_ok=True)
        (self.work / old).rename(self.work / new)
