"""What a server may make us download, store and inflate, checked on the pack itself before anything else reads it.

A pack is compressed twice: a kilobyte can inflate to a megabyte, and a delta of seven bytes can copy sixteen. What an
object will be is said in its first bytes, so everything is added up, and held against the bytes that really come, without
keeping any of it.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import zlib
from dataclasses import dataclass
from typing import BinaryIO

from trueup.errors import SourceUnavailable

_BLOCK = 1 << 16
_WHOLE = (1, 2, 3, 4)  # commit, tree, blob, tag
_OFFSET_DELTA, _REF_DELTA = 6, 7
_HEAD, _SHA1 = 12, 20


@dataclass(frozen=True, slots=True)
class Bounds:
    """The most that one fetch may bring.

    Attributes:
        pack: bytes of a pack as sent.
        objects: objects in a pack.
        object: bytes of one object, inflated.
        ratio: inflated bytes per byte sent, once they are more than `free`. Text reaches 5, a long chain of deltas 50.
        free: inflated bytes for which the ratio does not matter.
        refs: bytes of a server's list of refs.
        entries: lines of a tree's listing, which a few kilobytes of trees that hold each other can make endless.
        depth: folders within folders.
        cache: bytes of a cache beyond which it is made anew.
    """

    pack: int = 2 << 30
    objects: int = 4_000_000
    object: int = 512 << 20
    ratio: int = 100
    free: int = 256 << 20
    refs: int = 64 << 20
    entries: int = 5_000_000
    depth: int = 200
    cache: int = 4 << 30


class Outgrown(SourceUnavailable):
    """The source is out of reach: {why}."""


def too_much(what: str) -> Outgrown:
    """The refusal of something that has outgrown its bound."""
    return Outgrown(why=f"its repository sends {what} than is accepted; it is not read")


def _broken(why: str) -> SourceUnavailable:
    return SourceUnavailable(why=f"its server sent a pack that {why}")


class Meter:
    """Counts what a server sends in one call: refs, which are kept in memory, and then perhaps a pack, which is not."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._read = 0
        self._packed = 0

    def read(self, count: int) -> None:
        """So many bytes came.

        Raises:
            Outgrown: they are more than is accepted.
        """
        self._read += count
        if self._read > self._bounds.refs + (self._bounds.pack * 2 if self._packed else 0):  # a pack comes with framing
            raise too_much("more bytes")

    def pack(self, count: int) -> None:
        """So many of them were a pack's."""
        self._packed += count
        if self._packed > self._bounds.pack:
            raise too_much("a larger pack")


def audit(file: BinaryIO, bounds: Bounds) -> None:
    """Let a pack file, open for reading, pass if it is whole and nothing in it outgrows `bounds`.

    Raises:
        SourceUnavailable: it is not, or something does.
    """
    size = os.fstat(file.fileno()).st_size
    if size < _HEAD + _SHA1:
        raise _broken("ends too early")
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        with memoryview(data) as view, view[: size - _SHA1] as said:
            digest = hashlib.sha1(said, usedforsecurity=False).digest()
        if data[size - _SHA1 :] != digest:
            raise _broken("is incomplete or damaged")
        _Audit(data, bounds).run()


class _Audit:
    """One pass over a pack that adds up what it would inflate to."""

    def __init__(self, data: mmap.mmap, bounds: Bounds) -> None:
        self._data = data
        self._end = len(data) - _SHA1
        self._at = _HEAD
        self._bounds = bounds
        self._inflated = 0

    def run(self) -> None:
        """The whole pass."""
        if self._data[:8] != b"PACK\0\0\0\2":
            raise _broken("is none")
        count = int.from_bytes(self._data[8:_HEAD], "big")
        if count > self._bounds.objects:
            raise too_much("more objects")
        for _ in range(count):
            self._object()
        if self._at != self._end:
            raise _broken("goes on after its end")

    def _object(self) -> None:
        kind, size = self._header()
        if kind == _OFFSET_DELTA:
            while self._byte() & 0x80:
                pass
        elif kind == _REF_DELTA:
            self._at += _SHA1
        elif kind not in _WHOLE:
            raise _broken("holds an object of no known kind")
        self._count(size)
        head = self._inflate(size)
        if kind in (_OFFSET_DELTA, _REF_DELTA):
            _, rest = _number(head)
            self._count(_number(rest)[0])

    def _count(self, size: int) -> None:
        if size > self._bounds.object:
            raise too_much("a larger object")
        self._inflated += size
        if self._inflated > max(self._bounds.free, self._bounds.ratio * len(self._data)):
            raise too_much("more, when inflated,")

    def _byte(self) -> int:
        if self._at >= self._end:
            raise _broken("ends too early")
        self._at += 1
        return self._data[self._at - 1]

    def _header(self) -> tuple[int, int]:
        byte = self._byte()
        kind, size, shift = byte >> 4 & 7, byte & 15, 4
        while byte & 0x80:
            byte = self._byte()
            size |= (byte & 0x7F) << shift
            shift += 7
        return kind, size

    def _inflate(self, size: int) -> bytes:
        """Pass over one zlib stream; returns its first bytes, where a delta has its sizes."""
        stream, head, seen = zlib.decompressobj(), b"", 0
        pending = b""
        while not stream.eof:
            if not pending:
                pending = self._data[self._at : min(self._at + _BLOCK, self._end)]
                self._at += len(pending)
                if not pending:
                    raise _broken("ends too early")
            try:
                out = stream.decompress(pending, _BLOCK)
            except zlib.error as error:
                raise _broken("does not inflate") from error
            pending = stream.unconsumed_tail
            head, seen = head or out[:32], seen + len(out)
            if seen > size:
                raise _broken("holds an object larger than it says")
        self._at -= len(stream.unused_data)
        if seen != size:
            raise _broken("holds an object smaller than it says")
        return head


def _number(data: bytes) -> tuple[int, bytes]:
    """A delta's size in seven bits a byte, least first, and what follows it."""
    value = 0
    for at, byte in enumerate(data[:10]):
        value |= (byte & 0x7F) << 7 * at
        if not byte & 0x80:
            return value, data[at + 1 :]
    raise _broken("holds a delta without sizes")
