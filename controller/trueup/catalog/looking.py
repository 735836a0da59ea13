"""What a look reads of a source, and `apply`: the transaction in which what it decided becomes true."""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

import sqlalchemy as sa

from trueup.catalog.announcing import OUTBOX, TOMBSTONES, WANTED
from trueup.catalog.hot import Hot, HotByIds
from trueup.catalog.store import Read, Write
from trueup.decide.diff import Add, Change, Known
from trueup.decide.freshness import NEVER
from trueup.errors import EpochLost
from trueup.model.listing import WHOLE, Gap, Item, Kind, Scope, covered

UNDECIDED = 9
"""`wanted_class` of rows that a look has listed but not decided yet: they are not loaded."""

_COLUMNS = "SELECT id, uri, version, state, identity, size FROM document"
_BELOW = "uri > :low AND uri < :high"
_ANY_BELOW = Hot("SELECT 1 FROM document WHERE source_id = ? AND uri > ? AND uri < ? LIMIT 1")
_URI = attrgetter("uri")
_IN_PREFIX = "(uri = :p OR (uri > :low AND uri < :high))"


def within(prefix: str) -> tuple[str, dict[str, str]]:
    """The SQL condition and its parameters for "at or below `prefix`"; `0` is the character after `/`."""
    if prefix == WHOLE:
        return "1 = 1", {}
    return _IN_PREFIX, {"p": prefix, "low": prefix + "/", "high": prefix + "0"}


def known(read: Read, source: int, scope: Scope) -> Iterator[Known]:
    """The documents of `source` in `scope`, ascending by uri, streamed."""
    if scope.whole:
        return _streamed(read, source, "1 = 1", {})
    prefixes = sorted(set(scope.prefixes))
    # Most prefixes are single documents: these are read together, and only those with something below them one by one.
    single = sorted(map(Known._make, read.hot_by_ids(HotByIds(f"{_COLUMNS} WHERE source_id = {source:d} AND uri"), prefixes)), key=_URI)
    folders = [prefix for prefix in prefixes if read.hot(_ANY_BELOW, source, prefix + "/", prefix + "0")]
    below = [_streamed(read, source, _BELOW, {"low": prefix + "/", "high": prefix + "0"}) for prefix in folders]
    return heapq.merge(single, *below, key=_URI)


def _streamed(read: Read, source: int, condition: str, params: Mapping[str, str]) -> Iterator[Known]:
    return map(Known._make, read.stream(sa.text(f"{_COLUMNS} WHERE source_id = :source AND {condition} ORDER BY uri"), {"source": source, **params}))


_COUNT = sa.text("SELECT count(*) FROM document WHERE source_id = :source AND state = :state")


def count(read: Read, source: int, state: str) -> int:
    """How many documents of `source` are in `state`."""
    return int(read.value(_COUNT, {"source": source, "state": state}))


_OF_IDENTITY = sa.text(f"{_COLUMNS} WHERE source_id = :source AND state = 'live' AND identity IN :identities").bindparams(
    sa.bindparam("identities", expanding=True)
)


def live_with(read: Read, source: int, identities: Sequence[str]) -> list[Known]:
    """The live documents of `source` that have one of `identities`."""
    rows = [
        row
        for start in range(0, len(identities), 500)
        for row in read.rows(_OF_IDENTITY, {"source": source, "identities": list(identities[start : start + 500])})
    ]
    return [Known._make(row) for row in rows]


_DIGESTS = sa.text("SELECT d.id, r.digest FROM document d JOIN revision r ON r.id = d.revision_id WHERE d.id IN :documents").bindparams(
    sa.bindparam("documents", expanding=True)
)


def digests(read: Read, documents: Sequence[int]) -> dict[int, str]:
    """The digest of the live revision of each of `documents`."""
    found: dict[int, str] = {}
    for start in range(0, len(documents), 500):
        found.update({row[0]: row[1] for row in read.rows(_DIGESTS, {"documents": list(documents[start : start + 500])})})
    return found


@dataclass(frozen=True, slots=True)
class Removal:
    """One document to be tombstoned, and why; `successor` is the uri it moved to."""

    document: int
    reason: str
    successor: str | None = None


