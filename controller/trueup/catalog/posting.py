"""Events of the catalog on their way to where people see them, and how far that has come."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from trueup.catalog.store import Read, Write


@dataclass(frozen=True, slots=True)
class Told:
    """One event of a source."""

    id: int
    uid: str
    namespace: str
    name: str
    type: str
    reason: str
    message: str
    at: float


_AFTER = sa.text(
    "SELECT e.id, s.uid, e.namespace, e.name, e.type, e.reason, e.message, e.at FROM event e JOIN source s ON s.id = e.source_id "
    "WHERE e.id > :after ORDER BY e.id LIMIT :limit"
)
_MARK = sa.text("SELECT value FROM meta WHERE key = 'events_posted'")
_SET = sa.text("INSERT INTO meta (key, value) VALUES ('events_posted', :mark) ON CONFLICT (key) DO UPDATE SET value = excluded.value")


def unposted(read: Read, after: int, limit: int = 100) -> list[Told]:
    """The events after the one numbered `after`, oldest first."""
    return [Told(int(r.id), r.uid, r.namespace, r.name, r.type, r.reason, r.message, float(r.at)) for r in read.rows(_AFTER, {"after": after, "limit": limit})]


def mark(read: Read) -> int:
    """The number of the event that was posted last."""
    return int(read.value(_MARK) or 0)


def set_mark(tx: Write, event: int) -> None:
    """All events up to `event` were posted."""
    tx.run(_SET, {"mark": str(event)})
