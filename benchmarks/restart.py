"""From the start of a server on a full home to the first right answer, after SIGTERM and after a kill."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import time
from pathlib import Path

import corpus
from served import Served


def first_answer(server: Served, word: str) -> float:
    """Seconds from starting the process to an answer that holds `word`."""
    began = time.perf_counter()
    server.start()
    while not server.asks(word):
        if time.perf_counter() - began > 120:
            raise RuntimeError("no right answer within 120 s")
        time.sleep(0.01)
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
            loading = server.load(7200)
            word = corpus.canary(asked.documents // 2)
            found = {"name": "Trueup (serve)", "documents": asked.documents, "loading_s": round(loading, 1)}
            for label, how in (("after_sigterm_s", signal.SIGTERM), ("after_kill_s", signal.SIGKILL)):
                server.stop(how)
                found[label] = round(first_answer(server, word), 2)
        finally:
            server.stop()
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