@dataclass(slots=True)
class Decision:
    """Everything that one look decided, for one transaction.

    Attributes:
        source, epoch, generation: what the look began with; another epoch voids it.
        observation: its id. revision: of the source. began: when it began, which is what the lease is renewed to.
        renews: whether the whole source was read, so that leases outside `gaps` are renewed.
        held: the documents to hide until confirmed, with `hold_reason`; what was held before joins this hold.
    """

    source: int
    epoch: int
    generation: int
    observation: str
    revision: str | None
    began: float
    whole: bool
    renews: bool
    gaps: tuple[Gap, ...] = ()
    adds: list[Add] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    removals: list[Removal] = field(default_factory=list)
    held: list[int] = field(default_factory=list)
    hold_reason: str | None = None
    restores: list[int] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)


_CHECK = sa.text("SELECT verified_at, held_observation FROM source WHERE id = :id AND epoch = :epoch AND state = 'live'")
_ADD = sa.text(
    "INSERT INTO document (source_id, uri, state, version, size, modified, identity, acl_id, wanted, wanted_since, wanted_class, failure, observation, seq) "
    "VALUES (:source, :uri, :state, :version, :size, :modified, :identity, :acl, :wanted, :now, :class, :failure, :observation, 0) "
    "ON CONFLICT (source_id, uri) DO UPDATE SET state = excluded.state, version = excluded.version, size = excluded.size, modified = excluded.modified, "
    "identity = excluded.identity, acl_id = excluded.acl_id, wanted = excluded.wanted, wanted_since = excluded.wanted_since, wanted_class = excluded.wanted_class, "
    "failure = excluded.failure, failure_message = NULL, attempts = 0, retry_at = NULL, stale_at = NULL, verified_at = NULL, observation = excluded.observation "
    "WHERE document.state = 'dead'"
)
_CHANGE = sa.text(
    "UPDATE document SET version = :version, size = :size, modified = :modified, identity = :identity, wanted = :version, wanted_since = :now, "
    "wanted_class = CASE WHEN state IN ('live', 'held') THEN 0 ELSE 1 END, attempts = 0, retry_at = NULL, failure = NULL, failure_message = NULL, "
    "stale_at = CASE WHEN state = 'live' THEN coalesce(stale_at, :now) END, "
    "state = CASE WHEN state IN ('refused', 'expired') THEN 'pending' ELSE state END, observation = :observation WHERE id = :id"
)
_REFUSE = sa.text(
    "UPDATE document SET version = :version, state = 'refused', failure = :failure, wanted = NULL, observation = :observation WHERE id = :id AND revision_id IS NULL"
)


def refusal(item: Item, *, readable: bool) -> str | None:
    """Why a listed item is not loaded at all; None if it is."""
    if item.kind is Kind.DOCUMENT:
        return None if readable else "Unsupported"
    return "Skipped" if item.kind is Kind.SKIPPED else "Unsupported"


def queue(tx: Write, decision: Decision, adds: Sequence[tuple[Add, str | None, int]], changes: Sequence[tuple[Change, str | None]], *, decided: bool) -> None:
    """Write what is wanted. `adds` come with the reason for which they are refused and their access slot.

    Rows written before the look is decided are marked so that nothing of them is loaded before its removals are true.
    """
    fence(tx, decision)
    tx.announce(WANTED)
    tx.many(
        _ADD,
        [
            {
                "source": decision.source,
                "uri": add.item.uri,
                "state": "pending" if failure is None else "refused",
                "version": add.item.version,
                "size": add.item.size,
                "modified": add.item.modified,
                "identity": _identity(add.item),
                "acl": acl,
                "wanted": add.item.version if failure is None else None,
                "now": tx.now,
                "class": 1 if decided else UNDECIDED,
                "failure": failure,
                "observation": decision.observation,
            }
            for add, failure, acl in adds
        ],
    )
    tx.many(_CHANGE, [_change(change, decision, tx.now) for change, failure in changes if failure is None])
    tx.many(
        _REFUSE,
        [{"id": c.known.id, "version": c.item.version, "failure": f, "observation": decision.observation} for c, f in changes if f is not None],
    )


def _identity(item: Item) -> str | None:
    """None for a very long one, by which no move is known: PostgreSQL's indexes take no more than 2,700 bytes."""
    return item.identity if item.identity is None or len(item.identity) <= 512 else None


def _change(change: Change, decision: Decision, now: float) -> dict[str, Any]:
    item = change.item
    return {
        "id": change.known.id,
        "version": item.version,
        "size": item.size,
        "modified": item.modified,
        "identity": _identity(item),
        "now": now,
        "observation": decision.observation,
    }


