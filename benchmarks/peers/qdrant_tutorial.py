"""The pattern of Qdrant's tutorial on incremental updates: list all chunks, compare digests with the collection, write the difference.

The collection is the embedded engine that Trueup uses too, so that the index costs both the same.
"""

from __future__ import annotations

import hashlib
import sys
import uuid
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import qdrant_edge as engine

import corpus
from passes import main

BATCH = 256


class Tutorial:
    def __init__(self, folder: Path, work: Path) -> None:
        self.folder = folder
        config = engine.EdgeConfig(vectors={"dense": engine.EdgeVectorParams(size=corpus.DIMENSIONS, distance=engine.Distance.Cosine)})
        (work / "shard").mkdir()
        self.shard = engine.EdgeShard.create(str(work / "shard"), config)

    def sync(self) -> None:
        wanted = {}
        for path in sorted(self.folder.rglob("*.md")):
            name = str(path.relative_to(self.folder))
            for ordinal, passage in enumerate(corpus.passages(path.read_text("utf-8"))):
                digest = hashlib.sha256(passage.encode()).hexdigest()
                wanted[str(uuid.uuid5(uuid.NAMESPACE_URL, f"{name}#{ordinal}"))] = (digest, passage, name)
        have = {str(record.id): record.payload["digest"] for record in self._records()}
        write = [(id_, *value) for id_, value in wanted.items() if have.get(id_) != value[0]]
        for start in range(0, len(write), BATCH):
            points = [
                engine.Point(uuid.UUID(id_), {"dense": corpus.vector(passage).tolist()}, {"digest": digest, "text": passage, "source": name})
                for id_, digest, passage, name in write[start : start + BATCH]
            ]
            self.shard.update(engine.UpdateOperation.upsert_points(points))
        gone = [uuid.UUID(id_) for id_ in have if id_ not in wanted]
        if gone:
            self.shard.update(engine.UpdateOperation.delete_points(gone))
        self.shard.flush()

    def _records(self):
        offset = None
        while True:
            records, offset = self.shard.scroll(engine.ScrollRequest(offset=offset, limit=1000, with_payload=True, with_vector=False))
            yield from records
            if offset is None:
                return

    def drain(self) -> None:
        pass

    def served(self, words: list[str]) -> int:
        text = "\n".join(record.payload["text"] for record in self._records())
        return sum(word in text for word in words)

    def close(self) -> None:
        self.shard.close()


if __name__ == "__main__":
    main("Qdrant tutorial", Tutorial)
