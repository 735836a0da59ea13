"""The index's side of the catalog: what each point should be now, the outbox, the purge and the comparison of the sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from trueup.catalog.announcing import OUTBOX
from trueup.catalog.publishing import folders
from trueup.catalog.store import Read, Write
from trueup.model.index import GenerationSpec, Keys, PointState

_ROWS = sa.text("SELECT id, generation_id, point_id FROM outbox ORDER BY id LIMIT :limit")
# By their ids, not up to the last one: where several processes write, an earlier row may be committed after a later one.
_DONE = sa.text("DELETE FROM outbox WHERE id IN :ids").bindparams(sa.bindparam("ids", expanding=True))
_PENDING = sa.text("SELECT count(*) FROM outbox")


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """A point whose state in the index may differ from the catalog's."""

    id: int
    generation: int
    point: str


def outbox(read: Read, limit: int) -> list[OutboxRow]:
    """The oldest rows."""
    return [OutboxRow(*row) for row in read.rows(_ROWS, {"limit": limit})]


def settled(tx: Write, rows: Sequence[OutboxRow]) -> None:
    """These rows have been driven to their state."""
    for start in range(0, len(rows), 500):
        tx.run(_DONE, {"ids": [row.id for row in rows[start : start + 500]]})


def unsettled(read: Read) -> int:
    """How many rows wait."""
    return int(read.value(_PENDING))


_DESIRED = """
SELECT c.point_id, s.namespace, d.source_id, d.id, d.acl_id, d.modified, d.uri,
       (r.state = 'live' AND s.state = 'live' AND d.revision_id = r.id) AS alive
FROM chunk c JOIN revision r ON r.id = c.revision_id JOIN document d ON d.id = r.document_id JOIN source s ON s.id = d.source_id
WHERE c.verdict <> 'Quarantined' AND
"""
_DESIRED_BY_ID = sa.text(_DESIRED + "c.generation_id = :generation AND c.point_id IN :points").bindparams(sa.bindparam("points", expanding=True))
_DESIRED_AFTER = sa.text(_DESIRED + "c.generation_id = :generation AND c.point_id > :after ORDER BY c.point_id LIMIT :limit")


def _keys(row: sa.Row[*tuple[object, ...]]) -> Keys:
    return Keys(
        tenant=row.namespace,
        source=row.source_id,
        document=row.id,
        acl=row.acl_id,
        state=PointState.LIVE if row.alive else PointState.DEAD,
        modified=row.modified,
        folders=folders(row.uri),
    )


def desired(read: Read, generation: int, points: Sequence[str]) -> dict[str, Keys]:
    """The keys that those of `points` should have which should exist at all."""
    found: dict[str, Keys] = {}
    for start in range(0, len(points), 500):
        rows = read.rows(_DESIRED_BY_ID, {"generation": generation, "points": list(points[start : start + 500])})
        found.update({row.point_id: _keys(row) for row in rows})
    return found


def desired_after(read: Read, generation: int, after: str, limit: int) -> list[tuple[str, Keys]]:
    """The points that should exist, ascending by id, after `after`."""
    return [(row.point_id, _keys(row)) for row in read.rows(_DESIRED_AFTER, {"generation": generation, "after": after, "limit": limit})]


_GENERATION = "SELECT id, fingerprint, dimensions, sparse FROM generation WHERE "
_BY_ID = sa.text(_GENERATION + "id = :id")
_ACTIVE = sa.text(_GENERATION + "state <> 'retired' ORDER BY id")


def generation(read: Read, id_: int) -> GenerationSpec | None:
    """The generation of catalog id `id_`."""
    row = read.row(_BY_ID, {"id": id_})
    return None if row is None else GenerationSpec(row.id, row.fingerprint, row.dimensions, bool(row.sparse))


def generations(read: Read) -> list[GenerationSpec]:
    """Every generation that is built or served."""
    return [GenerationSpec(row.id, row.fingerprint, row.dimensions, bool(row.sparse)) for row in read.rows(_ACTIVE)]


_PURGEABLE = sa.text(
    "SELECT t.id, t.source_id, t.revision_id FROM tombstone t JOIN source s ON s.id = t.source_id "
    "WHERE t.purged_at IS NULL AND NOT s.retain AND t.source_id = :source AND t.at <= :until ORDER BY t.id LIMIT :limit"
)
_SUPERSEDED_REBUILDS = sa.text(
    "SELECT r.id FROM revision r WHERE r.source_id = :source AND r.state = 'dead' AND NOT EXISTS (SELECT 1 FROM tombstone t WHERE t.revision_id = r.id) LIMIT :limit"
)
_REBUILT_SOURCES = sa.text(
    "SELECT DISTINCT r.source_id FROM revision r WHERE r.state = 'dead' AND NOT EXISTS (SELECT 1 FROM tombstone t WHERE t.revision_id = r.id)"
)
_WITH_TOMBSTONES = sa.text("SELECT id, spec FROM source WHERE tombstones > 0 AND NOT retain")
_POINTS_OF = sa.text("SELECT point_id, generation_id, digest FROM chunk WHERE revision_id = :revision")
_ERASE_POINT = sa.text("INSERT INTO outbox (generation_id, point_id) VALUES (:generation, :point)")
_DROP_CHUNKS = sa.text("DELETE FROM chunk WHERE revision_id = :revision")
_DROP_REVISION = sa.text("DELETE FROM revision WHERE id = :revision AND state = 'dead'")
_DROP_BODY = sa.text("DELETE FROM body WHERE digest = :digest AND NOT EXISTS (SELECT 1 FROM chunk WHERE chunk.digest = body.digest)")
_DROP_VECTOR = sa.text("DELETE FROM vector WHERE digest = :digest AND NOT EXISTS (SELECT 1 FROM chunk WHERE chunk.digest = vector.digest)")
_PURGED = sa.text("UPDATE tombstone SET purged_at = :now WHERE id = :id")
_UNCOUNT = sa.text("UPDATE source SET tombstones = tombstones - :purged WHERE id = :source")
_DROP_DOCUMENTS = sa.text(
    "DELETE FROM document WHERE source_id = :source AND state = 'dead' AND NOT EXISTS (SELECT 1 FROM tombstone t WHERE t.document_id = document.id AND t.purged_at IS NULL)"
)


