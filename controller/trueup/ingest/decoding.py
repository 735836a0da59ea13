"""Bytes to text, keeping the way back: every character knows the bytes it came from."""

from __future__ import annotations

import codecs
from dataclasses import dataclass, field

UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
# Formats that begin with printable bytes and so could pass for text.
_MAGIC = (b"%PDF-", b"%!PS", b"{\\rtf", b"\x1f\x8b", b"PK\x03\x04", b"\x89PNG", b"GIF8", b"\xff\xd8\xff", b"\x7fELF", b"\xfd7zXZ", b"BZh", b"\x28\xb5\x2f\xfd")
_LFS = b"version https://git-lfs.github.com/spec/"
_SNIFF = 8192
_CONTROL = bytes(c for c in range(32) if c not in (8, 9, 10, 12, 13, 27)) + b"\x7f"


@dataclass(frozen=True, slots=True)
class Decoded:
    """A document's text as it is worked on.

    Attributes:
        text: without a byte order mark. In a dirty document each byte that is not UTF-8 is one surrogate (PEP 383), so that
            offsets stay exact; `render` turns a slice into what may be delivered.
        offset: bytes before the first character (the byte order mark).
        ascii: one byte a character.
        dirty: some bytes are not UTF-8.
        mapped: False where characters cannot be traced to bytes.
    """

    text: str = field(repr=False)
    offset: int = 0
    ascii: bool = False
    dirty: bool = False
    mapped: bool = True

    def render(self, piece: str) -> str:
        """A slice of `text` as it may leave: what is not UTF-8 is replaced by U+FFFD."""
        if not self.dirty:
            return piece
        return piece.encode("utf-8", "surrogateescape").decode("utf-8", "replace")

    def width(self, start: int, end: int) -> int:
        """Bytes between two offsets of `text`."""
        if self.ascii:
            return end - start
        return len(self.text[start:end].encode("utf-8", "surrogateescape"))


def decode(data: bytes) -> Decoded | None:
    """The text of `data`, or None where it is binary."""
    if data.startswith(UTF16) and not data.startswith(codecs.BOM_UTF32_LE):
        text = data.decode("utf-16", "replace")
        return None if "\0" in text else Decoded(text, mapped=False)
    if binary(data):
        return None
    offset = len(codecs.BOM_UTF8) if data.startswith(codecs.BOM_UTF8) else 0
    body = data[offset:] if offset else data
    if body.isascii():
        return Decoded(body.decode("ascii"), offset, ascii=True)
    try:
        return Decoded(body.decode("utf-8"), offset)
    except UnicodeDecodeError:
        return None if _garbled(body[:_SNIFF]) else Decoded(body.decode("utf-8", "surrogateescape"), offset, dirty=True)


def binary(data: bytes) -> bool:
    """Whether `data` is no text in any encoding that has ASCII in it: a NUL, a known signature, many control characters."""
    head = data[:_SNIFF]
    return b"\0" in data or data.startswith((*_MAGIC, _LFS)) or len(head) - len(head.translate(None, _CONTROL)) > len(head) // 16


def _garbled(head: bytes) -> bool:
    """Whether so much is not UTF-8 that it is no text with a few wrong bytes: more than half. Single-byte Cyrillic is still read."""
    return 2 * sum("\udc80" <= c <= "\udcff" for c in head.decode("utf-8", "surrogateescape")) > len(head) and len(head) > 64
