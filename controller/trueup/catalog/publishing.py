"""Loading's side of the catalog: what is wanted, the vector cache, and `publish`, by which a revision becomes live."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from json.encoder import encode_basestring
from typing import Any, NamedTuple

import sqlalchemy as sa

from trueup.catalog.announcing import OUTBOX
from trueup.catalog.bodies import keep_bodies
from trueup.catalog.hot import HotByIds
from trueup.catalog.looking import Removal, bury
from trueup.catalog.store import Read, Write
from trueup.model.index import Keys
from trueup.model.text import Chunk, Prepared, Verdict

STALE_AFTER = 5.0
"""Seconds for which text known to be superseded is still served (`contract.md` section 2)."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One document whose `version` is to be loaded. `kind`: 0 a change, 1 an addition, 2 a rebuild."""

    document: int
    source: int
    uri: str
    version: str
    kind: int
    size: int | None
    attempts: int
    acl: int
    modified: float | None
    observation: str | None


_WANTED = sa.text(
    "SELECT id, source_id, uri, wanted, wanted_class, size, attempts, acl_id, modified, observation FROM document "
    "WHERE source_id = :source AND wanted IS NOT NULL AND wanted_class < 9 AND (retry_at IS NULL OR retry_at <= :now) ORDER BY wanted_class, id LIMIT :limit"
)
_SOURCES = sa.text(
    "SELECT s.id FROM source s WHERE s.state = 'live' AND NOT s.suspended "
    "AND EXISTS (SELECT 1 FROM document d WHERE d.source_id = s.id AND d.wanted IS NOT NULL AND d.wanted_class < 9)"
)


def sources_wanting(read: Read) -> list[int]:
    """The live sources that have something to load."""
    return [int(row[0]) for row in read.rows(_SOURCES)]


def wanted(read: Read, source: int, now: float, limit: int, without: Collection[int]) -> list[Wanted]:
    """Up to `limit` documents of `source` to load now: changes before additions before rebuilds; not those in `without`."""
    rows = read.rows(_WANTED, {"source": source, "now": now, "limit": limit + len(without)})
    return [Wanted(*row) for row in rows if row[0] not in without][:limit]


_NEXT_RETRY = sa.text("SELECT min(retry_at) FROM document WHERE wanted IS NOT NULL AND wanted_class < 9")


def next_retry(read: Read) -> float | None:
    """When the next failed document is due again."""
    value = read.value(_NEXT_RETRY)
    return None if value is None else float(value)


_VECTORS = sa.text("SELECT digest, dense, sparse FROM vector WHERE fingerprint = :fingerprint AND digest IN :digests").bindparams(
    sa.bindparam("digests", expanding=True)
)
_KEEP_VECTOR = sa.text("INSERT INTO vector (fingerprint, digest, dense, sparse) VALUES (:fingerprint, :digest, :dense, :sparse) ON CONFLICT DO NOTHING")


@dataclass(frozen=True, slots=True)
class Cached:
    """One row of the vector cache: packed as the table says."""

    digest: str
    dense: bytes | None
    sparse: bytes | None


def cached(read: Read, fingerprint: str, digests: Sequence[str]) -> dict[str, Cached]:
    """What the cache holds of `digests` for the embedder `fingerprint`."""
    found: dict[str, Cached] = {}
    for start in range(0, len(digests), 500):
        for row in read.rows(_VECTORS, {"fingerprint": fingerprint, "digests": list(digests[start : start + 500])}):
            found[row[0]] = Cached(row[0], row[1], row[2])
    return found


def keep_vectors(tx: Write, fingerprint: str, rows: Iterable[Cached]) -> None:
    """Put vectors into the cache, so that nothing is embedded twice whatever happens next."""
    tx.holding = True
    by_digest = sorted(rows, key=lambda row: row.digest)  # in one order everywhere, so that two processes never wait for each other
    tx.many(_KEEP_VECTOR, [{"fingerprint": fingerprint, "digest": r.digest, "dense": r.dense, "sparse": r.sparse} for r in by_digest])


@dataclass(frozen=True, slots=True)
class Publication:
    """One document, loaded, embedded, and with its points in the index.

    Attributes:
        points: per generation id, the point ids in order of `prepared.chunks` (quarantined chunks have an id, and no point).
        observed_at: when this version was first seen, from which its time-to-live counts.
        epoch: of the source when loading began; another one voids the publication.
    """

    wanted: Wanted
    prepared: Prepared
    settings: str
    points: Mapping[int, Sequence[str]]
    observed_at: float
    epoch: int


class _Fenced(NamedTuple):
    """What a publication is checked against, and supersedes."""

    id: int
    revision_id: int | None
    wanted: str | None
    epoch: int
    source_revision: str | None
    observation: str | None
    digest: str | None
    observed_at: float | None
    chunks: int | None


