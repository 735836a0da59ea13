"""CocoIndex's live mode: seconds from `unlink` until its table no longer has the document's rows."""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
if "--live" not in sys.argv:
    sys.argv.append("--live")

import cocoindex_app

import corpus

TRIES = 20


def rows(database: Path, name: str) -> int:
    connection = sqlite3.connect(database, timeout=10)
    try:
        return connection.execute("SELECT count(*) FROM chunks WHERE source LIKE ?", (f"%{name}",)).fetchone()[0]
    except sqlite3.OperationalError:
        return -1  # the table is not there yet
    finally:
        connection.close()


def until(check) -> float:
    began = time.perf_counter()
    while not check():
        if time.perf_counter() - began > 120:
            raise RuntimeError("not within 120 s")
        time.sleep(0.002)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=5000)
    asked, _ = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder, work = Path(scratch, "docs"), Path(scratch, "work")
        folder.mkdir()
        work.mkdir()
        corpus.write(folder, asked.documents)
        peer = cocoindex_app.CocoIndex(folder, work)
        threading.Thread(target=lambda: peer.app.update_blocking(live=True), daemon=True).start()
        until(lambda: rows(peer.database, corpus.path(asked.documents - 1)) == corpus.PASSAGES)
        time.sleep(2)  # its watcher begins when the first pass is through
        taken = []
        for number in range(TRIES):
            (folder / corpus.path(number)).unlink()
            taken.append(until(lambda number=number: rows(peer.database, corpus.path(number)) == 0))
        taken.sort()
        found = {"p50": round(1000 * taken[len(taken) // 2]), "p99": round(1000 * taken[-1])}
        sys.stdout.write(json.dumps({"name": "CocoIndex (live, its table)", "documents": asked.documents, "deleted_to_gone_ms": found}) + "\n")
        sys.stdout.flush()
    os._exit(0)  # the live update has no end


if __name__ == "__main__":
    main()
