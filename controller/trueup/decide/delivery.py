"""May this candidate be delivered to this caller now? A list of small named checks, the first that fails decides.

The index proposes, and is never believed: a candidate is what the catalog holds under the point's id, in one snapshot.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass

from trueup.decide import freshness
from trueup.decide.freshness import Lease
from trueup.model.text import Verdict


class Why(enum.StrEnum):
    """Why a candidate is in the answer or not."""

    DELIVERED = "Delivered"
    UNKNOWN = "Unknown"
    """The catalog has no such point: a stray or restored one."""
    GENERATION = "OtherGeneration"
    SOURCE_DEAD = "SourceDead"
    UNREADABLE = "Unreadable"
    FILTERED = "Filtered"
    SUPERSEDED = "Superseded"
    DEAD = "Dead"
    EXPIRED = "Expired"
    QUARANTINED = "Quarantined"
    HELD = "Held"
    STALE = "Stale"
    GONE = "GoneAtOrigin"
    """The source, asked while answering, no longer has it at this version."""
    SURPLUS = "Surplus"
    """Deliverable, but the answer was full without it."""
    TOO_LONG = "TooLong"
    """Deliverable, but longer than what was left of the token budget."""


WITHHELD = frozenset({Why.QUARANTINED, Why.HELD, Why.STALE})
"""What the caller is entitled to and does not get now: counted in `withheld`. Everything else is simply not there."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """What the catalog holds of one point: chunk, revision and document. Times in seconds since the epoch."""

    point: str
    generation: int
    digest: str
    span: tuple[int | None, int | None, int, int]
    heading: str
    verdict: str
    findings: str | None
    revision: int
    revision_state: str
    version: str
    content: str
    """`sha256:hex` of the document's bytes at this revision."""
    source_revision: str | None
    observed_at: float
    expires_at: float | None
    conflict_key: str | None
    document: int
    source: int
    uri: str
    document_state: str
    current: int | None
    """The revision that the document has now."""
    modified: float | None
    verified_at: float | None
    stale_at: float | None


@dataclass(frozen=True, slots=True)
class Terms:
    """What the candidate's source says and how it stands, of the same snapshot.

    Attributes:
        alive: the source is declared.
        generation: the one its index serves now; None where there is none.
        verified_at: when a look last vouched for the whole of it.
        max_staleness: seconds. on_stale_flag: stale content is delivered and marked. document_ttl: seconds or None.
    """

    alive: bool
    generation: int | None
    verified_at: float | None
    max_staleness: float
    on_stale_flag: bool
    document_ttl: float | None


@dataclass(frozen=True, slots=True)
class Case:
    """One candidate before the checks.

    Attributes:
        readable: the source's declared access admits this caller to the candidate's uri.
        wanted: it lies within the request's own sources, paths and times.
        lease: of the document, now.
        distrusted: this process's clock stands before what the catalog has seen, so no age can be believed.
    """

    candidate: Candidate
    terms: Terms
    readable: bool
    wanted: bool
    now: float
    lease: Lease
    distrusted: bool = False


def _superseded(case: Case) -> bool:
    return case.candidate.current != case.candidate.revision


def _dead(case: Case) -> bool:
    return case.candidate.revision_state != "live" or case.candidate.document_state not in {"live", "held"}


def _expired(case: Case) -> bool:
    end = freshness.end_of_life(case.candidate.observed_at, case.candidate.expires_at, case.terms.document_ttl)
    return end is not None and case.now >= end


def _stale(case: Case) -> bool:
    return marked_stale(case) and not case.terms.on_stale_flag


Check = tuple[Why, Callable[[Case], bool]]

CHECKS: tuple[Check, ...] = (
    (Why.SOURCE_DEAD, lambda case: not case.terms.alive),
    (Why.UNREADABLE, lambda case: not case.readable),
    (Why.FILTERED, lambda case: not case.wanted),
    (Why.GENERATION, lambda case: case.terms.generation is None or case.candidate.generation != case.terms.generation),
    (Why.SUPERSEDED, _superseded),
    (Why.DEAD, _dead),
    (Why.EXPIRED, _expired),
    (Why.QUARANTINED, lambda case: case.candidate.verdict == Verdict.QUARANTINED),
    (Why.HELD, lambda case: case.candidate.document_state != "live"),
    (Why.STALE, _stale),
)
"""What is not the caller's comes first: a later reason is only ever given to one who may read the document."""


def judge(case: Case) -> Why:
    """`DELIVERED`, or the first check that fails."""
    for why, fails in CHECKS:
        if fails(case):
            return why
    return Why.DELIVERED


def marked_stale(case: Case) -> bool:
    """Whether the candidate, if delivered, is marked Stale."""
    return case.distrusted or case.lease.stale


def lease_of(candidate: Candidate, terms: Terms, now: float) -> Lease:
    """The lease of a candidate: the document's own where a gap keeps it from the source's."""
    verified = candidate.verified_at if candidate.verified_at is not None else terms.verified_at
    return freshness.lease(now, verified, terms.max_staleness, candidate.stale_at)
