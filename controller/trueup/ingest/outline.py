"""The headings of a document: where each lies and the path of headings above it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from trueup.ingest.kinds import Kind

_TITLE = 200  # characters of a heading that are kept
_MOST = 65_536  # headings; a document with more has no structure
_FLOOD = 64  # headings closer than this many characters on average are no structure

# One pass over a Markdown text: ATX headings, fences, setext underlines. Only bounded or single repeats: linear. Each begins with the
# line's newline and not with `^`, which makes the search four times as fast; the text is searched with one newline put before it, so
# that a match begins at the offset of its line.
_MARKDOWN = re.compile(
    r"\n {0,3}(?:(?P<atx>#{1,6})(?=[ \t\r\n]|\Z)(?P<title>[^\n]*)|(?P<fence>`{3,}|~{3,})(?P<info>[^\n]*)|(?P<under>={2,}|-{2,})[ \t\r]*$)", re.MULTILINE
)
_RST = re.compile(r"\n([=\-~^\"'`#*+:.<>_])\1{2,}[ \t\r]*$", re.MULTILINE)
_ADORNED = re.compile(r"([=\-~^\"'`#*+:.<>_])\1{2,}[ \t\r]*\Z")
_CLOSING = re.compile(r"(?:(?<=\s)|^)#+\Z")
_BLANKS = re.compile(r"[\s\x00-\x1f]+")


@dataclass(frozen=True, slots=True)
class Heading:
    """One heading: its characters, half-open, its level from 1, and its title."""

    start: int
    end: int
    level: int
    title: str


@dataclass(frozen=True, slots=True)
class Section:
    """A stretch of text below one heading (and including its line), with the path of titles that leads there."""

    start: int
    end: int
    path: tuple[str, ...] = ()


def headings(text: str, kind: Kind, start: int = 0) -> list[Heading]:
    """The headings of `text` from `start` on, in order."""
    if kind is Kind.MARKDOWN:
        found = list(islice(_markdown(text, start), _MOST)) if "#" in text or "\n==" in text or "\n--" in text else []
    elif kind is Kind.RST:
        found = list(islice(_rst(text, start), _MOST))
    else:
        return []
    return thinned(found, len(text)) if len(found) < _MOST else []


def thinned(found: list[Heading], size: int) -> list[Heading]:
    """`found` without its deepest levels while it is a flood: a megabyte of `# a` lines is not 200,000 sections."""
    while len(found) > 64 and len(found) * _FLOOD > size:
        deepest = max(h.level for h in found)
        found = [h for h in found if h.level < deepest]
    return found


def sections(found: list[Heading], start: int, end: int, text: str) -> list[Section]:
    """Cut `start` to `end` at the headings. One with nothing below it joins the next, whose path it is part of anyway."""
    if not found:
        return [Section(start, end)]
    made: list[Section] = []
    stack: list[Heading] = []
    at = start
    path: tuple[str, ...] = ()
    bodies = start
    for heading in found:
        empty = heading.start <= bodies or text[bodies : heading.start].isspace()
        if not empty or (stack and heading.level <= stack[-1].level):  # an empty one before a sibling keeps its own line
            made.append(Section(at, heading.start, path))
            at = heading.start
        while stack and stack[-1].level >= heading.level:
            stack.pop()
        stack.append(heading)
        path = tuple(h.title for h in stack)
        bodies = heading.end
    made.append(Section(at, end, path))
    return made


def title(raw: str) -> str:
    """A heading's text on one line, without control characters, cut to a length that a path can hold."""
    return _BLANKS.sub(" ", raw).strip()[:_TITLE]


def _markdown(text: str, start: int) -> Iterator[Heading]:
    fence: str | None = None
    floor = start
    for match in _MARKDOWN.finditer("\n" + text, start):
        at, end = match.start(), match.end() - 1
        mark = match["fence"]
        if fence is not None:
            if mark is not None and mark[0] == fence[0] and len(mark) >= len(fence) and not match["info"].strip():
                fence = None
            floor = end
        elif mark is not None:
            if mark[0] == "~" or "`" not in match["info"]:  # else it is code in a line
                fence = mark
            floor = end
        elif match["atx"] is not None:
            yield Heading(at, end, len(match["atx"]), title(_CLOSING.sub("", match["title"].strip())))
            floor = end
        else:
            above = _above(text, at, floor)
            if above is not None:
                yield Heading(above, end, 1 if match["under"][0] == "=" else 2, title(text[above:at]))
                floor = end


def _above(text: str, at: int, floor: int) -> int | None:
    """Where the one line above an underline at `at` begins, if it is a paragraph of one line; else None."""
    if at < floor + 2 or text[at - 2] == "\n":
        return None
    start = max(text.rfind("\n", floor, at - 1) + 1, floor)
    line = text[start : min(at, start + 2 * _TITLE + 1)]
    if not line.strip() or len(line) > 2 * _TITLE or line.lstrip()[:1] in {"|", ">", "-", "*", "+"} or line.startswith(("    ", "\t")):
        return None
    before = text[max(text.rfind("\n", floor, max(start - 1, floor)) + 1, floor) : start]
    return start if not before.strip() else None


def _rst(text: str, start: int) -> Iterator[Heading]:
    """Titles by their adornment; each style's level is the order in which it first appears."""
    levels: dict[tuple[str, bool], int] = {}
    over: tuple[int, int, str] | None = None  # the adornment before: start, end, character
    floor = start
    for match in _RST.finditer("\n" + text, start):
        at, end, mark = match.start(), match.end() - 1, match[1]
        begin = max(text.rfind("\n", floor, max(at - 1, floor)) + 1, floor)
        line = text[begin : min(at, begin + 2 * _TITLE + 1)]
        framed = over is not None and over[1] + 1 == begin and over[2] == mark
        if _titled(line, end - at, framed=framed):
            level = levels.setdefault((mark, framed), len(levels) + 1)
            yield Heading(over[0] if framed and over else begin, end, min(level, 6), title(line))
            over, floor = None, end
        else:
            over = (at, end, mark)


def _titled(line: str, adornment: int, *, framed: bool) -> bool:
    """Whether `line` is the title of an adornment of so many characters below it."""
    width = len(line.strip())
    return 0 < width <= 2 * _TITLE and adornment >= min(width, 4) and (framed or not line[0].isspace()) and not _ADORNED.match(line.strip())