def fence(tx: Write, decision: Decision) -> Any:
    """The source's row, if this look may still write.

    Raises:
        EpochLost: the source was deleted or taken over since the look began.
    """
    tx.hold([decision.source])
    row = tx.row(_CHECK, {"id": decision.source, "epoch": decision.epoch})
    if row is None:
        raise EpochLost
    return row


_BURY = sa.text(
    "INSERT INTO tombstone (seq, source_id, document_id, revision_id, uri, version, source_revision, digest, reason, at, observation, successor, readers, classification) "
    "SELECT :seq, d.source_id, d.id, r.id, d.uri, r.version, r.source_revision, r.digest, :reason, :now, :observation, :successor, a.readers, a.classification "
    "FROM document d JOIN revision r ON r.id = d.revision_id JOIN acl a ON a.id = d.acl_id WHERE d.id = :document"
)
_DIE = sa.text("UPDATE revision SET state = 'dead' WHERE id = (SELECT revision_id FROM document WHERE id = :document)")
_OUTBOX = sa.text(
    "INSERT INTO outbox (generation_id, point_id) SELECT c.generation_id, c.point_id FROM document d JOIN chunk c ON c.revision_id = d.revision_id "
    "WHERE d.id = :document AND c.verdict <> 'Quarantined'"
)
_UNCOUNT = sa.text(
    "UPDATE source SET chunks = chunks - (SELECT r.chunks FROM document d JOIN revision r ON r.id = d.revision_id WHERE d.id = :document), tombstones = tombstones + 1 "
    "WHERE id = (SELECT source_id FROM document WHERE id = :document AND revision_id IS NOT NULL)"
)
_EMPTY = sa.text(
    "UPDATE document SET state = :state, revision_id = NULL, wanted = NULL, stale_at = NULL, retry_at = NULL, failure = NULL, failure_message = NULL, "
    "quarantined = :no, verified_at = NULL, observation = :observation, seq = :seq WHERE id = :document"
)
# A version that was being loaded is wanted no more: published, it would bring back what is hidden. Without a version, the
# document is loaded anew when it is listed again.
_HOLD = sa.text(
    "UPDATE document SET state = 'held', version = CASE WHEN wanted IS NULL THEN version END, wanted = NULL, retry_at = NULL, seq = :seq "
    "WHERE id = :document AND state = 'live'"
)
_RESTORE = sa.text("UPDATE document SET state = 'live', seq = :seq WHERE id = :document AND state = 'held'")
_DECIDED = sa.text(
    "UPDATE source SET revision = :revision, decided_generation = :generation, observation = :observation, "
    "changed_at = CASE WHEN :changed THEN :now ELSE changed_at END, seq = :seq WHERE id = :id"
)
_RENEW = sa.text("UPDATE source SET verified_at = :began, gaps = :gaps WHERE id = :id")
_HOLDING = sa.text("UPDATE source SET held_observation = :observation, held_since = :since, held_reason = :reason WHERE id = :id")
_ANY_HELD = sa.text("SELECT 1 FROM document WHERE source_id = :id AND state = 'held' LIMIT 1")
_OBSERVED = sa.text("INSERT INTO observation (id, source_id, at, revision, whole, counts) VALUES (:id, :source, :at, :revision, :whole, :counts)")


def bury(tx: Write, removals: Sequence[Removal], observation: str, seq: int, *, state: str = "dead") -> None:
    """Tombstone the live or held revisions of documents and take them out of service; `state` is what the documents become.

    The caller holds their sources, or else another process may bury the same revision.
    """
    if removals:
        tx.announce(TOMBSTONES)
        tx.announce(OUTBOX)
    rows = [
        {
            "document": r.document,
            "reason": r.reason,
            "successor": r.successor,
            "observation": observation,
            "seq": seq,
            "now": tx.now,
            "state": state,
            "no": False,
        }
        for r in removals
    ]
    for statement in (_BURY, _OUTBOX, _UNCOUNT, _DIE, _EMPTY):
        tx.many(statement, rows)


