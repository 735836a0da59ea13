"""What a ContextSource's status says, from what the catalog holds of it. One summarizer, no I/O."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trueup.model.times import rfc3339

# The conditions that this controller owns. The first two are always there; the others only while True.
ALWAYS = ("Ready", "Fresh")
WHILE_TRUE = ("Reconciling", "Stalled", "Suspended", "DeletionHeld", "FetchFailed", "IndexWriteFailed", "Quarantined")


@dataclass(frozen=True, slots=True)
class Failure:
    """Why the source as a whole could not be read, since when, how often in a row, and when it is tried again."""

    reason: str
    message: str
    since: float
    count: int
    next_at: float


@dataclass(frozen=True, slots=True)
class Hold:
    """Removals that wait for confirmation."""

    observation: str
    documents: int
    since: float
    reason: str


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that a status is made of. Times are seconds since the epoch."""

    generation: int
    decided_generation: int
    suspended: bool
    revision: str | None
    seq: int
    verified_at: float | None
    max_staleness: float
    changed_at: float | None
    live: int
    held: int
    quarantined: int
    failed: int
    unsupported: int
    skipped: int
    loading: int
    chunks: int
    tombstones: int
    gaps: Sequence[Mapping[str, str]] = ()
    failure: Failure | None = None
    hold: Hold | None = None
    index_failure: str | None = None
    degraded: str | None = None
    retry_at: float | None = None
    examples: Sequence[Mapping[str, str]] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """One condition before it is compared with what was there."""

    type: str
    status: str
    reason: str
    message: str


def findings(facts: Facts, now: float) -> list[Finding]:
    """The conditions that hold at `now`, in the order in which they are listed."""
    found = [_ready(facts), _fresh(facts, now)]
    looked = facts.decided_generation == facts.generation
    if not facts.suspended and facts.failure is None and (not looked or facts.loading):
        found.append(Finding("Reconciling", "True", "Loading" if looked else "Looking", _ready(facts).message))
    if facts.failure is not None and facts.failure.reason == "Misconfigured":
        found.append(Finding("Stalled", "True", "Misconfigured", facts.failure.message))
    if facts.suspended:
        found.append(Finding("Suspended", "True", "Suspended", "spec.suspend is true: the source is not looked at, and its freshness runs out."))
    if facts.hold is not None:
        message = (
            f"{facts.hold.documents} documents are hidden until confirmed: {facts.hold.reason}. Confirm observation {facts.hold.observation} to delete them."
        )
        found.append(Finding("DeletionHeld", "True", "SuspiciousListing", message))
    if facts.failure is not None:
        found.append(Finding("FetchFailed", "True", facts.failure.reason, facts.failure.message))
    elif facts.gaps:
        first = facts.gaps[0]
        found.append(
            Finding("FetchFailed", "True", "PartialListing", f"{len(facts.gaps)} places could not be read, the first is {first['prefix']}: {first['reason']}")
        )
    if facts.index_failure is not None:
        found.append(Finding("IndexWriteFailed", "True", "IndexWriteFailed", facts.index_failure))
    if facts.quarantined:
        found.append(Finding("Quarantined", "True", "SecretsFound", f"{facts.quarantined} documents hold quarantined text, which is not served."))
    return found


def _ready(facts: Facts) -> Finding:
    if facts.failure is not None:
        return Finding("Ready", "False", facts.failure.reason, facts.failure.message)
    if facts.decided_generation != facts.generation:
        return Finding("Ready", "Unknown", "Progressing", "The source is being read for the first time at this generation.")
    if facts.loading:
        return Finding("Ready", "Unknown", "Progressing", f"{facts.loading} documents are still being loaded.")
    message = f"{facts.live} documents are servable"
    if facts.revision:
        message += f" at {facts.revision[:12]}"
    if facts.failed:
        message += f", {facts.failed} failed"
    if facts.degraded:
        message += f" ({facts.degraded})"
    return Finding("Ready", "True", "Reconciled", message + ".")


def _fresh(facts: Facts, now: float) -> Finding:
    if facts.verified_at is None:
        return Finding("Fresh", "False", "NeverRead", "The source has not been read yet, or not since the clock went back.")
    if -2.0 <= now - facts.verified_at <= facts.max_staleness:
        return Finding("Fresh", "True", "Verified", f"The source vouched for its content within the last {facts.max_staleness:g} s.")
    return Finding("Fresh", "False", "Stale", f"The source has not vouched for its content for more than {facts.max_staleness:g} s.")


def summarize(facts: Facts, now: float, before: Mapping[str, Any], handled: str | None) -> dict[str, Any]:
    """The whole status. What did not change keeps its transition time, so that an unchanged status is an equal value.

    `before` is the status as it was written last; `handled` is the annotation `requestedAt` that the last look served.
    """
    found = findings(facts, now)
    old = {c["type"]: c for c in before.get("conditions", ())}
    if facts.suspended and "Ready" in old:
        kept = old["Ready"]
        found[0] = Finding("Ready", kept["status"], kept["reason"], kept["message"])
    conditions = [_condition(f, old.get(f.type), facts, now) for f in found]
    ended = found[0].status == "True" or any(f.type == "Stalled" for f in found)
    status: dict[str, Any] = {
        "observedGeneration": facts.generation if ended and not facts.suspended else before.get("observedGeneration", -1),
        "conditions": conditions,
        "documents": {
            "live": facts.live,
            "held": facts.held,
            "quarantined": facts.quarantined,
            "failed": facts.failed + len(facts.gaps),
            "unsupported": facts.unsupported,
            "skipped": facts.skipped,
        },
        "chunks": facts.chunks,
        "tombstones": facts.tombstones,
        "failures": facts.failure.count if facts.failure else 0,
    }
    if facts.revision is not None:
        status["revision"] = facts.revision
    if facts.changed_at is not None:
        status["lastUpdateTime"] = rfc3339(facts.changed_at)
        served = f"{facts.revision}|{facts.changed_at!r}|{facts.live}|{facts.chunks}|{facts.tombstones}"
        status["digest"] = "sha256:" + hashlib.sha256(served.encode()).hexdigest()
    if handled is not None:
        status["lastHandledReconcileAt"] = handled
    if facts.hold is not None:
        status["heldDeletion"] = {
            "observation": facts.hold.observation,
            "documents": facts.hold.documents,
            "since": rfc3339(facts.hold.since),
            "reason": facts.hold.reason,
        }
    upcoming = [t for t in (facts.failure.next_at if facts.failure else None, facts.retry_at) if t is not None]
    if upcoming:
        status["nextAttemptTime"] = rfc3339(min(upcoming))
    if facts.examples:
        status["examples"] = [dict(e) for e in facts.examples[:10]]
    return status


def _condition(found: Finding, old: Mapping[str, Any] | None, facts: Facts, now: float) -> dict[str, Any]:
    same = old is not None and old["status"] == found.status
    # Suspended freezes Ready, and with it the generation it speaks of.
    observed = old["observedGeneration"] if old is not None and facts.suspended and found.type == "Ready" else facts.generation
    return {
        "type": found.type,
        "status": found.status,
        "observedGeneration": observed,
        "lastTransitionTime": old["lastTransitionTime"] if same and old is not None else rfc3339(now),
        "reason": found.reason,
        "message": found.message[:1024],
    }
