"""The corpus that every contender indexes: the same files, the same passages, the same vectors, made from a seed.

A file is Markdown with two sections, each of them one passage; every document holds a canary, a word that occurs nowhere
else, by which alone it is judged whether a document is served.
"""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import numpy as np

SEED = 20261121
PASSAGES = 2
DIMENSIONS = 384
_WORDS = [
    f"{a}{b}{c}"
    for a in "bdfglmnprst"
    for b in ("a", "e", "i", "o", "u", "an", "or")
    for c in ("ben", "dal", "gor", "kim", "lun", "mer", "nat", "pol", "rud", "sel")
]


def canary(number: int, version: int = 0) -> str:
    """The word by which version `version` of document `number` is known."""
    return "zq" + hashlib.sha256(f"{SEED}/{number}/{version}".encode()).hexdigest()[:14]


def path(number: int) -> str:
    """Where document `number` lies: at most 500 files a folder."""
    return f"part-{number // 500:04}/document-{number:07}.md"


def document(number: int, version: int = 0) -> str:
    """The text of a document: about 1.2 kB."""
    chance = random.Random(f"{SEED}/{number}")
    parts = []
    for section in range(PASSAGES):
        words = " ".join(chance.choices(_WORDS, k=85))
        # Only the second passage changes with the version: an edit is an edit, not another document.
        mark = canary(number, version) if section == PASSAGES - 1 else canary(number)
        parts.append(f"## Section {section + 1} of {number}\n\n{words} {mark}.\n")
    return "\n".join(parts)


def passages(text: str) -> list[str]:
    """The passages of a document, as every peer is given them."""
    return [part if part.startswith("## ") else f"## {part}" for part in text.split("\n## ")]


def write(folder: Path, count: int) -> None:
    """Make `count` documents below `folder`."""
    for number in range(count):
        place = folder / path(number)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(document(number), "utf-8")


def change(folder: Path, numbers: list[int], version: int) -> None:
    """Edit these documents."""
    for number in numbers:
        (folder / path(number)).write_text(document(number, version), "utf-8")


def vector(text: str, dimensions: int = DIMENSIONS) -> np.ndarray:
    """A unit vector that depends on nothing but the text: embedding as cheap as it can be, the same for everybody."""
    raw = np.frombuffer(hashlib.shake_128(text.encode()).digest(dimensions), dtype=np.int8).astype(np.float32)
    return raw / np.float32(np.linalg.norm(raw) or 1.0)
