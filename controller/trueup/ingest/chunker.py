"""Text to chunks: along the document's own structure, and inside a section at boundaries that its content chooses.

Within the window of sizes that is allowed for the next cut, the strongest kind of break wins (a blank line before a
line that is not indented, any blank line, a line, a sentence, a blank), and of several the one around which the text hashes
highest. So a cut depends on what is near it and not on what came before: after a small edit both texts soon agree on
a cut again, and every chunk after it keeps its digest and its vector.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256

from trueup.ingest.decoding import Decoded
from trueup.ingest.outline import Section
from trueup.model.text import Chunk, IngestSettings, Span

CHUNKER_VERSION = "1"

# 200 to 900 characters for a model that reads 256 tokens; the mean is near 600. Other sizes keep these proportions.
_CHARACTERS_A_TOKEN = 900 / 256
_SMALLEST = 200 / 900
_FLOOR = 64

_MOST_PLACES = 48  # that are weighed for one cut; a window of short words has hundreds
_AROUND = 24  # characters on each side of a place that are hashed

_BREAKS = tuple(
    re.compile(pattern)
    for pattern in (
        r"\n[ \t\r]*\n(?=[^\s])",
        r"\n[ \t\r]*\n(?=[ \t]*[^\s])",
        r"\n",
        r"[.!?;\u3002\uff01\uff1f][\"')\]]?[ \t]|[\u3002\uff01\uff1f]",
        r"[ \t]",
        r"[,;:)\]}>/|]",
    )
)
_LEADING = re.compile(r"(?:[ \t\r\f\v]*\n)+")


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bounds of a chunk and how much of the one before it repeats, in characters."""

    least: int
    most: int
    overlap: int


def sizes(settings: IngestSettings) -> Sizes:
    """The bounds that `chunking` asks for."""
    most = max(int(settings.max_tokens * _CHARACTERS_A_TOKEN), _FLOOR)
    overlap = min(int(settings.overlap * _CHARACTERS_A_TOKEN), most // 2)
    return Sizes(max(int((most - overlap) * _SMALLEST), 1), most - overlap, overlap)


def digest(text: str, heading: tuple[str, ...]) -> str:
    """The digest of a chunk: over text, heading path and chunker version, none of which holds a NUL."""
    whole = "\0".join((CHUNKER_VERSION, text, *heading))
    return "sha256:" + sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class Piece:
    """A chunk to be: characters of the text, half-open, without blank edges, and the headings above."""

    start: int
    end: int
    path: tuple[str, ...]


def pieces(text: str, parts: list[Section], bounds: Sizes) -> Iterator[Piece]:
    """Cut each section; stretches of nothing but blanks are left out."""
    for part in parts:
        at = part.start
        for cut in _cuts(text, part, bounds):
            begin = at if at == part.start or not bounds.overlap else _back(text, max(part.start, at - bounds.overlap), at)
            leading = _LEADING.match(text, begin, cut)
            start = leading.end() if leading else begin
            end = start + len(text[start:cut].rstrip())
            if end > start:
                yield Piece(start, end, part.path)
            at = cut


def chunks(source: Decoded, cut: Iterable[Piece]) -> Iterator[Chunk]:
    """The chunks of a document from its pieces, in order, with their spans."""
    text = source.text
    place = _Place(source)
    for ordinal, piece in enumerate(cut):
        first, begin = place.at(piece.start)
        last, end = first + text.count("\n", piece.start, piece.end), begin + source.width(piece.start, piece.end)
        body = source.render(text[piece.start : piece.end])
        path = tuple(map(source.render, piece.path)) if source.dirty else piece.path
        yield Chunk(ordinal, body, path, Span((begin, end) if source.mapped else None, (first, last)), digest(body, path))


class _Place:
    """Line and byte of ascending offsets, counted on from the one before: linear over a document."""

    def __init__(self, source: Decoded) -> None:
        self._source = source
        self._offset = 0
        self._line = 1
        self._byte = source.offset

    def at(self, offset: int) -> tuple[int, int]:
        """Line from 1 and byte of the character at `offset`; an overlap steps back a little."""
        source = self._source
        if offset >= self._offset:
            self._line += source.text.count("\n", self._offset, offset)
            self._byte += source.width(self._offset, offset)
        else:
            self._line -= source.text.count("\n", offset, self._offset)
            self._byte -= source.width(offset, self._offset)
        self._offset = offset
        return self._line, self._byte


def _cuts(text: str, part: Section, bounds: Sizes) -> Iterator[int]:
    """Where the section's pieces end, its own end last."""
    at = part.start
    while part.end - at > bounds.most:
        at = _cut(text, at + bounds.least, at + bounds.most)
        yield at
    yield part.end


def _cut(text: str, low: int, high: int) -> int:
    """The best place to cut in (low, high]: the strongest kind of break there is, the highest hash among those."""
    for pattern in _BREAKS:
        ends = [match.end() for match in pattern.finditer(text, low, high)]
        if len(ends) > 1:
            return _highest(text, ends[-_MOST_PLACES:])
        if ends:
            return ends[0]
    return high


def _highest(text: str, ends: list[int]) -> int:
    """The one of `ends` around which the text hashes highest: the same one wherever that text stands."""
    return max([(zlib.crc32(text[end - _AROUND if end > _AROUND else 0 : end + _AROUND].encode("utf-8", "surrogatepass")), end) for end in ends])[1]


def _back(text: str, low: int, high: int) -> int:
    """Where an overlap begins: after the first blank in it, so that it starts with a whole word."""
    blank = re.compile(r"\s").search(text, low, high)
    return blank.end() if blank else low
