"""Which commit a source follows: a branch, a tag, a commit, or whatever the remote's HEAD names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from trueup.errors import SourceUnavailable
from trueup.model.resources.origin import GitRef

PEELED = b"^{}"


@dataclass(frozen=True, slots=True)
class Reference:
    """What `spec.source.git.ref` says.

    Attributes:
        name: the full name of a ref, or None for a commit.
        commit: the commit, where it is fixed.
        says: how it is called in messages.
    """

    name: bytes | None
    commit: bytes | None
    says: str

    @classmethod
    def of(cls, ref: GitRef | None) -> Reference:
        """The reference of a declared source."""
        if ref is None:
            return cls(b"HEAD", None, "HEAD")
        if ref.branch is not None:
            return cls(b"refs/heads/" + ref.branch.encode(), None, f"branch {ref.branch}")
        if ref.tag is not None:
            return cls(b"refs/tags/" + ref.tag.encode(), None, f"tag {ref.tag}")
        return cls(None, (ref.commit or "").encode(), f"commit {ref.commit}")

    def among(self, refs: Mapping[bytes, bytes | None]) -> bytes:
        """The commit that it names among a server's refs (a tag peeled, where the server peels it).

        Raises:
            SourceUnavailable: there is no such ref. That a branch is gone says nothing about its documents.
        """
        if self.name is None:
            return self.commit or b""
        found = refs.get(self.name + PEELED) or refs.get(self.name)
        if found is None:
            raise SourceUnavailable(why=f"its repository has no {self.says}, or no commit on it; push it or correct spec.source.git.ref")
        return found
