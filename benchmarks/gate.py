"""What the gate adds to a search: its latency in process beside that of the raw index, on the same question and filter."""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import corpus
from plant import SystemClock, Trueup, running
from served import percentile
from trueup.catalog import placing, serving
from trueup.catalog.store import URGENT
from trueup.gate.deps import Gate
from trueup.gate.identity import LocalIdentity
from trueup.gate.keys import Keys
from trueup.gate.reach import reach
from trueup.gate.retrieve import retrieve
from trueup.gate.searching import targets
from trueup.gate.verify import admitted
from trueup.gate.wish import Wish
from trueup.model.listing import Scope
from trueup.model.principal import Caller

QUESTIONS = 300
TOP_K = 8
CANDIDATES = 2 * TOP_K + 8
"""What the gate asks of the index first for eight results."""


def measure(trueup: Trueup, gate: Gate, documents: int, version: int) -> dict[str, Any]:
    """Percentiles in milliseconds over the same questions, taken in turns so that both see the same machine."""
    chance = random.Random(corpus.SEED)
    caller = Caller(user="bench", token="bench", issued_at=time.time(), expires_at=time.time() + 3600)
    raw, governed = [], []
    for _ in range(QUESTIONS):
        number = chance.randrange(documents)
        wish = Wish(query=corpus.passages(corpus.document(number, version))[0], top_k=TOP_K)
        with trueup.store.read() as read:
            plan = targets(gate, reach(gate.atlas.at(read, admitted(read, caller).sequence), caller), serving.serving(read), wish)
        target = plan.usable[0]
        began = time.perf_counter()
        trueup.index.search(target.generation, target.question, target.scope, CANDIDATES)
        between = time.perf_counter()
        answer = retrieve(gate, caller, wish, {"top_k": TOP_K, "max_tokens": wish.max_tokens})
        governed.append(1000 * (time.perf_counter() - between))
        raw.append(1000 * (between - began))
        assert answer["results"]
    shown = {
        name: {"p50": round(percentile(values, 0.5), 2), "p95": round(percentile(values, 0.95), 2)}
        for name, values in (("index_ms", raw), ("gate_ms", governed))
    }
    return {**shown, "added_p95_ms": round(shown["gate_ms"]["p95"] - shown["index_ms"]["p95"], 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=5000, help="two chunks each")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder, home = Path(scratch, "docs"), Path(scratch, "home")
        folder.mkdir()
        corpus.write(folder, asked.documents)
        with running(home) as trueup:
            trueup.apply(folder)
            while not trueup.decided():
                time.sleep(0.05)
            trueup.published()
            keys = Keys.load(home / "keys")
            gate = Gate(
                store=trueup.store,
                index=trueup.index,
                embedders=trueup.embedders,
                clock=SystemClock(),
                identity=LocalIdentity(keys.token, SystemClock()),
                keys=keys,
                controller=None,
                distrust=lambda: trueup.store.write(placing.distrust, URGENT),
            )
            found: dict[str, Any] = {"name": "Trueup (gate)", "documents": asked.documents, "chunks": asked.documents * corpus.PASSAGES}
            found["live"] = measure(trueup, gate, asked.documents, 0)
            corpus.change(folder, list(range(asked.documents)), 1)
            origin = trueup.core.find("default", "bench")
            assert origin is not None
            trueup.core.visits.visit(origin, Scope())
            trueup.published()
            trueup.settled()
            found["with_as_many_tombstones"] = measure(trueup, gate, asked.documents, 1)
            gate.close()
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