def sources_with_tombstones(read: Read) -> list[tuple[int, str]]:
    """(id, spec JSON) of the sources that have something to purge in time."""
    return [(int(row.id), str(row.spec)) for row in read.rows(_WITH_TOMBSTONES)]


def sources_rebuilt(read: Read) -> list[int]:
    """The sources with revisions that another chunking of the same bytes replaced."""
    return [int(row[0]) for row in read.rows(_REBUILT_SOURCES)]


def purge(tx: Write, source: int, until: float, limit: int = 200) -> int:
    """Erase what died until `until`: chunk rows, and text and vectors that no other chunk uses; its points by the outbox.

    The tombstones stay. Returns how many were purged.
    """
    rows = _rows_to_erase(tx, source, _PURGEABLE, {"source": source, "until": until, "limit": limit})
    for row in rows:
        _erase(tx, row.revision_id)
    tx.many(_PURGED, [{"id": row.id, "now": tx.now} for row in rows])
    if rows:
        tx.run(_UNCOUNT, {"source": source, "purged": len(rows)})
    else:
        tx.run(_DROP_DOCUMENTS, {"source": source})
    return len(rows)


def purge_rebuilt(tx: Write, source: int, limit: int = 200) -> int:
    """Erase revisions that another chunking of the same bytes replaced: they have no tombstone, since nothing died."""
    rows = _rows_to_erase(tx, source, _SUPERSEDED_REBUILDS, {"source": source, "limit": limit})
    for row in rows:
        _erase(tx, row.id)
    return len(rows)


def _rows_to_erase(tx: Write, source: int, statement: sa.TextClause, params: Mapping[str, object]) -> Sequence[Any]:
    """The rows of `statement`, of which `_erase` follows. From here on nobody publishes, or text might be erased that a
    publication in another process has just found to be there.
    """
    tx.hold([source])
    if tx.row(statement, params) is None:
        return ()
    tx.allot()
    tx.announce(OUTBOX)
    return tx.rows(statement, params)


def _erase(tx: Write, revision: int) -> None:
    points = tx.rows(_POINTS_OF, {"revision": revision})
    tx.many(_ERASE_POINT, [{"generation": p.generation_id, "point": p.point_id} for p in points])
    tx.run(_DROP_CHUNKS, {"revision": revision})
    tx.run(_DROP_REVISION, {"revision": revision})
    digests = [{"digest": d} for d in {p.digest for p in points}]
    tx.many(_DROP_BODY, digests)
    tx.many(_DROP_VECTOR, digests)


_MATERIAL = sa.text(
    "SELECT c.point_id, c.digest, c.heading, b.data, v.dense, v.sparse FROM chunk c JOIN revision r ON r.id = c.revision_id JOIN body b ON b.digest = c.digest "
    "LEFT JOIN vector v ON v.digest = c.digest AND v.fingerprint = :fingerprint WHERE c.generation_id = :generation AND c.point_id IN :points"
).bindparams(sa.bindparam("points", expanding=True))


@dataclass(frozen=True, slots=True)
class Material:
    """What a lost point can be made of again: cached vectors, or the text."""

    point: str
    digest: str
    heading: str
    body: bytes
    dense: bytes | None
    sparse: bytes | None


def material(read: Read, generation_: GenerationSpec, points: Sequence[str]) -> list[Material]:
    """Text and cached vectors of `points`."""
    return [Material(*row) for row in read.rows(_MATERIAL, {"generation": generation_.id, "fingerprint": generation_.fingerprint, "points": list(points)})]


def mark(tx: Write, generation_: int, points: Sequence[str]) -> None:
    """Let settle decide once more about `points`."""
    tx.many(_ERASE_POINT, [{"generation": generation_, "point": p} for p in points])
    tx.announce(OUTBOX)


_TEXTS = sa.text("SELECT c.point_id, c.digest, c.heading, b.data FROM chunk c JOIN body b ON b.digest = c.digest WHERE c.point_id IN :points").bindparams(
    sa.bindparam("points", expanding=True)
)


@dataclass(frozen=True, slots=True)
class Text:
    """The text of one chunk, by its point."""

    point: str
    digest: str
    heading: str
    body: bytes


def texts(read: Read, points: Sequence[str]) -> list[Text]:
    """The texts of at most 500 `points`."""
    return [Text(*row) for row in read.rows(_TEXTS, {"points": list(points)})]
