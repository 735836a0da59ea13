"""What the catalog holds of a source's condition: the facts of its status, its failures and its events."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from trueup.catalog.store import Read, Write
from trueup.decide.conditions import Facts, Failure, Hold

_SOURCE = sa.text("SELECT s.*, g.degraded FROM source s LEFT JOIN generation g ON g.index_key = s.index_key AND g.state = 'serving' WHERE s.id = :source")
_COUNTS = sa.text("SELECT state, failure, count(*) FROM document WHERE source_id = :source GROUP BY state, failure")
_LOADING = sa.text("SELECT count(*) FROM document WHERE source_id = :source AND wanted IS NOT NULL AND failure IS NULL")
_QUARANTINED = sa.text("SELECT count(*) FROM document WHERE source_id = :source AND state = 'live' AND quarantined = :yes")
_EXAMPLES = sa.text(
    "SELECT uri, failure, failure_message FROM document WHERE source_id = :source AND failure IS NOT NULL AND failure NOT IN ('Unsupported', 'Skipped') ORDER BY uri LIMIT 10"
)
_RETRY = sa.text("SELECT min(retry_at) FROM document WHERE source_id = :source AND wanted IS NOT NULL AND retry_at < 1e17")


def facts(read: Read, source: int, max_staleness: float, index_failure: str | None) -> Facts | None:
    """The facts of a source's status, from one snapshot."""
    row = read.row(_SOURCE, {"source": source})
    if row is None:
        return None
    states: dict[str, int] = {}
    failures: dict[str, int] = {}
    for state, failure, number in read.rows(_COUNTS, {"source": source}):
        states[state] = states.get(state, 0) + number
        if failure is not None:
            failures[failure] = failures.get(failure, 0) + number
    failed = sum(n for reason, n in failures.items() if reason not in {"Unsupported", "Skipped"})
    hold = Hold(row.held_observation, states.get("held", 0), row.held_since, row.held_reason) if row.held_observation and states.get("held") else None
    return Facts(
        generation=row.generation,
        decided_generation=row.decided_generation,
        suspended=bool(row.suspended),
        revision=row.revision,
        seq=row.seq,
        verified_at=row.verified_at,
        max_staleness=max_staleness,
        changed_at=row.changed_at,
        live=states.get("live", 0),
        held=states.get("held", 0),
        quarantined=int(read.value(_QUARANTINED, {"source": source, "yes": True})),
        failed=failed,
        unsupported=failures.get("Unsupported", 0),
        skipped=failures.get("Skipped", 0),
        loading=int(read.value(_LOADING, {"source": source})),
        chunks=row.chunks,
        tombstones=row.tombstones,
        gaps=json.loads(row.gaps) if row.gaps else (),
        failure=load_failure(row.failure),
        hold=hold,
        index_failure=index_failure,
        degraded=row.degraded,
        retry_at=read.value(_RETRY, {"source": source}) if failed else None,
        examples=[_example(r) for r in read.rows(_EXAMPLES, {"source": source})] if failed else (),
    )


def _example(row: Any) -> dict[str, str]:
    return {"uri": str(row.uri)[:256], "reason": str(row.failure), "message": str(row.failure_message or "")[:256]}


def load_failure(text: str | None) -> Failure | None:
    """The failure as the table `source` keeps it."""
    return Failure(**json.loads(text)) if text else None


_FAIL = sa.text("UPDATE source SET failure = :failure WHERE id = :source AND epoch = :epoch AND state = 'live'")
_EVENT = sa.text(
    "INSERT INTO event (source_id, namespace, name, type, reason, message, at) SELECT id, namespace, name, :type, :reason, :message, :now FROM source WHERE id = :source"
)
_TRIM = sa.text("DELETE FROM event WHERE source_id = :source AND id < (SELECT id FROM event WHERE source_id = :source ORDER BY id DESC LIMIT 1 OFFSET 200)")
_TRIM_LOOKS = sa.text(
    "DELETE FROM observation WHERE source_id = :source AND at < (SELECT at FROM observation WHERE source_id = :source ORDER BY at DESC LIMIT 1 OFFSET 200)"
)


def set_failure(tx: Write, source: int, epoch: int, failure: Failure | None) -> None:
    """Note why the source cannot be read, or that it can again."""
    tx.hold([source])
    tx.run(_FAIL, {"source": source, "epoch": epoch, "failure": json.dumps(asdict(failure)) if failure else None})


def event(tx: Write, source: int, type_: str, reason: str, message: str) -> None:
    """Tell of a transition. The last two hundred of a source are kept."""
    tx.run(_EVENT, {"source": source, "type": type_, "reason": reason, "message": message[:1024], "now": tx.now})


def trim(tx: Write, source: int) -> None:
    """Keep the newest two hundred events and observations of a source."""
    tx.run(_TRIM, {"source": source})
    tx.run(_TRIM_LOOKS, {"source": source})
