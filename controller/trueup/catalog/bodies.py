"""The texts of chunks, kept once each by their digest: a codec byte and the text."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import sqlalchemy as sa

from trueup.catalog.store import Write

_KEEP_BODY = sa.text("INSERT INTO body (digest, data) VALUES (:digest, :data) ON CONFLICT DO NOTHING")
_WORTH_PACKING = 1024
"""Bytes of text below which it is kept as it is: the vector beside it is larger, and packing takes longer than inserting."""


def keep_bodies(tx: Write, texts: Mapping[str, str]) -> None:
    """Keep `texts`, by digest, where they are not there yet."""
    tx.many(_KEEP_BODY, [{"digest": digest, "data": pack_body(text)} for digest, text in texts.items()])


def pack_body(text: str) -> bytes:
    """A codec byte and the text: 0 raw, 1 zlib where that saves a fifth."""
    raw = text.encode()
    if len(raw) >= _WORTH_PACKING:
        packed = zlib.compress(raw, 1)
        if len(packed) * 5 < len(raw) * 4:
            return b"\x01" + packed
    return b"\x00" + raw


def unpack_body(data: bytes) -> str:
    """The text that `pack_body` packed."""
    return (zlib.decompress(data[1:]) if data[0] == 1 else data[1:]).decode()
