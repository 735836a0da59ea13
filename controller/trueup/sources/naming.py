"""Names of documents: the bytes of a path at the origin, and the uri that stands for them.

A uri is the path below the source's root, joined by "/", in which every byte that is not UTF-8 and every control
character (C0, DEL, C1), bidirectional control and "%" is written as "%" and two upper-case hexadecimal digits a byte.
Nothing is normalised: two names that differ in bytes differ as uris, and each uri stands for exactly one path.
"""

from __future__ import annotations

import os
import re

# Printable ASCII without "%": what most names are made of, and what needs no work.
_PLAIN = re.compile(r"[ -$&-~]+").fullmatch
# C0, "%", DEL and C1; the bidirectional controls of Unicode 16 (property Bidi_Control).
_ESCAPED = re.compile(r"[\x00-\x1f%\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\udc80-\udcff]")
_TRIPLET = re.compile(rb"%([0-9A-F]{2})")


def _escape(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match.group().encode("utf-8", "surrogateescape"))


def encode(path: bytes) -> str:
    """The uri of `path`, the bytes of a relative path with "/" between its components."""
    return _ESCAPED.sub(_escape, path.decode("utf-8", "surrogateescape"))


def encode_name(name: str) -> str:
    """The uri of one name as `os.scandir` gives it (undecodable bytes as surrogates)."""
    return name if _PLAIN(name) else encode(os.fsencode(name))


def decode(uri: str) -> bytes:
    """The path that `uri` stands for.

    Raises:
        ValueError: no path is written that way (a stray "%", an escape that was not needed, a lone surrogate).
    """
    if _PLAIN(uri):
        return uri.encode()
    path = _TRIPLET.sub(lambda match: bytes([int(match.group(1), 16)]), uri.encode())
    if encode(path) != uri:
        raise ValueError("this is not how a document's uri is written")
    return path


def components(uri: str) -> tuple[bytes, ...]:
    """The names that lead from the root to `uri`, fit to be opened one below the other.

    Raises:
        ValueError: it is no uri of ours, or has an empty, "." or ".." component or a NUL: no document has such a name.
    """
    names = tuple(decode(uri).split(b"/"))
    if any(name in (b"", b".", b"..") or b"\0" in name for name in names):
        raise ValueError("this names no document")
    return names
