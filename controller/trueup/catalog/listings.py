"""Pages for people: documents, tombstones and events of a source, in order and bounded."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import sqlalchemy as sa

from trueup.catalog.store import Read
from trueup.decide.delivery import Candidate


@dataclass(frozen=True, slots=True)
class Listed:
    """One live document; `facts` are those of a candidate, without a chunk."""

    facts: Candidate
    size: int | None


_DOCUMENTS = sa.text(
    "SELECT r.id, r.state, r.version, r.digest, r.source_revision, r.observed_at, r.expires_at, r.conflict_key, "
    "d.id, d.source_id, d.uri, d.state, d.revision_id, d.modified, d.verified_at, d.stale_at, d.size "
    "FROM document d JOIN revision r ON r.id = d.revision_id "
    "WHERE d.source_id = :source AND d.uri > :after AND d.state = 'live' AND d.acl_id IN :slots ORDER BY d.uri LIMIT :limit"
).bindparams(sa.bindparam("slots", expanding=True))


def documents(read: Read, source: int, slots: Collection[int], after: str, limit: int) -> list[Listed]:
    """The live documents of `source` in `slots` after the uri `after`, by uri."""
    rows = read.rows(_DOCUMENTS, {"source": source, "slots": sorted(slots), "after": after, "limit": limit})
    return [Listed(Candidate("", 0, "", (None, None, 1, 1), "[]", "", None, *row[:16]), row[16]) for row in rows]


@dataclass(frozen=True, slots=True)
class Buried:
    """One tombstone. `readers` are those who could read the document when it died, in the catalog's JSON."""

    id: int
    uri: str
    source_revision: str | None
    version: str
    digest: str
    reason: str
    at: float
    observation: str
    successor: str | None
    readers: str


_NAMED = sa.text("SELECT id FROM source WHERE namespace = :namespace AND name = :name ORDER BY id")


def incarnations(read: Read, namespace: str, name: str) -> list[int]:
    """Every source that ever had this name, the live one and the dead ones."""
    return [int(row[0]) for row in read.rows(_NAMED, {"namespace": namespace, "name": name})]


_TOMBSTONES = sa.text(
    "SELECT id, uri, source_revision, version, digest, reason, at, observation, successor, readers FROM tombstone "
    "WHERE source_id IN :sources AND id < :before ORDER BY id DESC"
).bindparams(sa.bindparam("sources", expanding=True))


def tombstones(read: Read, sources: Collection[int], before: int) -> Iterator[Buried]:
    """The tombstones of `sources` older than id `before`, newest first, streamed."""
    for row in read.stream(_TOMBSTONES, {"sources": sorted(sources), "before": before}, size=500):
        yield Buried(*row)


@dataclass(frozen=True, slots=True)
class Happened:
    """One event of a source."""

    id: int
    type: str
    reason: str
    message: str
    at: float


_EVENTS = sa.text("SELECT id, type, reason, message, at FROM event WHERE source_id IN :sources AND id < :before ORDER BY id DESC LIMIT :limit").bindparams(
    sa.bindparam("sources", expanding=True)
)


def events(read: Read, sources: Collection[int], before: int, limit: int) -> list[Happened]:
    """The events of `sources` older than id `before`, newest first."""
    return [Happened(*row) for row in read.rows(_EVENTS, {"sources": sorted(sources), "before": before, "limit": limit})]
