"""What ingest makes of one document's bytes: text, chunks, verdicts and vectors."""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass, field


class Verdict(enum.StrEnum):
    """What screening says of one chunk. Later screens may only raise it."""

    CLEAN = "Clean"
    FLAGGED = "Flagged"
    """Delivered, with its findings shown."""
    QUARANTINED = "Quarantined"
    """Never embedded, indexed or delivered; its text is not kept."""


@dataclass(frozen=True, slots=True)
class Span:
    """Where a chunk lies: bytes half-open in the document as read (None where text was extracted), lines from 1, inclusive."""

    bytes: tuple[int, int] | None
    lines: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Chunk:
    """A span of one document.

    Attributes:
        ordinal: its place in the document, from 0.
        text: what is delivered. Empty when quarantined.
        heading: the headings above it, outermost first.
        span: where it lies.
        digest: `sha256:hex` over text, heading path and chunker version; no offsets, so that vectors survive moves.
        verdict: what screening said.
        findings: the names of the rules that matched, never the matched text.
    """

    ordinal: int
    text: str = field(repr=False)
    heading: tuple[str, ...]
    span: Span
    digest: str
    verdict: Verdict = Verdict.CLEAN
    findings: tuple[str, ...] = ()


class Refusal(enum.StrEnum):
    """Why no text was had from a document."""

    UNSUPPORTED = "Unsupported"
    """No extractor for this kind of content. Counted, not an error."""
    TOO_LARGE = "TooLarge"
    UNREADABLE = "Unreadable"
    """The bytes are broken, hostile or beyond the parser's limits."""
    BAD_EXPIRY = "BadExpiry"
    """Front matter `expires` is not an RFC 3339 time: its end cannot be known, so it is not served."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """The pure result of extract → chunk → screen over one document's bytes and settings.

    Attributes:
        digest: `sha256:hex` of the bytes.
        chunks: in document order; empty for an empty document.
        expires_at: front matter `expires`, seconds since the epoch.
        conflict_key: the value of the configured front-matter key.
        refusal: why there is no text; chunks is empty then.
        message: one sentence for people about the refusal, without content of the document.
    """

    digest: str
    chunks: tuple[Chunk, ...] = ()
    expires_at: float | None = None
    conflict_key: str | None = None
    refusal: Refusal | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class IngestSettings:
    """Everything besides the bytes and the uri that decides what `Prepared` is.

    `digest()` of it is part of what makes a document due for loading again.
    """

    max_tokens: int = 256
    overlap: int = 0
    max_document_bytes: int = 16 * 1024 * 1024
    secrets: str = "Quarantine"
    injection: str = "Flag"
    conflict_front_matter: str | None = None


@dataclass(frozen=True, slots=True)
class Sparse:
    """A sparse vector: murmur3 term ids and their weights, same length, ids ascending."""

    indices: tuple[int, ...]
    values: tuple[float, ...]

    def pack(self) -> bytes:
        """Little-endian: a uint32 count, the uint32 ids, the float32 weights."""
        count = len(self.indices)
        return struct.pack(f"<I{count}I{count}f", count, *self.indices, *self.values)

    @classmethod
    def unpack(cls, data: bytes) -> Sparse:
        """The vector that `pack` packed."""
        (count,) = struct.unpack_from("<I", data)
        numbers = struct.unpack_from(f"<{count}I{count}f", data, 4)
        return cls(numbers[:count], numbers[count:])


@dataclass(frozen=True, slots=True)
class Vectors:
    """The vectors of one chunk; a member is None where the generation does not use it.

    `dense` is little-endian float32, as bytes: what the cache stores and numpy reads without copying.
    """

    dense: bytes | None = field(repr=False, default=None)
    sparse: Sparse | None = field(repr=False, default=None)
