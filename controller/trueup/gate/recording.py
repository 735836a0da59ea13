"""Record: the answer, whom it went to and what it was made of, in one transaction. Nothing leaves before it is durable."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from trueup.catalog import history
from trueup.catalog.history import Delivered, Record
from trueup.catalog.store import URGENT
from trueup.gate import receipts
from trueup.gate.deps import Gate
from trueup.gate.finding import Finding
from trueup.gate.verify import Verified
from trueup.model.principal import Caller
from trueup.model.times import rfc3339


def deliver(gate: Gate, caller: Caller, answer: dict[str, Any], finding: Finding, *, request: Mapping[str, Any], query: str) -> dict[str, Any]:
    """Record a fresh answer and give it its id, time and receipt."""
    verified = finding.verified
    points = [[piece.point for piece in hit.pieces] for hit in finding.packed.packs]
    whys = {**verified.whys, **finding.packed.left_out}
    candidates = tuple((point, finding.scores.get(point, 0.0), whys[point].value) for point in whys)
    return keep(gate, caller, answer, points, verified, request=request, query=query, scope=finding.reach.digest, candidates=candidates)


def keep(
    gate: Gate,
    caller: Caller,
    answer: dict[str, Any],
    points: list[list[str]],
    verified: Verified,
    *,
    request: Mapping[str, Any],
    query: str | None,
    scope: str,
    candidates: tuple[tuple[str, float, str], ...],
) -> dict[str, Any]:
    """Record `answer`, whose hits hold `points`, and return it with id, time and receipt.

    Raises:
        CatalogError: it could not be recorded, so it may not leave.
    """
    name = f"ret_{secrets.token_hex(16)}"
    chunks = [(hit[0], verified.known[hit[0]].candidate.digest) for hit in points]
    receipt = receipts.issue(gate.keys, name, caller, verified.sequence, verified.now, chunks)
    made = {"id": name, "at": rfc3339(verified.now), **answer, "receipt": receipt}
    known = verified.known
    deliveries = [[Delivered(point, known[point].candidate.revision, known[point].candidate.digest) for point in hit] for hit in points]
    results = [_without_text(hit, kept) for hit, kept in zip(answer["results"], deliveries, strict=True)]
    row = Record(
        id=name,
        at=verified.now,
        seq=verified.sequence,
        principal=caller.key,
        request=dict(request),
        query=gate.keys.keyed(query or ""),
        text=query,
        scope=scope,
        answer={**made, "results": results},
        candidates=candidates,
        deliveries=tuple(one for hit in deliveries for one in hit),
    )
    gate.store.write(lambda tx: history.record(tx, row), URGENT)
    return made


def _without_text(hit: Mapping[str, Any], delivered: list[Delivered]) -> dict[str, Any]:
    """A hit as it is kept: what its text was is told by the digests, one a provenance."""
    return {**{name: value for name, value in hit.items() if name != "text"}, "delivered": [[one.point, one.revision, one.digest] for one in delivered]}
