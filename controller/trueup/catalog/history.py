"""What was delivered to whom: the record of each answer, and the join with what has died since."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from trueup.catalog.announcing import REVOCATIONS
from trueup.catalog.hot import Hot
from trueup.catalog.store import Read, Write


@dataclass(frozen=True, slots=True)
class Delivered:
    """One chunk of an answer, at one of the places it was found in."""

    point: str
    revision: int
    digest: str


@dataclass(frozen=True, slots=True)
class Record:
    """One answer, as it is kept.

    Attributes:
        seq: of the snapshot that verified it. at: when, seconds since the epoch.
        request: what was asked, without the query text. query: keyed digest of that. text: the query itself, erasable.
        scope: digest of what was searched. answer: everything but the texts.
        candidates: [point, score, why] of everything the index proposed.
    """

    id: str
    at: float
    seq: int
    principal: str
    request: dict[str, Any]
    query: str
    text: str | None = field(repr=False)
    scope: str
    answer: dict[str, Any]
    candidates: tuple[tuple[str, float, str], ...]
    deliveries: tuple[Delivered, ...] = ()


_RETRIEVAL = Hot("INSERT INTO retrieval (id, at, seq, principal, request, query, scope, answer, candidates) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")
_QUERY = Hot("INSERT INTO query_text (retrieval_id, text, at) VALUES (?, ?, ?)")
_DELIVERY = Hot("INSERT INTO delivery (retrieval_id, position, principal, point_id, revision_id, digest, seq) VALUES (?, ?, ?, ?, ?, ?, ?)")


def record(tx: Write, made: Record) -> None:
    """Keep `made`, with its place on the audit log, in this transaction."""
    candidates = zlib.compress(json.dumps(made.candidates).encode(), 1)
    tx.put(_RETRIEVAL, (made.id, made.at, made.seq, made.principal, json.dumps(made.request), made.query, made.scope, json.dumps(made.answer), candidates))
    if made.text is not None:
        tx.put(_QUERY, (made.id, made.text, made.at))
    tx.put(_DELIVERY, *((made.id, place, made.principal, one.point, one.revision, one.digest, made.seq) for place, one in enumerate(made.deliveries)))
    data = {"seq": made.seq, "scope": made.scope, "query": made.query, "results": len(made.answer["results"])}
    tx.audit("Request", principal=made.principal, object=f"retrieval/{made.id}", decision="Allowed", data=data)


_FIND = sa.text(
    "SELECT r.id, r.at, r.seq, r.principal, r.request, r.query, q.text, r.scope, r.answer, r.candidates "
    "FROM retrieval r LEFT JOIN query_text q ON q.retrieval_id = r.id WHERE r.id = :id"
)


def recorded(read: Read, retrieval: str) -> Record | None:
    """The record of one answer, without its deliveries (they are in `answer`); None if there is none."""
    row = read.row(_FIND, {"id": retrieval})
    if row is None:
        return None
    candidates = tuple((point, score, why) for point, score, why in json.loads(zlib.decompress(row[9])))
    return Record(row[0], row[1], row[2], row[3], json.loads(row[4]), row[5], row[6], row[7], json.loads(row[8]), candidates)


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in the list of retractions; a bare sequence stands behind everything of that sequence."""

    seq: int
    tombstone: int = (1 << 62) - 1
    retrieval: str = ""
    position: int = 0

    def __str__(self) -> str:
        return f"{self.seq}-{self.tombstone}-{self.retrieval}-{self.position}" if self.retrieval else str(self.seq)

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """The cursor that `str` wrote.

        Raises:
            ValueError: it is none.
        """
        parts = text.split("-")
        if len(parts) not in {1, 4} or not all(part.isascii() and part.isdigit() and len(part) < 19 for part in (*parts[:2], *parts[3:])):
            raise ValueError("not a cursor that an answer gave")
        return cls(int(parts[0])) if len(parts) == 1 else cls(int(parts[0]), int(parts[1]), parts[2], int(parts[3]))


@dataclass(frozen=True, slots=True)
class Retraction:
    """Something delivered that is no longer live."""

    retrieval: str
    chunk: str
    reason: str
    at: float
    cursor: Cursor


_RETRACTIONS = (
    "SELECT d.retrieval_id, d.point_id, t.reason, t.at, t.seq, t.id, d.position FROM {tables} WHERE d.revision_id = t.revision_id "
    "AND t.seq >= :seq AND (t.seq, t.id, d.retrieval_id, d.position) > (:seq, :tombstone, :retrieval, :position) "
    "AND {principal} = :principal AND d.seq < t.seq ORDER BY t.seq, t.id, d.retrieval_id, d.position LIMIT :limit"
)
_SINCE_EVER = sa.text(_RETRACTIONS.format(tables="delivery d CROSS JOIN tombstone t", principal="d.principal"))
_SINCE_LATELY = sa.text(_RETRACTIONS.format(tables="tombstone t CROSS JOIN delivery d", principal="(d.principal || '')"))
"""From the caller's deliveries, all of which must be looked at the first time, or from the few tombstones since, so that
whoever waits costs nothing, however much was once delivered to them. SQLite joins in the order written, and by the index
on revisions since the one on principals does not fit an expression."""


def retractions(read: Read, principal: str, after: Cursor, limit: int) -> list[Retraction]:
    """What was delivered to `principal` and has been tombstoned since, in order of the tombstones."""
    params = {"principal": principal, "seq": after.seq, "tombstone": after.tombstone, "retrieval": after.retrieval, "position": after.position, "limit": limit}
    statement = _SINCE_LATELY if after.seq else _SINCE_EVER
    return [Retraction(row[0], row[1], row[2], row[3], Cursor(row[4], row[5], row[0], row[6])) for row in read.rows(statement, params)]


_REVOKE = sa.text(
    "INSERT INTO revocation (kind, value, at, forget_at) VALUES (:kind, :value, :at, :forget) "
    "ON CONFLICT (kind, value) DO UPDATE SET at = excluded.at, forget_at = excluded.forget_at"
)


def revoke(tx: Write, kind: str, value: str, forget_after: float, principal: str) -> None:
    """Refuse the token with id `value`, or every token of the user `value` issued until now; kept for `forget_after` seconds."""
    tx.run(_REVOKE, {"kind": kind, "value": value, "at": tx.now, "forget": tx.now + forget_after})
    tx.holding = True
    tx.announce(REVOCATIONS)
    tx.audit("Revoke", principal=principal, object=f"{kind}/{value}", decision="Revoked")


_REASONS = sa.text("SELECT revision_id, reason, at, readers FROM tombstone WHERE revision_id IN :ids").bindparams(sa.bindparam("ids", expanding=True))


@dataclass(frozen=True, slots=True)
class Death:
    """How one revision died, and who could read it then (the catalog's JSON)."""

    reason: str
    at: float
    readers: str


def deaths(read: Read, revisions: Sequence[int]) -> dict[int, Death]:
    """How `revisions` died, by id; those that live are missing."""
    return {row[0]: Death(row[1], row[2], row[3]) for row in read.rows(_REASONS, {"ids": list(revisions)})} if revisions else {}
