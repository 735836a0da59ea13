"""Verdicts on chunks, given before anything is embedded.

Screens look at the whole text, because a chunk boundary must not cut a secret into two harmless halves; then every chunk that
touches a finding, or whose heading path repeats a heading that does, is judged. The order of `SCREENS` is the order of judging; a
later screen may only raise a verdict.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from urllib.parse import unquote

from trueup.ingest.outline import Heading
from trueup.ingest.secrets import Finding, find_secrets
from trueup.model.text import Chunk, IngestSettings, Verdict

SCREENING_VERSION = "1"
_MOST_NAMES = 10


@dataclass(frozen=True, slots=True)
class Screen:
    """One kind of thing that may be wrong with a text.

    Attributes:
        name: the kind.
        mode: which setting governs it: `Quarantine`, `Flag` or `Off`.
        find: the rules, over a whole text.
    """

    name: str
    mode: Callable[[IngestSettings], str]
    find: Callable[[str], Iterable[Finding]]


SCREENS: tuple[Screen, ...] = (Screen("secrets", lambda s: s.secrets, find_secrets),)
"""Every screen, in order. A screen for `settings.injection` is one more entry."""

_VERDICTS = {"Quarantine": Verdict.QUARANTINED, "Flag": Verdict.FLAGGED}
_RANK = {Verdict.CLEAN: 0, Verdict.FLAGGED: 1, Verdict.QUARANTINED: 2}


@dataclass(frozen=True, slots=True)
class Mark:
    """A finding with the verdict that its screen's mode gives it."""

    finding: Finding
    verdict: Verdict


def marks(text: str, settings: IngestSettings, screens: Sequence[Screen]) -> list[Mark]:
    """What the screens that are on find in `text`, by place."""
    found = [Mark(finding, verdict) for screen in screens if (verdict := _VERDICTS.get(screen.mode(settings))) is not None for finding in screen.find(text)]
    return sorted(found, key=lambda m: (m.finding.start, m.finding.end)) if found else found


def name_marks(uri: str, settings: IngestSettings, screens: Sequence[Screen]) -> list[Mark]:
    """What is found in a document's name, as it stands and percent-decoded: it concerns every chunk."""
    plain = unquote(uri)
    return marks(uri if plain == uri else f"{uri}\n{plain}", settings, screens)


def tainted_titles(found: Sequence[Mark], headings: Sequence[Heading], settings: IngestSettings, screens: Sequence[Screen]) -> dict[str, list[Mark]]:
    """The titles that repeat a finding: a chunk far below would carry it in its heading path."""
    tainted: dict[str, list[Mark]] = {}
    if not found:
        return tainted
    for heading in headings:
        touching = list(_touching(found, heading.start, heading.end)) or marks(heading.title, settings, screens)
        if touching:
            tainted.setdefault(heading.title, []).extend(touching)
    return tainted


def judge(chunk: Chunk, touching: Sequence[Mark], document: str) -> Chunk:
    """`chunk` with its verdict. Of a quarantined one nothing remains from which its text could be had.

    Args:
        chunk: as it was cut.
        touching: the marks that concern it.
        document: digest of the document's bytes; with the place it names the chunk instead of its text.
    """
    if not touching:
        return chunk
    verdict = max((m.verdict for m in touching), key=_RANK.__getitem__)
    names = tuple(sorted({m.finding.rule for m in touching}))[:_MOST_NAMES]
    if verdict is not Verdict.QUARANTINED:
        return replace(chunk, verdict=verdict, findings=names)
    name = "\0".join(("quarantined", SCREENING_VERSION, document, str(chunk.ordinal), *names))
    return replace(chunk, text="", heading=(), digest="sha256:" + sha256(name.encode()).hexdigest(), verdict=verdict, findings=names)


class Touching:
    """The marks that touch one of ascending stretches. Findings are few and bounded, stretches are many."""

    def __init__(self, found: Sequence[Mark]) -> None:
        self._found = found
        self._starts = [m.finding.start for m in found]
        self._reach: list[int] = []
        reach = 0
        for mark in found:
            reach = max(reach, mark.finding.end)
            self._reach.append(reach)

    def of(self, start: int, end: int) -> list[Mark]:
        """The marks with a character in `start` to `end`, half-open."""
        last = bisect_left(self._starts, end)
        touching = []
        while last > 0 and self._reach[last - 1] > start:
            last -= 1
            if self._found[last].finding.end > start:
                touching.append(self._found[last])
        return touching


def _touching(found: Sequence[Mark], start: int, end: int) -> Iterator[Mark]:
    return (m for m in found if m.finding.start < end and m.finding.end > start)
