"""From a change in a watched folder to the gate: deletions and edits, one after the other, under a real server."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import corpus
from served import Served, percentile

TRIES = 50


def until(check, timeout: float = 20.0) -> float:
    """Seconds until `check()` holds; the polling itself takes a few milliseconds a try."""
    began = time.perf_counter()
    while not check():
        if time.perf_counter() - began > timeout:
            raise RuntimeError(f"not within {timeout} s")
        time.sleep(0.002)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=5000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder, work = Path(scratch, "docs"), Path(scratch, "work")
        folder.mkdir()
        work.mkdir()
        corpus.write(folder, asked.documents)
        server = Served(work, folder)
        server.start()
        try:
            loading = server.load(3600)
            deletions, edits = [], []
            for number in range(TRIES):
                word = corpus.canary(number)
                assert server.asks(word), f"document {number} is not served"
                (folder / corpus.path(number)).unlink()
                deletions.append(until(lambda word=word: not server.asks(word)))
            for number in range(TRIES, 2 * TRIES):
                corpus.change(folder, [number], 1)
                edits.append(until(lambda number=number: server.asks(corpus.canary(number, 1))))
        finally:
            server.stop()
    found = {
        "name": "Trueup (watched, HTTP)",
        "documents": asked.documents,
        "loading_s": round(loading, 1),
        "deleted_to_gone_ms": {"p50": round(1000 * percentile(deletions, 0.5)), "p99": round(1000 * percentile(deletions, 0.99))},
        "edited_to_served_ms": {"p50": round(1000 * percentile(edits, 0.5)), "p99": round(1000 * percentile(edits, 0.99))},
    }
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
