"""What each contender is put through: the same passes over the same folder, each measured in CPU and wall seconds."""

from __future__ import annotations

import argparse
import json
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import corpus


class Contender(Protocol):
    """What keeps an index of a folder."""

    def sync(self) -> None:
        """One pass; returns when what it found is what is served."""

    def drain(self) -> None:
        """Finish what the pass left to be cleared away; its CPU counts, its time does not."""

    def served(self, words: list[str]) -> int:
        """How many of the documents with these canaries are served."""

    def close(self) -> None:
        """Stop."""


def _pass(contender: Contender) -> dict[str, float]:
    cpu, began = time.process_time(), time.perf_counter()
    contender.sync()
    wall = time.perf_counter() - began
    contender.drain()
    return {"cpu": round(time.process_time() - cpu, 3), "wall": round(wall, 3)}


def passes(make: Callable[[Path, Path], Contender], documents: int) -> dict[str, Any]:
    """Everything that is measured of one contender over `documents` documents."""
    with tempfile.TemporaryDirectory() as scratch:
        folder, work = Path(scratch, "docs"), Path(scratch, "work")
        folder.mkdir()
        work.mkdir()
        corpus.write(folder, documents)
        contender = make(folder, work)
        found: dict[str, Any] = {"documents": documents, "chunks": documents * corpus.PASSAGES}
        chosen = random.Random(corpus.SEED).sample(range(documents), 300)
        changed, deleted = chosen[:100], chosen[100:150]
        try:
            found["initial"] = _pass(contender)
            assert contender.served([corpus.canary(n) for n in chosen]) == len(chosen), "the initial pass lost documents"
            found["quiet"] = min((_pass(contender) for _ in range(2)), key=lambda taken: taken["cpu"])
            corpus.change(folder, changed[:1], 1)
            found["changed_1"] = _pass(contender)
            corpus.change(folder, changed, 2)
            found["changed_100"] = _pass(contender)
            assert contender.served([corpus.canary(n, 2) for n in changed]) == len(changed), "a change was lost"
            for number in deleted:
                (folder / corpus.path(number)).unlink()
            words = [corpus.canary(n) for n in deleted]
            found["phantoms_before_next_pass"] = contender.served(words)
            found["deleted_50"] = _pass(contender)
            found["phantoms_after_next_pass"] = contender.served(words)
            found["peak_rss_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        finally:
            contender.close()
    return found


def main(name: str, make: Callable[[Path, Path], Contender]) -> None:
    """The command line of one contender: prints one JSON object."""
    parser = argparse.ArgumentParser(description=f"Passes of {name} over a made corpus.")
    parser.add_argument("--documents", type=int, default=5000, help="two chunks each; 300 or more")
    asked, _ = parser.parse_known_args()
    sys.stdout.write(json.dumps({"name": name, **passes(make, asked.documents)}) + "\n")