_FENCE = HotByIds(
    "SELECT d.id, d.revision_id, d.wanted, s.epoch, s.revision, s.observation, r.digest, r.observed_at, r.chunks "
    "FROM document d JOIN source s ON s.id = d.source_id LEFT JOIN revision r ON r.id = d.revision_id WHERE s.state = 'live' AND d.id"
)
_LIVE = sa.text(
    "UPDATE document SET state = 'live', revision_id = :revision, settings = :settings, wanted = NULL, wanted_since = NULL, stale_at = NULL, attempts = 0, retry_at = NULL, "
    "failure = NULL, failure_message = NULL, quarantined = :quarantined, seq = :seq WHERE id = :document"
)
_CHUNK = sa.text(
    "INSERT INTO chunk (point_id, revision_id, generation_id, ordinal, digest, byte_start, byte_end, line_start, line_end, heading, verdict, findings) "
    "VALUES (:point, :revision, :generation, :ordinal, :digest, :byte_start, :byte_end, :line_start, :line_end, :heading, :verdict, :findings)"
)
_REVISION = sa.text(
    "INSERT INTO revision (document_id, source_id, state, version, digest, source_revision, observed_at, expires_at, conflict_key, chunks, seq) "
    "VALUES (:document_id, :source_id, 'live', :version, :digest, :source_revision, :observed_at, :expires_at, :conflict_key, :chunks, :seq)"
)
_REVISIONS = HotByIds("SELECT document_id, id FROM revision WHERE state = 'live' AND document_id")
_TOUCH_REVISION = sa.text("UPDATE revision SET version = :version, observed_at = :observed_at, source_revision = :source_revision WHERE id = :revision")
_RETIRE = sa.text("UPDATE revision SET state = 'dead' WHERE id = :revision")
_RETIRE_POINTS = sa.text(
    "INSERT INTO outbox (generation_id, point_id) SELECT generation_id, point_id FROM chunk WHERE revision_id = :revision AND verdict <> 'Quarantined'"
)
_COUNT_CHUNKS = sa.text("UPDATE source SET chunks = chunks + :chunks, changed_at = :now WHERE id = :source")
_DELETED = sa.text(
    "SELECT DISTINCT digest FROM tombstone WHERE source_id = :source AND digest IN :digests AND reason = 'Deleted' AND successor IS NULL"
).bindparams(sa.bindparam("digests", expanding=True))
_LINEAGE = sa.text(
    "UPDATE tombstone SET reason = 'Moved', successor = :uri WHERE id = (SELECT min(id) FROM tombstone WHERE source_id = :source AND digest = :digest "
    "AND observation = :observation AND reason = 'Deleted' AND successor IS NULL AND uri <> :uri)"
)
_STRAY = sa.text("INSERT INTO outbox (generation_id, point_id) VALUES (:generation, :point)")


def begin(tx: Write, sources: Collection[int]) -> None:
    """Until this unit's commit nothing of `sources` changes elsewhere, and no generation is planned or switched.

    To be called before anything is read that the publications are decided by.
    """
    tx.hold(sources)
    tx.allot()


def publish(tx: Write, publications: Sequence[Publication]) -> list[bool]:
    """Make loaded revisions the live ones, and tombstone what they supersede, in one transaction.

    False for a publication whose source's epoch moved on or whose version is no longer wanted; its points are left to
    be erased.
    """
    begin(tx, {p.wanted.source for p in publications})
    rows = _fenced(tx, [p.wanted.document for p in publications])
    stands = [_stands(p, rows) for p in publications]
    valid = [p for p, stood in zip(publications, stands, strict=True) if stood]
    void = [p for p, stood in zip(publications, stands, strict=True) if not stood]
    strays = [{"generation": g, "point": point} for p in void for g, points in p.points.items() for point in points]
    tx.many(_STRAY, strays)
    tx.announce(OUTBOX)
    if valid:
        _replace(tx, valid, rows, tx.allot())
    return stands


def _fenced(tx: Write, documents: Collection[int]) -> dict[int, _Fenced]:
    """The rows of those of `documents` whose sources are live."""
    return {row.id: row for row in map(_Fenced._make, tx.hot_by_ids(_FENCE, documents))}


def _stands(publication: Publication, rows: Mapping[int, _Fenced]) -> bool:
    row = rows.get(publication.wanted.document)
    return row is not None and row.epoch == publication.epoch and row.wanted == publication.wanted.version