def apply(tx: Write, decision: Decision) -> None:
    """All removals, holds and releases of a look, at once true at the gate, and the renewal of what it proved.

    Raises:
        EpochLost: the source was deleted or taken over; nothing is written.
    """
    before = fence(tx, decision)
    changed = bool(decision.removals or decision.held or decision.restores or decision.adds or decision.changes)
    seq = tx.allot() if changed else 0
    bury(tx, decision.removals, decision.observation, seq)
    tx.many(_HOLD, [{"document": d, "seq": seq} for d in decision.held])
    tx.many(_RESTORE, [{"document": d, "seq": seq} for d in decision.restores])
    if decision.held:
        tx.run(_HOLDING, {"id": decision.source, "observation": decision.observation, "since": tx.now, "reason": decision.hold_reason})
    elif before.held_observation is not None and tx.row(_ANY_HELD, {"id": decision.source}) is None:
        tx.run(_HOLDING, {"id": decision.source, "observation": None, "since": None, "reason": None})
    if decision.renews:
        _renew(tx, decision, before.verified_at)
    if decision.whole:
        tx.run(
            _DECIDED,
            {
                "id": decision.source,
                "revision": decision.revision,
                "generation": decision.generation,
                "observation": decision.observation,
                "changed": changed,
                "now": tx.now,
                "seq": tx.allot(),
            },
        )
    if changed:
        counts = {"removed": len(decision.removals), "held": len(decision.held), "restored": len(decision.restores), **decision.counts}
        tx.run(
            _OBSERVED,
            {
                "id": decision.observation,
                "source": decision.source,
                "at": decision.began,
                "revision": decision.revision,
                "whole": decision.whole,
                "counts": json.dumps(counts),
            },
        )
        _record(tx, decision, counts)


def _record(tx: Write, decision: Decision, counts: Mapping[str, int]) -> None:
    target = f"source/{decision.source}"
    tx.audit(
        "Look", principal="controller", object=target, decision="Decided", data={"observation": decision.observation, "revision": decision.revision, **counts}
    )
    for removal in decision.removals:
        tx.audit(
            "Tombstone", principal="controller", object=f"document/{removal.document}", decision=removal.reason, data={"observation": decision.observation}
        )
    if decision.held:
        tx.audit(
            "Hold",
            principal="controller",
            object=target,
            decision="Held",
            reason=decision.hold_reason or "",
            data={"observation": decision.observation, "documents": len(decision.held)},
        )


_KEEP_OLD = "UPDATE document SET verified_at = :old WHERE source_id = :source AND verified_at IS NULL AND state IN ('live', 'held', 'pending') AND "
_DIFFERING = sa.text("SELECT id, uri FROM document WHERE source_id = :source AND verified_at IS NOT NULL")
_RENEWED = sa.text("UPDATE document SET verified_at = NULL WHERE id = :id")


def _renew(tx: Write, decision: Decision, old: float | None) -> None:
    """Move the lease of everything outside the gaps. A document in a gap keeps the time at which it was last vouched for."""
    differing = tx.rows(_DIFFERING, {"source": decision.source})
    closed = [row.id for row in differing if not any(covered(row.uri, (g.prefix,)) for g in decision.gaps)]
    tx.many(_RENEWED, [{"id": id_} for id_ in closed])
    for gap in decision.gaps:
        condition, params = within(gap.prefix)
        tx.run(sa.text(_KEEP_OLD + condition), {"old": NEVER if old is None else old, "source": decision.source, **params})
    gaps = json.dumps([{"prefix": g.prefix, "reason": g.reason} for g in decision.gaps[:100]]) if decision.gaps else None
    tx.run(_RENEW, {"id": decision.source, "began": decision.began, "gaps": gaps})


_QUIET = sa.text("UPDATE source SET verified_at = :began WHERE id = :id AND epoch = :epoch AND state = 'live' AND gaps IS NULL")


def renew(tx: Write, source: int, epoch: int, began: float) -> None:
    """A probe showed the revision that was last decided: the lease is renewed, and nothing else changes."""
    tx.hold([source])
    tx.run(_QUIET, {"id": source, "epoch": epoch, "began": began})


_RELEASE = sa.text(
    "UPDATE document SET wanted_class = 1 WHERE id IN (SELECT id FROM document WHERE source_id = :source AND wanted IS NOT NULL AND wanted_class = 9 ORDER BY id LIMIT :limit)"
)


def release(tx: Write, source: int, limit: int = 5000) -> int:
    """Let up to `limit` undecided rows be loaded, now that the look that listed them is decided; returns how many."""
    tx.hold([source])
    tx.announce(WANTED)
    return int(tx.run(_RELEASE, {"source": source, "limit": limit}).rowcount)
