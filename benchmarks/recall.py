"""Recall@10 of the index under access filters and tombstones, against exact search over all vectors in numpy."""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import uuid
from pathlib import Path

import numpy as np

import corpus
from trueup.index.edge import EdgeIndex
from trueup.model.index import GenerationSpec, Keys, Point, PointState, Question, Scope
from trueup.model.text import Vectors

SLOTS = 50
DEAD = 0.3
QUESTIONS = 100
K = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=5000, help="two chunks each")
    asked = parser.parse_args()
    chance = random.Random(corpus.SEED)
    generation = GenerationSpec(1, "f" * 64, corpus.DIMENSIONS, sparse=False)
    count = asked.documents * corpus.PASSAGES
    vectors = np.stack([corpus.vector(f"passage {number}") for number in range(count)])
    ids = [str(uuid.UUID(int=chance.getrandbits(128), version=4)) for _ in range(count)]
    # A few slots hold most documents, as readers do in life.
    slots = np.array([int(SLOTS * chance.random() ** 3) for _ in range(count)])
    dead = np.array([chance.random() < DEAD for _ in range(count)])
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        index = EdgeIndex(Path(folder))
        index.ensure(generation)
        for start in range(0, count, 2000):
            index.upsert(
                generation,
                [Point(ids[n], _keys(n, int(slots[n]), dead=False), Vectors(dense=vectors[n].tobytes())) for n in range(start, min(count, start + 2000))],
            )
        index.put_keys(generation, [(ids[n], _keys(n, int(slots[n]), dead=True)) for n in range(count) if dead[n]])
        for admitted in (1, 5, SLOTS):
            recalls = []
            for number in range(QUESTIONS):
                question = corpus.vector(f"question {number}")
                acls = frozenset(chance.sample(range(SLOTS), admitted))
                allowed = np.flatnonzero(~dead & np.isin(slots, list(acls)))
                best = allowed[np.argsort(-(vectors[allowed] @ question), kind="stable")[:K]]
                hits = index.search(generation, Question(dense=question.tobytes()), Scope(frozenset({"bench"}), acls), K)
                if len(best):
                    recalls.append(len({ids[n] for n in best} & {hit.id for hit in hits}) / len(best))
            found[f"of_{admitted}_slots"] = round(float(np.mean(recalls)), 4)
        index.close()
    sys.stdout.write(
        json.dumps({"name": "Embedded index", "documents": asked.documents, "chunks": count, "slots": SLOTS, "dead": DEAD, "recall_at_10": found}) + "\n"
    )


def _keys(number: int, slot: int, *, dead: bool) -> Keys:
    return Keys("bench", 1, number, slot, PointState.DEAD if dead else PointState.LIVE)


if __name__ == "__main__":
    main()
