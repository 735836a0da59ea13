"""Documents with fresh canaries: a word that was never written before, in every paragraph, so that text tells what it is from."""

from __future__ import annotations

import hashlib
import re
import secrets

COMMON = "lighthouse"
"""A word in every document: who asks for it gets whatever is served."""

_CANARY = re.compile(r"cn[0-9a-f]{20}")
_WORDS = ("harbour", "ledger", "granite", "window", "orchard", "signal", "copper", "meadow", "lantern", "quarry", "thistle", "anchor", "violet", "timber")


def canary() -> str:
    """A word that nobody has ever seen."""
    return "cn" + secrets.token_hex(10)


def canaries(text: str) -> set[str]:
    """The canaries in a text."""
    return set(_CANARY.findall(text))


def prose(mark: str, paragraphs: int = 1, front: dict[str, str] | None = None) -> str:
    """A document in which every paragraph, and so every chunk, holds `mark`; a paragraph is about one chunk."""
    head = "---\n" + "".join(f"{key}: {value}\n" for key, value in front.items()) + "---\n" if front else ""
    parts = []
    for number in range(paragraphs):
        words = [secrets.choice(_WORDS) for _ in range(45)]
        parts.append(f"## Part {number} {mark}\n\nThe {COMMON} keeper wrote {mark}. {mark} " + " ".join(words) + ".\n")
    return head + "\n".join(parts)


def digest(data: bytes) -> str:
    """As provenance has it."""
    return "sha256:" + hashlib.sha256(data).hexdigest()
