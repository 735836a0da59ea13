"""Which generation an index serves, and which one is being built to replace it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from trueup.catalog.announcing import SOURCES
from trueup.catalog.store import Read, Write
from trueup.model.index import GenerationSpec

BUILTIN = ""
"""The key of the installation's built-in index, for sources whose namespace declares none."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A generation as it is wanted: the embedder's fingerprint and shape, and how to make it again."""

    fingerprint: str
    dimensions: int
    sparse: bool
    embedding: Mapping[str, Any]
    degraded: str | None = None


@dataclass(frozen=True, slots=True)
class Active:
    """A generation that receives every change."""

    spec: GenerationSpec
    embedding: Mapping[str, Any]
    serving: bool


_ACTIVE = sa.text("SELECT * FROM generation WHERE index_key = :key AND state <> 'retired' ORDER BY id")
_ALL = sa.text("SELECT * FROM generation WHERE state <> 'retired' ORDER BY id")
_INSERT = sa.text(
    "INSERT INTO generation (index_key, fingerprint, embedding, dimensions, sparse, state, degraded, created_at) "
    "VALUES (:key, :fingerprint, :embedding, :dimensions, :sparse, :state, :degraded, :now) RETURNING id"
)
_STATE = sa.text("UPDATE generation SET state = :state WHERE id = :id")
_DEGRADED = sa.text("UPDATE generation SET degraded = :degraded WHERE id = :id")
_SERVING_EMPTY = sa.text("SELECT 1 FROM chunk WHERE generation_id = :id LIMIT 1")


def _active(row: Any) -> Active:
    return Active(GenerationSpec(row.id, row.fingerprint, row.dimensions, bool(row.sparse)), json.loads(row.embedding), row.state == "serving")


def active(read: Read, key: str) -> list[Active]:
    """The generations of index `key` that receive every change, the serving one first."""
    return sorted((_active(row) for row in read.rows(_ACTIVE, {"key": key})), key=lambda a: not a.serving)


def every(read: Read) -> list[Active]:
    """All that are served or built, of every index."""
    return [_active(row) for row in read.rows(_ALL)]


def plan(tx: Write, key: str, planned: Planned) -> list[Active]:
    """Make `planned` the generation that index `key` serves, or comes to serve once it is built.

    The first of an index serves at once, and so does one whose predecessor holds nothing. Otherwise it is built beside
    the serving one. A half-built other one is given up.
    """
    tx.allot()  # one process at a time: two would each make one that serves
    now = active(tx, key)
    serving = next((a for a in now if a.serving), None)
    for other in now:
        if not other.serving and other.spec.fingerprint != planned.fingerprint:
            tx.run(_STATE, {"id": other.spec.id, "state": "retired"})
    if serving is not None and serving.spec.fingerprint == planned.fingerprint:
        tx.run(_DEGRADED, {"id": serving.spec.id, "degraded": planned.degraded})
        for other in now:
            if not other.serving:
                tx.run(_STATE, {"id": other.spec.id, "state": "retired"})
        return active(tx, key)
    if any(a.spec.fingerprint == planned.fingerprint for a in now):
        return active(tx, key)
    empty = serving is None or tx.row(_SERVING_EMPTY, {"id": serving.spec.id}) is None
    if serving is not None and empty:
        tx.run(_STATE, {"id": serving.spec.id, "state": "retired"})
    tx.run(
        _INSERT,
        {
            "key": key,
            "fingerprint": planned.fingerprint,
            "embedding": json.dumps(dict(planned.embedding), sort_keys=True),
            "dimensions": planned.dimensions,
            "sparse": planned.sparse,
            "state": "serving" if empty else "building",
            "degraded": planned.degraded,
            "now": tx.now,
        },
    )
    tx.audit("Config", principal="controller", object=f"contextindex/{key or 'builtin'}", decision="Planned", data={"fingerprint": planned.fingerprint})
    return active(tx, key)


def again(tx: Write) -> int:
    """Build every served generation once more beside itself, from the catalog; returns how many are begun.

    An index that is already building one is left to that.
    """
    now = every(tx)
    building = {key_of(tx, a.spec.id) for a in now if not a.serving}
    begun = 0
    for a in now:
        key = key_of(tx, a.spec.id)
        if a.serving and key not in building:
            tx.run(
                _INSERT,
                {
                    "key": key,
                    "fingerprint": a.spec.fingerprint,
                    "embedding": json.dumps(dict(a.embedding), sort_keys=True),
                    "dimensions": a.spec.dimensions,
                    "sparse": a.spec.sparse,
                    "state": "building",
                    "degraded": None,
                    "now": tx.now,
                },
            )
            begun += 1
    tx.audit("Config", principal="controller", object="contextindex", decision="Rebuild", data={"generations": begun})
    return begun


# A live document of an index (or of a source that moves to it) that has no chunks in the generation yet. A document
# without any servable chunk counts as built.
_UNBUILT = sa.text(
    "SELECT d.id, d.source_id, r.id AS revision_id, d.uri, d.acl_id, d.modified, s.uid, s.namespace, s.epoch, r.digest, r.version FROM source s "
    "JOIN document d ON d.source_id = s.id JOIN revision r ON r.id = d.revision_id "
    "WHERE (s.index_key = :key OR s.next_index = :key) AND s.state = 'live' AND d.state IN ('live', 'held') AND d.id > :after AND r.chunks > 0 "
    "AND NOT EXISTS (SELECT 1 FROM chunk c WHERE c.revision_id = r.id AND c.generation_id = :generation) ORDER BY d.id LIMIT :limit"
)
_CHUNKS_OF = sa.text(
    "SELECT * FROM chunk WHERE revision_id = :revision AND generation_id = (SELECT min(generation_id) FROM chunk WHERE revision_id = :revision) ORDER BY ordinal"
)


def unbuilt(read: Read, key: str, generation: int, after: int, limit: int) -> list[Any]:
    """Live documents for index `key` after id `after` that `generation` lacks, with what a point of theirs needs."""
    return list(read.rows(_UNBUILT, {"key": key, "generation": generation, "after": after, "limit": limit}))


def chunks_of(read: Read, revision: int) -> list[Any]:
    """The rows of table `chunk` of one revision, as the oldest generation has them."""
    return list(read.rows(_CHUNKS_OF, {"revision": revision}))


_SOURCE_OF = sa.text("SELECT source_id FROM revision WHERE id = :revision")
_STILL = sa.text("SELECT 1 FROM revision WHERE id = :revision AND state = 'live'")
_COPY = sa.text(
    "INSERT INTO chunk (point_id, revision_id, generation_id, ordinal, digest, byte_start, byte_end, line_start, line_end, heading, verdict, findings) "
    "SELECT :point, revision_id, :generation, ordinal, digest, byte_start, byte_end, line_start, line_end, heading, verdict, findings "
    "FROM chunk WHERE point_id = :model"
)
_STRAY = sa.text("INSERT INTO outbox (generation_id, point_id) VALUES (:generation, :point)")


def build(tx: Write, revision: int, generation: int, pairs: Sequence[tuple[str, str]]) -> bool:
    """Add the chunk rows of one revision to another generation: (new point id, the point id it is modelled on).

    False, and the new points are left to be erased, if the revision has died meanwhile.
    """
    tx.hold([int(row[0]) for row in tx.rows(_SOURCE_OF, {"revision": revision})])
    if tx.row(_STILL, {"revision": revision}) is None:
        tx.many(_STRAY, [{"generation": generation, "point": point} for point, _ in pairs])
        return False
    tx.many(_COPY, [{"point": point, "generation": generation, "model": model} for point, model in pairs])
    return True


_MOVING = sa.text("SELECT id, next_index FROM source WHERE next_index IS NOT NULL AND state = 'live'")
_MOVED = sa.text("UPDATE source SET index_key = next_index, next_index = NULL, seq = :seq WHERE id = :source AND next_index = :key")


def moving(read: Read) -> dict[int, str]:
    """The sources that move to another index, and to which."""
    return {int(row[0]): str(row[1]) for row in read.rows(_MOVING)}


def moved(tx: Write, source: int, key: str) -> None:
    """All documents of `source` are in index `key`: it serves them from this commit on."""
    tx.hold([source])
    tx.run(_MOVED, {"source": source, "key": key, "seq": tx.allot()})
    tx.announce(SOURCES)


def switch(tx: Write, key: str, generation: int) -> bool:
    """Serve `generation` from this commit on, and retire what was served; False while it still lacks a live document."""
    tx.allot()  # nothing is published between the question and the switch
    if unbuilt(tx, key, generation, 0, 1):
        return False
    for other in active(tx, key):
        if other.spec.id != generation:
            tx.run(_STATE, {"id": other.spec.id, "state": "retired"})
    tx.run(_STATE, {"id": generation, "state": "serving"})
    tx.audit("Config", principal="controller", object=f"contextindex/{key or 'builtin'}", decision="Switched", data={"generation": generation})
    tx.announce(SOURCES)
    return True


_RETIRED = sa.text("SELECT * FROM generation g WHERE g.state = 'retired' AND EXISTS (SELECT 1 FROM chunk c WHERE c.generation_id = g.id)")
_DROP_CHUNKS = sa.text("DELETE FROM chunk WHERE point_id IN (SELECT point_id FROM chunk WHERE generation_id = :id LIMIT :limit)")


def retired(read: Read) -> list[Active]:
    """Generations that are served no more and still have chunk rows."""
    return [_active(row) for row in read.rows(_RETIRED)]


def drop_chunks(tx: Write, generation: int, limit: int = 2000) -> int:
    """Forget chunk rows of a retired generation, a batch at a time; returns how many."""
    return int(tx.run(_DROP_CHUNKS, {"id": generation, "limit": limit}).rowcount)


_KEY_OF = sa.text("SELECT index_key FROM generation WHERE id = :id")


def key_of(read: Read, generation: int) -> str:
    """The index that a generation is of."""
    return str(read.value(_KEY_OF, {"id": generation}))


_CHUNKS = sa.text("SELECT coalesce(sum(chunks), 0) FROM source WHERE index_key = :key AND state = 'live'")


def chunks_in(read: Read, key: str) -> int:
    """Live chunks that index `key` serves."""
    return int(read.value(_CHUNKS, {"key": key}))
