"""Freshness as a lease: how long content may be served since its source last vouched for it. Pure; times are arguments.

All times are seconds since the epoch, all spans seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

SLACK = 2.0
"""How far a clock may differ between the process that read the source and the one that serves before the age of
content counts as unknown: larger than NTP's usual correction, far smaller than any useful `maxStaleness`."""

NEVER = float("-inf")
"""`verified_at` of a document that nobody vouches for, in a source that somebody does: None would mean the source's own."""

SUPERSEDED = 5.0
"""How long text that is known to be superseded may still be served while its successor loads (contract, section 2)."""


@dataclass(frozen=True, slots=True)
class Lease:
    """What may be said of the freshness of one document now.

    Attributes:
        stale: it is not vouched for.
        verified_at: when the source last vouched for it; None: never.
        age: seconds since then, never negative; None where that cannot be known.
        expires_at: when it stops being fresh unless the source vouches for it again; None where it never was.
    """

    stale: bool
    verified_at: float | None
    age: float | None
    expires_at: float | None


def lease(now: float, verified_at: float | None, max_staleness: float, stale_at: float | None = None) -> Lease:
    """The lease of a document last vouched for at `verified_at`, and seen to be superseded at `stale_at`.

    A time in the future means that a clock went back: the age is unknown, so the content is stale. Up to `SLACK` of it
    is the ordinary difference between two clocks and counts as no age.

    >>> lease(100.0, 40.0, 60.0).stale, lease(100.1, 40.0, 60.0).stale, lease(100.0, 103.0, 60.0).stale
    (False, True, True)
    """
    if verified_at is None or verified_at == NEVER:
        return Lease(stale=True, verified_at=None, age=None, expires_at=None)
    ends = verified_at + max_staleness
    superseded = stale_at is not None and now > stale_at + SUPERSEDED
    if stale_at is not None:
        ends = min(ends, stale_at + SUPERSEDED)
    age = now - verified_at
    if age < -SLACK:
        return Lease(stale=True, verified_at=verified_at, age=None, expires_at=ends)
    age = max(age, 0.0)
    return Lease(stale=superseded or age > max_staleness, verified_at=verified_at, age=age, expires_at=ends)


def end_of_life(observed_at: float, expires_at: float | None, document_ttl: float | None) -> float | None:
    """When a document's own time-to-live ends: what it says itself or `documentTTL` since this version was first seen,
    whichever is earlier, so that content can only shorten it. None: never.
    """
    ends = [end for end in (expires_at, None if document_ttl is None else observed_at + document_ttl) if end is not None]
    return min(ends, default=None)


def went_back(mark: float, now: float) -> bool:
    """Whether the clock shows a time before the persisted high-water `mark`, beyond the slack."""
    return mark > now + SLACK


@dataclass(frozen=True, slots=True)
class Instant:
    """One reading of both clocks of this process."""

    wall: float
    monotonic: float


def jumped_back(before: Instant, after: Instant) -> bool:
    """Whether the wall clock fell behind the monotonic one between two readings, beyond the slack."""
    return after.wall - before.wall < after.monotonic - before.monotonic - SLACK