def _replace(tx: Write, valid: Sequence[Publication], rows: Mapping[int, _Fenced], seq: int) -> None:
    _retire(tx, valid, rows, seq)
    made = _revisions(tx, valid, rows, seq)
    chunks = [
        _chunk(chunk, point, revision_id, generation)
        for p, revision_id in zip(valid, made, strict=True)
        for generation, points in p.points.items()
        for chunk, point in zip(p.prepared.chunks, points, strict=True)
    ]
    tx.many(_CHUNK, chunks)
    keep_bodies(tx, {c.digest: c.text for p in valid for c in p.prepared.chunks if c.verdict is not Verdict.QUARANTINED})
    tx.many(
        _LIVE,
        [
            {"document": p.wanted.document, "revision": revision_id, "settings": p.settings, "quarantined": bool(_quarantined(p.prepared)), "seq": seq}
            for p, revision_id in zip(valid, made, strict=True)
        ],
    )
    added: dict[int, int] = {}
    for p in valid:
        added[p.wanted.source] = added.get(p.wanted.source, 0) + _servable(p.prepared)
        rules = _quarantined(p.prepared)
        if rules:
            tx.audit("Quarantine", principal="controller", object=f"document/{p.wanted.document}", decision="Quarantined", data={"rules": rules})
    tx.many(_COUNT_CHUNKS, [{"source": id_, "chunks": number, "now": tx.now} for id_, number in added.items()])
    _trace(tx, [p for p in valid if rows[p.wanted.document].revision_id is None])


def _revisions(tx: Write, valid: Sequence[Publication], rows: Mapping[int, _Fenced], seq: int) -> list[int]:
    """Insert the revisions; returns their ids in order. They are the live ones of their documents, whose sources are held."""
    tx.many(_REVISION, [_revision(p, rows[p.wanted.document], seq) for p in valid])
    documents = [p.wanted.document for p in valid]
    ids = dict(sorted(tx.hot_by_ids(_REVISIONS, documents)))
    return [ids[document_] for document_ in documents]


def _retire(tx: Write, valid: Sequence[Publication], rows: Mapping[int, _Fenced], seq: int) -> None:
    """Take what is superseded out of service. The same bytes cut anew leave no tombstone: nothing died."""
    superseded: dict[str, list[Removal]] = {}
    for p in valid:
        row = rows[p.wanted.document]
        if row.revision_id is None:
            continue
        if row.digest != p.prepared.digest:
            superseded.setdefault(p.wanted.observation or row.observation or "", []).append(Removal(p.wanted.document, "Superseded"))
        else:
            tx.run(_RETIRE, {"revision": row.revision_id})
            tx.run(_RETIRE_POINTS, {"revision": row.revision_id})
            tx.run(_COUNT_CHUNKS, {"source": p.wanted.source, "chunks": -(row.chunks or 0), "now": tx.now})
    for observation, removals in superseded.items():
        bury(tx, removals, observation, seq)


def _trace(tx: Write, added: Sequence[Publication]) -> None:
    """Lineage: what came with the same observation and the same bytes as something that went was moved."""
    by_source: dict[int, list[Publication]] = {}
    for p in added:
        if p.wanted.observation is not None:
            by_source.setdefault(p.wanted.source, []).append(p)
    for source_id, publications in by_source.items():
        digests = sorted({p.prepared.digest for p in publications})
        gone = {row[0] for row in tx.rows(_DELETED, {"source": source_id, "digests": digests})}
        moved = [p for p in publications if p.prepared.digest in gone]
        tx.many(_LINEAGE, [{"source": source_id, "digest": p.prepared.digest, "observation": p.wanted.observation, "uri": p.wanted.uri} for p in moved])


def _servable(prepared: Prepared) -> int:
    return sum(chunk.verdict is not Verdict.QUARANTINED for chunk in prepared.chunks)


def _quarantined(prepared: Prepared) -> list[str]:
    """The names of the rules for which chunks of it are quarantined."""
    return sorted({finding for chunk in prepared.chunks if chunk.verdict is Verdict.QUARANTINED for finding in chunk.findings})


def _revision(publication: Publication, row: _Fenced, seq: int) -> dict[str, Any]:
    wanted_, prepared = publication.wanted, publication.prepared
    rebuilt = row.revision_id is not None and row.digest == prepared.digest and wanted_.kind == 2
    return {
        "document_id": wanted_.document,
        "source_id": wanted_.source,
        "version": wanted_.version,
        "digest": prepared.digest,
        "source_revision": row.source_revision,
        "observed_at": row.observed_at if rebuilt else publication.observed_at,
        "expires_at": prepared.expires_at,
        "conflict_key": _conflict_key(prepared.conflict_key),
        "chunks": _servable(prepared),
        "seq": seq,
    }


def _conflict_key(key: str | None) -> str | None:
    """A very long one by its digest, which is as equal: PostgreSQL's indexes take no more than 2,700 bytes."""
    return key if key is None or len(key) <= 512 else "sha256:" + hashlib.sha256(key.encode()).hexdigest()


