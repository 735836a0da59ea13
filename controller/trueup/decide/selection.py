"""Which documents a source takes: `include`, `exclude`, dot-files and the types that can be read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase

from trueup.decide.patterns import PatternList, literal_folder, readable

_VERSION = 1
"""Raised whenever the same declaration comes to mean another choice."""
_KEPT = 8192
"""Folders whose verdict is remembered: neighbours in a listing share theirs, and a tree has fewer folders than files."""
_GIT = ".git"


class GlobSelection:
    """The declared choice, compiled once. Safe to use from several threads.

    `exclude` wins. Without `include`, every type that can be read is taken. Dot-files and what lies in dot-folders are
    taken only where an include pattern names each dot: `.github/**` does, `**` does not. `.git` is never taken.
    Patterns are compared with the readable form of a uri, in NFC, and case counts.
    """

    def __init__(self, include: Iterable[str], exclude: Iterable[str], supported: Callable[[str], bool], types: str = "") -> None:
        """Compile.

        Args:
            include: patterns of what is taken; none for every type that can be read.
            exclude: patterns of what is left out.
            supported: whether the document of this uri can be read, told by its name.
            types: a digest of what `supported` says, where it may change.

        Raises:
            Invalid: a pattern cannot be understood.
        """
        self._include = PatternList(include)
        self._exclude = PatternList(exclude)
        self._supported = supported
        said = [_VERSION, self._include.patterns, self._exclude.patterns, "" if self._include else types]
        self.digest = "sha256:" + hashlib.sha256(json.dumps(said).encode()).hexdigest()
        positive = [pattern for pattern in self._include.patterns if not pattern.startswith("!")]
        self._dots = [(PatternList([pattern]), dots) for pattern in positive if (dots := _dots_in(pattern))]
        self._within = tuple(literal_folder(pattern) for pattern in positive)
        self._open: dict[str, bool] = {"": True}

    def takes(self, uri: str) -> bool:
        """Whether the document `uri` is wanted."""
        folder, _, name = uri.rpartition("/")
        is_open = self._open.get(folder)
        if not (self._judge(folder) if is_open is None else is_open) or not name:
            return False
        if not self._include:
            if name[0] == "." or not self._supported(uri):
                return False
            return not self._exclude or not self._exclude.matches(readable(uri))
        if name.lower() == _GIT:
            return False
        path = readable(uri)
        if not self._include.matches(path) or (self._exclude and self._exclude.matches(path)):
            return False
        return (name[0] != "." and "/." not in uri and uri[0] != ".") or self._names_dots_of(path)

    def enters(self, folder: str) -> bool:
        """Whether anything below `folder` could be wanted. It may say True for nothing, never False for something."""
        is_open = self._open.get(folder)
        return self._judge(folder) if is_open is None else is_open

    def _judge(self, folder: str) -> bool:
        """Decide on a folder and remember it."""
        verdict = self._could_hold(readable(folder))
        if len(self._open) >= _KEPT:
            self._open = {"": True}
        self._open[folder] = verdict
        return verdict

    def _could_hold(self, path: str) -> bool:
        segments = tuple(path.split("/"))
        if any(segment.lower() == _GIT for segment in segments):
            return False
        hidden = [segment for segment in segments if segment.startswith(".")]
        if hidden and not any(_all_named(hidden, dots) for _, dots in self._dots):
            return False
        if self._exclude and self._exclude.one_way and self._exclude.matches(path + "/"):
            return False
        return not self._include or any(all(a == b for a, b in zip(segments, within, strict=False)) for within in self._within)

    def _names_dots_of(self, path: str) -> bool:
        hidden = [segment for segment in path.split("/") if segment.startswith(".")]
        return any(_all_named(hidden, dots) and pattern.matches(path) for pattern, dots in self._dots)


def _dots_in(pattern: str) -> tuple[str, ...]:
    """The segments of `pattern` that say their leading dot."""
    segments = (segment.removeprefix("\\") for segment in pattern.split("/"))
    return tuple(segment for segment in segments if segment.startswith("."))


def _all_named(hidden: list[str], dots: tuple[str, ...]) -> bool:
    return all(any(fnmatchcase(segment, dot) for dot in dots) for segment in hidden)
