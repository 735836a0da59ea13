"""Child processes that parse foreign formats, so that a hostile document can hurt only itself.

A child is started at the first need and kept. It speaks frames on its pipes: four bytes of length (big-endian) and the body, which is the
kind's name, a NUL and the document on the way in, JSON on the way out. Nothing is unpickled. The child limits its own memory, CPU and
files before it reads the first frame; the parent keeps the wall clock. A child that dies or overstays costs its document, and nothing else.

The child's side is `trueup.ingest.child`: no parser of a foreign format is ever imported into the parent.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import select
import struct
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

from trueup.ingest.kinds import Kind
from trueup.ingest.outline import Heading
from trueup.ingest.prepare import ForeignText, Unreadable

_LENGTH = struct.Struct(">I")
_CHILD = [sys.executable, "-P", "-s", "-m", "trueup.ingest.child"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one document may take.

    Attributes:
        memory: bytes of address space of a child, its interpreter included. A 16 MiB page takes some 20 times its size as a tree.
        cpu: seconds of CPU a document.
        wall: seconds a document, waiting for a busy machine included.
        growth: bytes of text per byte of document, and some for the first.
    """

    memory: int = 1 << 30
    cpu: int = 10
    wall: float = 30.0
    growth: int = 4


class Sandbox:
    """A small pool of children; a `ForeignParser`. Any thread may call; at most `size` documents are parsed at once."""

    def __init__(self, size: int = 2, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._size = size
        self._idle: queue.LifoQueue[_Child | None] = queue.LifoQueue()
        for _ in range(size):
            self._idle.put(None)

    def parse(self, kind: Kind, data: bytes) -> ForeignText:
        """The text of `data`.

        Raises:
            Unreadable: it is broken, hostile or beyond the limits.
        """
        child = self._idle.get()
        sound = False  # until its answer was whole: a child that was left in the middle of a frame is of no use
        try:
            if child is None or not child.alive:
                if child is not None:
                    child.kill()
                child = _Child(self._limits)
            answer = child.ask(kind.value.encode() + b"\0" + data)
            sound = True
            return _read(answer, len(data), self._limits)
        except _Lost as error:
            sound = False
            raise Unreadable(str(error)) from None
        finally:
            if child is not None and not sound:
                child.kill()
                child = None
            self._idle.put(child)

    def close(self) -> None:
        """End the children. Idempotent; a later `parse` starts new ones."""
        for _ in range(self._size):
            child = self._idle.get()
            if child is not None:
                child.kill()
            self._idle.put(None)


class _Lost(Exception):
    """The child gave no answer; the message is for people."""


class _Child:
    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [*_CHILD, str(limits.memory), str(limits.cpu)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            # No credentials of ours are in reach of what it parses.
            env={"PATH": os.defpath, "LANG": "C.UTF-8", "PYTHONPATH": os.pathsep.join(part for part in sys.path if part)},
            close_fds=True,
        )
        assert self._process.stdin is not None and self._process.stdout is not None  # noqa: S101, PT018 - both are pipes
        self._in, self._out = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._in, False)
        os.set_blocking(self._out, False)

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, body: bytes) -> bytes:
        """Send one frame and read one, both against the wall clock."""
        deadline = time.monotonic() + self._limits.wall
        left = memoryview(_LENGTH.pack(len(body)) + body)
        got = bytearray()
        most = len(body) * self._limits.growth * 6 + (1 << 20)  # JSON writes a character in six bytes at the most
        while True:
            wait = deadline - time.monotonic()
            if wait <= 0:
                raise _Lost(f"The parser did not finish within {self._limits.wall:g} s.")
            readable, writable, _ = select.select([self._out], [self._in] if left else [], [], wait)
            if readable:
                part = os.read(self._out, 1 << 20)
                if not part:
                    raise _Lost("The parser crashed or met a limit of memory or CPU.")
                got += part
                if len(got) >= _LENGTH.size and len(got) == _LENGTH.size + _LENGTH.unpack_from(got)[0]:
                    return bytes(got[_LENGTH.size :])
                if len(got) > most:
                    raise _Lost("The document unfolds to far more text than its size allows.")
            elif writable:
                try:
                    left = left[os.write(self._in, left[: 1 << 20]) :]
                except BrokenPipeError:
                    raise _Lost("The parser crashed or met a limit of memory or CPU.") from None

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


def _read(answer: bytes, size: int, limits: Limits) -> ForeignText:
    """The parent trusts no more of a frame than its shape: a parser that was taken over could send anything."""
    try:
        value: Any = json.loads(answer)
        refused = value.get("refused")
        text = str(value.get("text", ""))
        headings = tuple(Heading(int(s), int(e), int(level), str(title)[:200]) for s, e, level, title in value.get("headings", ()))
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise _Lost("The parser gave no answer that can be read.") from None
    if refused is not None:
        raise Unreadable(str(refused)[:200])
    if len(text) > size * limits.growth + 65_536:
        raise Unreadable("The document unfolds to far more text than its size allows.")
    edges = [0, *(edge for h in headings for edge in (h.start, h.end)), len(text)]
    if edges != sorted(edges) or "\0" in text or any(0xD800 <= ord(c) <= 0xDFFF for h in headings for c in h.title):
        raise _Lost("The parser gave no answer that can be read.")
    return ForeignText(text.encode("utf-8", "replace").decode() if not text.isascii() else text, headings)