def _chunk(chunk: Chunk, point: str, revision: int, generation: int) -> dict[str, object]:
    start, end = chunk.span.bytes or (None, None)
    return {
        "point": point,
        "revision": revision,
        "generation": generation,
        "ordinal": chunk.ordinal,
        "digest": chunk.digest,
        "byte_start": start,
        "byte_end": end,
        "line_start": chunk.span.lines[0],
        "line_end": chunk.span.lines[1],
        "heading": f"[{', '.join(map(encode_basestring, chunk.heading))}]",
        "verdict": chunk.verdict.value,
        "findings": json.dumps(chunk.findings) if chunk.findings else None,
    }


def _row(tx: Write, wanted_: Wanted, epoch: int) -> _Fenced | None:
    """The fenced row, or None if the source's epoch moved on or the version is no longer wanted."""
    tx.hold([wanted_.source])
    row = _fenced(tx, [wanted_.document]).get(wanted_.document)
    return row if row is not None and row.epoch == epoch and row.wanted == wanted_.version else None


def touch(tx: Write, wanted_: Wanted, digest: str, settings: str, epoch: int, observed_at: float) -> bool:
    """The same bytes at a new version: nothing is embedded, no point moves. False if that is not (or no longer) so."""
    row = _row(tx, wanted_, epoch)
    if row is None or row.revision_id is None or row.digest != digest:
        return False
    tx.run(_TOUCH_REVISION, {"revision": row.revision_id, "version": wanted_.version, "observed_at": observed_at, "source_revision": row.source_revision})
    tx.run(_TOUCHED, {"document": wanted_.document, "settings": settings, "seq": tx.allot()})
    return True


_TOUCHED = sa.text(
    "UPDATE document SET state = CASE WHEN state = 'held' THEN 'live' ELSE state END, settings = :settings, wanted = NULL, wanted_since = NULL, stale_at = NULL, attempts = 0, retry_at = NULL, "
    "failure = NULL, failure_message = NULL, seq = :seq WHERE id = :document"
)
_FAIL = sa.text(
    "UPDATE document SET failure = :failure, failure_message = :message, attempts = attempts + 1, retry_at = :retry_at, "
    "state = CASE WHEN revision_id IS NULL THEN 'refused' ELSE state END WHERE id = :document AND wanted = :version "
    "AND EXISTS (SELECT 1 FROM source s WHERE s.id = source_id AND s.epoch = :epoch AND s.state = 'live')"
)
_UNWANT = sa.text(
    "UPDATE document SET state = :state, failure = :failure, failure_message = :message, wanted = NULL, settings = :settings WHERE id = :document"
)


def fail(tx: Write, wanted_: Wanted, epoch: int, failure: str, message: str, retry_at: float | None) -> None:
    """A document could not be loaded. It fails alone; what it superseded goes Stale by itself.

    `retry_at` None: the same bytes cannot do better, so it waits for another version or other settings.
    """
    tx.hold([wanted_.source])
    tx.run(
        _FAIL,
        {
            "document": wanted_.document,
            "version": wanted_.version,
            "failure": failure,
            "message": message,
            "retry_at": retry_at if retry_at is not None else 1e18,
            "epoch": epoch,
        },
    )


def refuse(tx: Write, wanted_: Wanted, epoch: int, failure: str, message: str, settings: str, *, state: str = "refused") -> None:
    """No text can ever be had from this version: what it superseded is tombstoned, and the row remembers why."""
    row = _row(tx, wanted_, epoch)
    if row is None:
        return
    if row.revision_id is not None:
        bury(tx, [Removal(wanted_.document, "Superseded")], wanted_.observation or row.observation or "", tx.allot())
    tx.run(_UNWANT, {"document": wanted_.document, "state": state, "failure": failure, "message": message, "settings": settings})


_GONE = sa.text("UPDATE document SET wanted = NULL, wanted_since = NULL, version = NULL WHERE id = :document AND wanted = :version")


def forget_version(tx: Write, wanted_: Wanted) -> None:
    """The version vanished before it was read: the next look finds out what is there now (no version equals NULL)."""
    tx.hold([wanted_.source])
    tx.run(_GONE, {"document": wanted_.document, "version": wanted_.version})


def folders(uri: str) -> tuple[str, ...]:
    """Every folder above `uri`: `a/b/c.md` lies in `a` and `a/b`."""
    parts = uri.split("/")[:-1]
    return tuple("/".join(parts[: n + 1]) for n in range(len(parts)))


def keys(namespace: str, wanted_: Wanted) -> Keys:
    """The index keys of a document about to be published."""
    return Keys(tenant=namespace, source=wanted_.source, document=wanted_.document, acl=wanted_.acl, modified=wanted_.modified, folders=folders(wanted_.uri))
