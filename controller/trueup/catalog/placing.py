"""What a changed declaration alone changes, without a look at the source: slots, scope, settings, confirmed holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from trueup.catalog.announcing import OUTBOX, WANTED
from trueup.catalog.looking import Removal, bury
from trueup.catalog.store import Read, Write

_SOURCE = sa.text("SELECT * FROM source WHERE id = :source AND state = 'live'")
_LIVE = sa.text("SELECT id, namespace, name, uid FROM source WHERE state = 'live'")


@dataclass(frozen=True, slots=True)
class SourceRow:
    """The row of a live source that a look begins with."""

    id: int
    epoch: int
    generation: int
    namespace: str
    index_key: str
    next_index: str | None
    settings: str
    selection: str
    access: str
    placed: str
    ingested: str
    suspended: bool
    revision: str | None
    decided_generation: int
    verified_at: float | None
    failure: str | None
    gaps: str | None
    held_observation: str | None
    held_since: float | None

    @property
    def indexes(self) -> tuple[str, ...]:
        """The keys of the indexes that its documents are loaded into: its own, and the one it moves to."""
        return (self.index_key,) if self.next_index is None else (self.index_key, self.next_index)


_COLUMNS = tuple(SourceRow.__dataclass_fields__)


def source_row(read: Read, source: int) -> SourceRow | None:
    """The source, while it is live."""
    row = read.row(_SOURCE, {"source": source})
    return None if row is None else SourceRow(**{name: getattr(row, name) for name in _COLUMNS})


def live_sources(read: Read) -> list[tuple[int, str, str, str]]:
    """(id, namespace, name, uid) of every live source."""
    return [(int(r.id), str(r.namespace), str(r.name), str(r.uid)) for r in read.rows(_LIVE)]


_DOCUMENTS = sa.text("SELECT id, uri, acl_id, state FROM document WHERE source_id = :source AND state <> 'dead' AND id > :after ORDER BY id LIMIT :limit")
_SLOTS = sa.text("SELECT ordinal, id FROM acl WHERE source_id = :source")
_MOVE = sa.text("UPDATE document SET acl_id = :acl, seq = :seq WHERE id = :document")
_MOVED_POINTS = sa.text(
    "INSERT INTO outbox (generation_id, point_id) SELECT c.generation_id, c.point_id FROM document d JOIN chunk c ON c.revision_id = d.revision_id "
    "WHERE d.id = :document AND c.verdict <> 'Quarantined'"
)
_PLACED = sa.text("UPDATE source SET placed = :access WHERE id = :source AND access = :access")
_SELECTED = sa.text("UPDATE source SET selection = :selection WHERE id = :source AND epoch = :epoch")


def slots(read: Read, source: int) -> dict[int, int]:
    """The ids of the access slots of `source`, by rule number (-1: its own)."""
    return {int(row[0]): int(row[1]) for row in read.rows(_SLOTS, {"source": source})}


def documents(read: Read, source: int, after: int, limit: int = 2000) -> list[tuple[int, str, int, str]]:
    """(id, uri, slot, state) of the documents of `source` that are not dead, ascending by id."""
    return [(row[0], row[1], row[2], row[3]) for row in read.rows(_DOCUMENTS, {"source": source, "after": after, "limit": limit})]


def every_document(read_batch: Callable[[int], Sequence[tuple[int, str, int, str]]]) -> Iterator[tuple[int, str, int, str]]:
    """All documents, a batch at a time: `read_batch(after)` reads the next one."""
    after = 0
    while batch := read_batch(after):
        yield from batch
        after = batch[-1][0]


_SOURCES_OF = sa.text("SELECT DISTINCT source_id FROM document WHERE id IN :documents").bindparams(sa.bindparam("documents", expanding=True))
_REVISIONS = sa.text("SELECT id, revision_id FROM document WHERE state = 'live' AND id IN :documents").bindparams(sa.bindparam("documents", expanding=True))


def _by_documents(read: Read, statement: sa.TextClause, documents_: Sequence[int]) -> list[Any]:
    return [row for start in range(0, len(documents_), 500) for row in read.rows(statement, {"documents": list(documents_[start : start + 500])})]


def _hold_of(tx: Write, documents_: Sequence[int]) -> None:
    """Hold the sources that `documents_` are of."""
    tx.hold({int(row[0]) for row in _by_documents(tx, _SOURCES_OF, documents_)})


def reclassify(tx: Write, moves: Sequence[tuple[int, int]]) -> None:
    """Put documents into other slots: (document, slot). The gate evaluates the rules anyway; this is for the index."""
    _hold_of(tx, [document for document, _ in moves])
    seq = tx.allot()
    tx.announce(OUTBOX)
    tx.many(_MOVE, [{"document": d, "acl": a, "seq": seq} for d, a in moves])
    tx.many(_MOVED_POINTS, [{"document": d} for d, _ in moves])


def placed(tx: Write, source: int, access: str) -> None:
    """Every document is in the slot that the declaration `access` puts it in."""
    tx.hold([source])
    tx.run(_PLACED, {"source": source, "access": access})


def exclude(tx: Write, source: int, epoch: int, documents_: Sequence[int], observation: str, selection: str) -> None:
    """Tombstone what a narrowed selection leaves out: declared intent, which no guard holds."""
    tx.hold([source])
    if tx.row(_FENCE, {"source": source, "epoch": epoch}) is None:
        return
    if documents_:
        bury(tx, [Removal(d, "Excluded") for d in documents_], observation, tx.allot())
        for document in documents_:
            tx.audit("Tombstone", principal="controller", object=f"document/{document}", decision="Excluded", data={"observation": observation})
    tx.run(_SELECTED, {"source": source, "epoch": epoch, "selection": selection})


_FENCE = sa.text("SELECT 1 FROM source WHERE id = :source AND epoch = :epoch AND state = 'live'")
_REBUILD = sa.text(
    "UPDATE document SET wanted = version, wanted_since = :now, attempts = 0, retry_at = NULL, failure = NULL, failure_message = NULL, "
    "wanted_class = CASE WHEN state = 'live' THEN 2 ELSE 1 END, state = CASE WHEN state = 'refused' THEN 'pending' ELSE state END "
    "WHERE id IN (SELECT id FROM document WHERE source_id = :source AND wanted IS NULL AND settings <> :settings "
    "AND (state = 'live' OR (state = 'refused' AND failure NOT IN ('Skipped', 'Unsupported'))) LIMIT :limit)"
)
_INGESTED = sa.text("UPDATE source SET ingested = :settings WHERE id = :source AND epoch = :epoch")
_RETRY_ALL = sa.text("UPDATE document SET retry_at = NULL, attempts = 0 WHERE source_id = :source AND wanted IS NOT NULL AND retry_at IS NOT NULL")


def rebuild(tx: Write, source: int, settings: str, limit: int = 2000) -> int:
    """Want again what was ingested with other settings; returns how many. The old chunks serve until the new are there."""
    tx.hold([source])
    tx.announce(WANTED)
    return int(tx.run(_REBUILD, {"source": source, "settings": settings, "now": tx.now, "limit": limit}).rowcount)


def ingested(tx: Write, source: int, epoch: int, settings: str) -> None:
    """Every document of `source` is queued with `settings`, or was ingested with them."""
    tx.run(_INGESTED, {"source": source, "epoch": epoch, "settings": settings})


def retry_all(tx: Write, source: int) -> None:
    """A person asked, or the declaration changed: what failed is tried again now."""
    tx.hold([source])
    tx.announce(WANTED)
    tx.run(_RETRY_ALL, {"source": source})


_HELD = sa.text("SELECT id FROM document WHERE source_id = :source AND state = 'held'")
_NO_HOLD = sa.text("UPDATE source SET held_observation = NULL, held_since = NULL, held_reason = NULL WHERE id = :source")
_HOLD_IS = sa.text("SELECT held_observation FROM source WHERE id = :source AND epoch = :epoch AND state = 'live'")


def confirm(tx: Write, source: int, epoch: int, observation: str, principal: str, reason: str = "Deleted") -> int:
    """Erase what the hold `observation` hides; returns how many documents. Another id releases nothing."""
    tx.hold([source])
    if tx.value(_HOLD_IS, {"source": source, "epoch": epoch}) != observation:
        return 0
    held = [int(row[0]) for row in tx.rows(_HELD, {"source": source})]
    bury(tx, [Removal(d, reason) for d in held], observation, tx.allot())
    tx.run(_NO_HOLD, {"source": source})
    tx.audit("Confirm", principal=principal, object=f"source/{source}", decision="Confirmed", data={"observation": observation, "documents": len(held)})
    for document in held:
        tx.audit("Tombstone", principal=principal, object=f"document/{document}", decision=reason, data={"observation": observation})
    return len(held)


_EXPIRED = sa.text(
    "SELECT d.id, r.id FROM revision r JOIN document d ON d.revision_id = r.id WHERE r.state = 'live' AND r.expires_at IS NOT NULL AND r.expires_at <= :now AND d.state = 'live' LIMIT :limit"
)
_AGED = sa.text(
    "SELECT d.id, r.id FROM revision r JOIN document d ON d.revision_id = r.id WHERE r.source_id = :source AND r.state = 'live' AND r.observed_at <= :before AND d.state = 'live' LIMIT :limit"
)


def expired(read: Read, now: float, limit: int = 500) -> list[tuple[int, int]]:
    """(document, live revision) of those whose own front matter says that they have ended."""
    return [(int(row[0]), int(row[1])) for row in read.rows(_EXPIRED, {"now": now, "limit": limit})]


def aged(read: Read, source: int, before: float, limit: int = 500) -> list[tuple[int, int]]:
    """(document, live revision) of `source` whose version was first seen at or before `before`."""
    return [(int(row[0]), int(row[1])) for row in read.rows(_AGED, {"source": source, "before": before, "limit": limit})]


def expire(tx: Write, ended: Sequence[tuple[int, int]]) -> None:
    """Tombstone (document, revision) whose time-to-live has passed. The gate withheld them already; the origin may still
    list them. A document that has another revision by now is left alone: its time is its own.
    """
    _hold_of(tx, [document for document, _ in ended])
    still = {tuple(row) for row in _by_documents(tx, _REVISIONS, [document for document, _ in ended])}
    documents_ = [document for document, revision in ended if (document, revision) in still]
    if not documents_:
        return
    seq = tx.allot()
    bury(tx, [Removal(d, "Expired") for d in documents_], f"expired@{seq}", seq, state="expired")
    for document in documents_:
        tx.audit("Tombstone", principal="controller", object=f"document/{document}", decision="Expired")


_DISTRUST = (
    sa.text("UPDATE source SET verified_at = NULL WHERE state = 'live'"),
    sa.text("UPDATE document SET verified_at = NULL WHERE verified_at IS NOT NULL"),
    sa.text("UPDATE source SET held_since = :now WHERE held_since IS NOT NULL"),
)
_HIGH_WATER = sa.text("SELECT at FROM sequence WHERE id = 1")


def distrust(tx: Write) -> None:
    """The clock went back: nothing is known to be fresh until its source is read again, and waiting times start again."""
    tx.hold([source for source, _, _, _ in live_sources(tx)])
    for statement in _DISTRUST:
        tx.run(statement, {"now": tx.now})
    restart_waits(tx)
    tx.audit("Config", principal="controller", object="clock", decision="WentBack")
    tx.allot()


_RESTART = sa.text("INSERT INTO meta (key, value) VALUES ('waits_since', :now) ON CONFLICT (key) DO UPDATE SET value = excluded.value")
_WAITS = sa.text("SELECT value FROM meta WHERE key = 'waits_since'")


def restart_waits(tx: Write) -> None:
    """After a jump of the clock, confirmAfter and retention count from now."""
    tx.hold([source for source, _, _, _ in live_sources(tx)])
    tx.run(_DISTRUST[2], {"now": tx.now})
    tx.run(_RESTART, {"now": repr(tx.now)})


def waits_since(read: Read) -> float:
    """No waiting time counts from before this moment; 0 if the clock never jumped."""
    return float(read.value(_WAITS) or 0.0)


def high_water(read: Read) -> float:
    """The latest time that the clock showed at a commit."""
    return float(read.value(_HIGH_WATER))
