"""How two result lists become one, and how a list is cut so that the same points always win.

The engines can fuse by themselves, but they cut each list where points of equal score stand in an order of their own,
and identical passages (licences, footers) have equal scores. So each leg is cut here, ties by id, and fused here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from trueup.model.index import Hit

Leg = Callable[[int], list[Hit]]
"""Asks one vector for its best n points, best first."""

TIE_LIMIT = 4096
"""How many points a cut looks at to tell equal scores apart; a larger crowd of equals is cut as the engine had it."""


def by_rank(hit: Hit) -> tuple[float, str]:
    """Best first, equal scores by id."""
    return (-hit.score, hit.id)


def cut(leg: Leg, limit: int) -> list[Hit]:
    """The best `limit` of `leg`, where the last place goes to the smallest id among equals.

    One point more than wanted is asked for; only if it ties with the last place is the leg asked again, for more.
    """
    asked = limit + 1
    while True:
        hits = leg(asked)
        exhausted = len(hits) < asked
        if exhausted or hits[-1].score < hits[limit - 1].score or asked >= TIE_LIMIT:
            return sorted(hits, key=by_rank)[:limit]
        asked = min(4 * asked, max(TIE_LIMIT, limit + 1))


def depth(limit: int) -> int:
    """How many candidates each leg gives to the fusion: four times what is wanted, and enough for a fair spread of scores."""
    return max(4 * limit, 64)


def rank(legs: Sequence[Leg], limit: int) -> list[Hit]:
    """The best `limit` of one leg as it is, or of several fused by `dbsf`."""
    if len(legs) == 1:
        return cut(legs[0], limit)
    fused = dbsf([{hit.id: hit.score for hit in cut(leg, depth(limit))} for leg in legs])
    return sorted((Hit(id=point, score=score) for point, score in fused.items()), key=by_rank)[:limit]


def dbsf(lists: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Distribution-based score fusion.

    Each list is normalised so that its mean less three standard deviations becomes 0 and its mean plus three becomes
    1; a point's scores are added up. A list of one point, or of equal scores, has no spread: each gets 0.5. As in
    Qdrant (lib/segment/src/common/score_fusion.rs, sample deviation, not clamped), after M. Mazzeschi,
    "Distribution-Based Score Fusion" (2023).
    """
    fused: dict[str, float] = {}
    for scores in lists:
        low, width = _span(list(scores.values()))
        for point, score in scores.items():
            fused[point] = fused.get(point, 0.0) + ((score - low) / width if width else 0.5)
    return fused


def _span(scores: Sequence[float]) -> tuple[float, float]:
    """Where 0 lies and how far off 1 is; a width of 0 means no spread. Sums are exact, so the order of a list is nothing."""
    if len(scores) < 2:
        return 0.0, 0.0
    mean = math.fsum(scores) / len(scores)
    deviation = math.sqrt(math.fsum((score - mean) ** 2 for score in scores) / (len(scores) - 1))
    # What is left of a spread among equal scores is rounding.
    if deviation <= 1e-9 * max(map(abs, scores)):
        return 0.0, 0.0
    return mean - 3 * deviation, 6 * deviation
