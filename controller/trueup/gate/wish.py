"""What a caller asks for: the query and its own narrowing. Nothing in it can widen anything."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from trueup.decide.delivery import Candidate
from trueup.decide.patterns import PatternList, readable
from trueup.model.times import parse_rfc3339

_PLAIN = re.compile(r"[A-Za-z0-9 ._@=,-]+")
"""Folder names that stand for themselves in a pattern, and are the same in every spelling and normal form."""


@dataclass(frozen=True, slots=True)
class Wish:
    """One query.

    Attributes:
        sources: `namespace/name`; None for all that the caller can see.
        paths: gitignore-style patterns of uris, of which one must match; empty for all.
        modified_after: seconds since the epoch, as origins claim it.
    """

    query: str = field(repr=False)
    top_k: int = 8
    max_tokens: int = 4000
    sources: tuple[str, ...] | None = None
    paths: tuple[str, ...] = ()
    modified_after: float | None = None

    @classmethod
    def of(cls, query: str, request: Mapping[str, Any]) -> Wish:
        """The wish in a request as it is recorded: the API's own members, validated, without the query."""
        narrowed = request.get("filter") or {}
        sources, after = request.get("sources"), narrowed.get("modified_after")
        return cls(
            query=query,
            top_k=request["top_k"],
            max_tokens=request["max_tokens"],
            sources=None if sources is None else tuple(sources),
            paths=tuple(narrowed.get("paths") or ()),
            modified_after=None if after is None else parse_rfc3339(after),
        )

    def folders(self) -> frozenset[str] | None:
        """Folders that every match lies below, for the index filter; None where the patterns do not tell."""
        found = {_folder(pattern) for pattern in self.paths}
        return None if not found or None in found else frozenset(folder for folder in found if folder is not None)

    def matcher(self) -> Callable[[Candidate], bool]:
        """Whether a candidate is within the paths and times asked for.

        Raises:
            Invalid: a pattern cannot be understood.
        """
        patterns = PatternList(self.paths) if self.paths else None
        after = self.modified_after

        def wanted(candidate: Candidate) -> bool:
            if after is not None and (candidate.modified is None or candidate.modified <= after):
                return False
            return patterns is None or patterns.matches(readable(candidate.uri))

        return wanted


def _folder(pattern: str) -> str | None:
    """The folder that anchors `pattern`, as far as it is spelled out: "docs/guide" of "docs/guide/**/*.md"."""
    body = pattern.rstrip("/")
    if "/" not in body or pattern.startswith("!"):
        return None
    names = body.lstrip("/").split("/")[:-1]
    plain: list[str] = []
    for name in names:
        if not _PLAIN.fullmatch(name):
            break
        plain.append(name)
    return "/".join(plain) or None
