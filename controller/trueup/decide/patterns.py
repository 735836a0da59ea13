"""gitignore-style patterns over uris. The only importer of pathspec and re2.

pathspec says what a pattern means; RE2 matches it in time linear in the uri, so that no pattern and no file name can
make a look or an answer slow (Python's own engine needs exponential time for `*a*a*a*a*b`).
"""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import re2
from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

from trueup.errors import Invalid

_MEMORY = 64 << 20
"""Bytes that one compiled list may take. Beyond them it is refused; a match that needs more than RE2's cache gets slower, never wrong."""


def readable(uri: str) -> str:
    """`uri` as a person would write it: percent-decoded, and in Unicode NFC.

    An encoded slash stays encoded: it is part of a name, never a boundary.
    """
    if uri.isascii() and "%" not in uri:
        return uri
    return unicodedata.normalize("NFC", unquote(uri.replace("%2F", "%252F").replace("%2f", "%252f"), errors="replace"))


@dataclass(frozen=True, slots=True)
class _Run:
    """Neighbouring patterns that say the same."""

    includes: bool
    expression: Any


class PatternList:
    """Compiled patterns; of those that match, the last one decides, and one that begins with `!` says no."""

    def __init__(self, patterns: Iterable[str]) -> None:
        """Compile.

        Raises:
            Invalid: a pattern cannot be understood. Guessing is no choice where it may decide who reads what.
        """
        self.patterns = tuple(unicodedata.normalize("NFC", pattern) for pattern in patterns)
        meanings = [_meaning(pattern) for pattern in self.patterns]
        runs = [_Run(includes, _compiled([text for _, text in run])) for includes, run in itertools.groupby(meanings, key=lambda m: m[0])]
        self._runs = tuple(reversed(runs))
        self.one_way = all(includes for includes, _ in meanings)
        """No pattern takes back what another one says."""

    def __bool__(self) -> bool:
        return bool(self.patterns)

    def matches(self, path: str) -> bool:
        """Whether the patterns say yes to `path`, a readable uri (a folder with its trailing slash)."""
        for run in self._runs:
            if run.expression.search(path):
                return run.includes
        return False


def literal_folder(pattern: str) -> tuple[str, ...]:
    """The folders that everything `pattern` matches lies in; () where it may match anywhere."""
    body = pattern.rstrip("/")
    if "/" not in body:
        return ()
    segments = body.lstrip("/").split("/")
    return tuple(itertools.takewhile(lambda s: not any(c in "*?[\\" for c in s), segments))


def _meaning(pattern: str) -> tuple[bool, str]:
    """Whether `pattern` says yes or no, and to what, as a regular expression."""
    try:
        expression, includes = GitIgnoreSpecPattern.pattern_to_regex(pattern)
    except (ValueError, TypeError) as error:
        raise Invalid(_refusal(pattern)) from error
    if expression is None or includes is None:
        raise Invalid(_refusal(pattern))
    return bool(includes), str(expression).replace("(?P<ps_d>", "(?:")


def _compiled(expressions: Sequence[str]) -> Any:
    options = re2.Options()
    options.dot_nl = True  # a line break in a folder's name hides nothing from a pattern
    options.max_mem = _MEMORY
    options.log_errors = False
    options.never_capture = True
    try:
        return re2.compile("|".join(f"(?:{expression})" for expression in expressions), options=options)
    except re2.error as error:
        raise Invalid("The patterns are not valid: one of them cannot be compiled; check its brackets and its length.") from error


def _refusal(pattern: str) -> str:
    shown = "".join(c if c.isprintable() else "?" for c in pattern[:64])
    return f"The pattern {shown!r} is not valid: it matches nothing; check its brackets and backslashes."
