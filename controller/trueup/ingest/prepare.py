"""One document: bytes to judged chunks. Pure: the same bytes, name and settings give the same result, whatever else goes on.

    bytes → kind (by name) → text → front matter → headings → chunks → verdicts

A document is refused, never half read and never raised about: `prepare` takes whatever bytes there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol

from trueup.errors import TrueupError
from trueup.ingest import chunker, outline, screening
from trueup.ingest.decoding import UTF16, Decoded, binary, decode
from trueup.ingest.frontmatter import BadExpiry, FrontMatter, front_matter
from trueup.ingest.kinds import Kind, kind_of, supported
from trueup.ingest.outline import Heading
from trueup.ingest.screening import SCREENS, Screen
from trueup.model.text import Chunk, IngestSettings, Prepared, Refusal

__all__ = ["PREPARE_VERSION", "ForeignParser", "ForeignText", "Unreadable", "prepare", "supported"]

PREPARE_VERSION = f"{chunker.CHUNKER_VERSION}.{screening.SCREENING_VERSION}"
"""Changes whenever the same bytes and settings could give another result: part of what makes a document due again."""


_BINARY = "The document is binary, whatever its name says."


class Unreadable(TrueupError):
    """The document could not be parsed within its limits."""

    reason = "Unreadable"


@dataclass(frozen=True, slots=True)
class ForeignText:
    """Text that a parser had from a foreign format, and the headings in it by their characters, ascending."""

    text: str
    headings: tuple[Heading, ...] = ()


class ForeignParser(Protocol):
    """Reads formats whose parsers are not to be trusted with hostile bytes; in another process."""

    def parse(self, kind: Kind, data: bytes) -> ForeignText:
        """The text of `data`.

        Raises:
            Unreadable: it is broken, hostile or beyond the limits.
        """
        ...


@dataclass(frozen=True, slots=True)
class _Extracted:
    source: Decoded
    headings: list[Heading]
    start: int = 0
    matter: FrontMatter | None = None


class _Refused(Exception):
    def __init__(self, refusal: Refusal, message: str) -> None:
        super().__init__(message)
        self.refusal = refusal


def prepare(data: bytes, uri: str, settings: IngestSettings, foreign: ForeignParser | None = None, screens: Sequence[Screen] = SCREENS) -> Prepared:
    """Extract, chunk and screen one document.

    Args:
        data: the document as read.
        uri: its name within the source; decides how it is read, and is screened itself.
        settings: everything else that decides the result.
        foreign: reads HTML; without one HTML is unsupported.
        screens: in order of judging.

    Returns:
        The judged chunks, or why there are none. Never raises for what a document holds.
    """
    digest = "sha256:" + sha256(data).hexdigest()
    try:
        extracted = _extract(data, uri, settings, foreign)
    except _Refused as refused:
        return Prepared(digest, refusal=refused.refusal, message=str(refused))
    matter = extracted.matter
    return Prepared(
        digest,
        _screened(extracted, uri, settings, digest, screens),
        expires_at=matter.expires_at if matter else None,
        conflict_key=_conflict_key(matter, settings, screens) if matter else None,
    )


def _extract(data: bytes, uri: str, settings: IngestSettings, foreign: ForeignParser | None) -> _Extracted:
    if len(data) > settings.max_document_bytes:
        raise _Refused(Refusal.TOO_LARGE, f"The document is larger than the {settings.max_document_bytes} bytes that limits.maxDocumentBytes allows.")
    kind = kind_of(uri)
    if kind is None:
        raise _Refused(Refusal.UNSUPPORTED, "Documents of this type are not read.")
    if kind is Kind.HTML:
        return _foreign(data, kind, foreign)
    source = decode(data)
    if source is None:
        raise _Refused(Refusal.UNSUPPORTED, _BINARY)
    try:
        matter = front_matter(source.text) if kind is not Kind.CODE else None
    except BadExpiry:
        raise _Refused(Refusal.BAD_EXPIRY, "The front matter's `expires` is not an RFC 3339 time with an offset, such as 2026-11-21T14:30:00Z.") from None
    start = matter.end if matter else 0
    return _Extracted(source, outline.headings(source.text, kind, start), start, matter)


def _foreign(data: bytes, kind: Kind, foreign: ForeignParser | None) -> _Extracted:
    if foreign is None:
        raise _Refused(Refusal.UNSUPPORTED, f"{kind} is read only where a parser process is set up.")
    if binary(data) and not data.startswith(UTF16):
        raise _Refused(Refusal.UNSUPPORTED, _BINARY)
    try:
        parsed = foreign.parse(kind, data)
    except Unreadable as error:
        raise _Refused(Refusal.UNREADABLE, str(error)) from None
    return _Extracted(Decoded(parsed.text, mapped=False), outline.thinned(list(parsed.headings), len(parsed.text)))


def _screened(extracted: _Extracted, uri: str, settings: IngestSettings, digest: str, screens: Sequence[Screen]) -> tuple[Chunk, ...]:
    source, text = extracted.source, extracted.source.text
    parts = outline.sections(extracted.headings, extracted.start, len(text), text)
    bounds = chunker.sizes(settings)
    pieces = list(chunker.pieces(text, parts, bounds))
    cut = chunker.chunks(source, pieces)
    found = screening.marks(text, settings, screens)
    everywhere = screening.name_marks(uri, settings, screens)
    if not found and not everywhere:
        return tuple(cut)
    tainted = screening.tainted_titles(found, extracted.headings, settings, screens)
    touching = screening.Touching(found)
    return tuple(
        screening.judge(chunk, [*everywhere, *touching.of(piece.start, piece.end), *(m for title in piece.path for m in tainted.get(title, ()))], digest)
        for piece, chunk in zip(pieces, cut, strict=True)
    )


def _conflict_key(matter: FrontMatter, settings: IngestSettings, screens: Sequence[Screen]) -> str | None:
    """The declared key's value; none that a screen objects to, because it is kept and shown."""
    value = matter.values.get(settings.conflict_front_matter) if settings.conflict_front_matter else None
    return None if not value or screening.marks(value, settings, screens) else value
