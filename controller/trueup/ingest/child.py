"""The child process that parses foreign formats: `python -m trueup.ingest.child MEMORY CPU`, started by the sandbox."""

from __future__ import annotations

import json
import resource
import struct
import sys
from typing import Any, BinaryIO

from trueup.ingest.html import Hostile, parse_html
from trueup.ingest.kinds import Kind

_LENGTH = struct.Struct(">I")


def limit(memory: int, cpu: int) -> None:
    """Bound what this process may take from now on: address space in bytes, CPU in seconds on top of what is used."""
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    used = resource.getrusage(resource.RUSAGE_SELF)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + cpu + 1, resource.RLIM_INFINITY))


def answer(body: bytes) -> dict[str, Any]:
    """The JSON for one frame: text and headings, or a sentence about why there is none."""
    name, _, data = body.partition(b"\0")
    if name != Kind.HTML.value.encode():
        return {"refused": "There is no parser for this type."}
    try:
        page = parse_html(data)
    except Hostile as error:
        return {"refused": str(error)}
    return {"text": page.text, "headings": [[h.start, h.end, h.level, h.title] for h in page.headings]}


def serve(incoming: BinaryIO, outgoing: BinaryIO, memory: int, cpu: int) -> None:
    """Answer frames until the parent is gone."""
    while len(head := incoming.read(_LENGTH.size)) == _LENGTH.size:
        body = incoming.read(_LENGTH.unpack(head)[0])
        limit(memory, cpu)
        try:
            made = json.dumps(answer(body)).encode()
        except (MemoryError, RecursionError):
            made = json.dumps({"refused": "The document takes more memory to parse than is allowed."}).encode()
        outgoing.write(_LENGTH.pack(len(made)) + made)
        outgoing.flush()


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer, int(sys.argv[1]), int(sys.argv[2]))
