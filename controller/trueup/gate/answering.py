"""The shapes of answers (contract, section 4), from what was verified."""

from __future__ import annotations

import json
from typing import Any

from trueup.decide.delivery import Why
from trueup.decide.freshness import end_of_life
from trueup.gate.finding import Finding
from trueup.gate.verify import Vouched
from trueup.gate.wish import Wish
from trueup.model.principal import Classification
from trueup.model.text import Verdict
from trueup.model.times import rfc3339


def compose(finding: Finding, wish: Wish) -> dict[str, Any]:
    """The answer, less what recording gives it: id, time and receipt."""
    verified = finding.verified
    results = []
    for hit in finding.packed.packs:
        places = [verified.known[piece.point] for piece in hit.pieces]
        results.append(result(places, hit.pieces[0].score, list(hit.conflicts)))
    names = finding.reach.map.sources
    return {
        "results": results,
        "withheld": {why.value.lower(): finding.withheld.get(why, 0) for why in (Why.STALE, Why.HELD, Why.QUARANTINED)},
        "degraded": [
            {"source": names[source].key, "reason": reason} for source, reason in sorted(finding.degraded.items(), key=lambda item: names[item[0]].key)
        ],
        "budget": {"tokens": {"max": wish.max_tokens, "used": finding.packed.used}},
    }


def result(places: list[Vouched], score: float, conflicts: list[str]) -> dict[str, Any]:
    """One hit: its text once, and every place it was found in that the caller may read."""
    first = places[0]
    made = {
        "chunk": first.candidate.point,
        "text": first.text,
        "score": score,
        "trust": min((place.declared.trust for place in places), key=["Untrusted", "Trusted"].index),
        "classification": max((place.slot.classification for place in places), key=lambda value: Classification(value).rank),
        "provenance": [provenance(place) for place in places],
        "conflicts": conflicts,
    }
    findings = sorted({name for place in places if place.candidate.verdict == Verdict.FLAGGED for name in json.loads(place.candidate.findings or "[]")})
    return {**made, "findings": findings} if findings else made


def provenance(place: Vouched) -> dict[str, Any]:
    """Where one chunk is from, to the bytes, and how fresh that is."""
    candidate = place.candidate
    first, end, line, last = candidate.span
    return {
        "source": place.standing.key,
        "uri": candidate.uri,
        "revision": candidate.source_revision,
        "version": candidate.version,
        "digest": candidate.content,
        "span": {"lines": [line, last]} if first is None else {"bytes": [first, end], "lines": [line, last]},
        "heading": json.loads(candidate.heading),
        "observed_at": rfc3339(candidate.observed_at),
        "freshness": freshness(place),
    }


def freshness(place: Vouched) -> dict[str, Any]:
    """The freshness of one document: its state, when its source last vouched for it, and when that runs out."""
    lease, candidate = place.lease, place.candidate
    ends = [end for end in (lease.expires_at, end_of_life(candidate.observed_at, candidate.expires_at, place.declared.document_ttl)) if end is not None]
    return {
        "state": "Stale" if place.stale else "Fresh",
        "verified_at": None if lease.verified_at is None else rfc3339(lease.verified_at),
        "age_seconds": None if lease.age is None else round(lease.age, 3),
        "expires_at": rfc3339(min(ends)) if ends else None,
    }
