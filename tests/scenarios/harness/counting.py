"""`trueup serve` as it is, begun in no time and watched from inside: for tests that kill it a hundred times.

Run as a script with the name of a FIFO and the arguments of `trueup`. It imports the program once, and for each line in the FIFO
forks a process that runs it. The file CLOCK holds the seconds (a double) by which its wall clock is off. A line in the file EMBEDDED tells of each text that is embedded, and each takes as long as a real
model would need (EMBED_SECONDS), so that a kill has something to interrupt.
"""

from __future__ import annotations

import ctypes
import hashlib
import mmap
import os
import signal
import struct
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import trueup.app
import trueup.sources.directory
import trueup.sources.git
from trueup.ingest import embedders
from trueup.model.text import Vectors
from trueup.surfaces.cli import main

_PR_SET_PDEATHSIG = 1
_embed = embedders.VectorEmbedder.embed


def counted(self: embedders.VectorEmbedder, texts: Sequence[str]) -> list[Vectors]:
    """As it was, and told, and slower."""
    lines = "".join(f"{os.getpid()} {hashlib.sha256((self.fingerprint + text).encode()).hexdigest()}\n" for text in texts)
    handle = os.open(os.environ["EMBEDDED"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(handle, lines.encode())
    finally:
        os.close(handle)
    time.sleep(float(os.environ["EMBED_SECONDS"]) * len(texts))
    return _embed(self, texts)


def shifted(file: Path) -> None:
    """Put the program's wall clock off by what the file says at each moment; the forks share it."""
    with file.open("r+b") as opened:
        shift = mmap.mmap(opened.fileno(), 8)
    trueup.app.SystemClock.now = lambda _: time.time() + struct.unpack("d", shift)[0]  # type: ignore[method-assign]


def fork(fifo: Path, arguments: list[str]) -> int:
    """A process that runs the program; it ends with this one."""
    child = os.fork()
    if child == 0:
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        fifo.with_suffix(".pid").write_text(f"{os.getpid()}\n")
        sys.argv = ["trueup", *arguments]
        code = main()
        sys.stdout.flush()
        os._exit(code if isinstance(code, int) else 0)
    return child


def serve(fifo: Path, arguments: list[str]) -> None:
    """Fork once for each line, when the process before is dead."""
    assert trueup.sources  # the connectors are imported for the forks
    shifted(Path(os.environ["CLOCK"]))
    embedders.VectorEmbedder.embed = counted  # type: ignore[method-assign]
    os.mkfifo(fifo)
    child = None
    with os.fdopen(os.open(fifo, os.O_RDWR)) as lines:
        for _ in lines:
            if child is not None:
                os.waitpid(child, 0)
            child = fork(fifo, arguments)


if __name__ == "__main__":
    serve(Path(sys.argv[1]), sys.argv[2:])
