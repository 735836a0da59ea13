"""A query, top to bottom: scope, search, verify, ask, pack, record, answer. Identity came before.

Nothing is delivered that one snapshot of the catalog did not hold as live and the caller's to read, and nothing leaves
before it is recorded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trueup.catalog import serving
from trueup.decide import fusion
from trueup.decide.delivery import WITHHELD, Why
from trueup.decide.pack import Packed, Piece, pack
from trueup.gate import answering, recording
from trueup.gate.asking import Asking
from trueup.gate.deps import Gate
from trueup.gate.finding import Finding
from trueup.gate.reach import reach
from trueup.gate.searching import Target, search, targets, without
from trueup.gate.verify import Verified, admitted, verify
from trueup.gate.wish import Wish
from trueup.model.principal import Caller

ROUNDS = 3
"""Searches at most: after the first, those that failed verification are left out and more are fetched each time."""
_MORE = 4
"""How many times as many candidates each further round fetches."""


_OWN = WITHHELD | {Why.DELIVERED}
"""What the caller is entitled to."""


def _first_limit(top_k: int) -> int:
    """Candidates of the first round: a few more than wanted, for those that merge or fail."""
    return top_k + max(8, top_k // 4)


def retrieve(gate: Gate, caller: Caller, wish: Wish, request: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to `wish` for `caller`, recorded. `request` is what the record keeps of it, without the query text.

    Raises:
        NotFound: a source it names is not visible to this caller.
        Unauthenticated: the token was revoked.
        Denied: the index did not answer.
        CatalogError: the catalog did not.
    """
    finding = find(gate, caller, wish)
    return recording.deliver(gate, caller, answering.compose(finding, wish), finding, request=request, query=wish.query)


def find(gate: Gate, caller: Caller, wish: Wish) -> Finding:
    """Scope, search, verify, ask and pack."""
    if gate.guard.jumped():
        gate.distrust()
    with gate.store.read() as read:
        mine = reach(gate.atlas.at(read, admitted(read, caller).sequence), caller, wish.sources)
        generations, ailing = serving.serving(read), serving.ailing(read)
    plan = targets(gate, mine, generations, wish)
    verified, ranked, packed = _search(gate, caller, wish, plan.usable)
    degraded = {source: reason for source, reason in {**ailing, **plan.broken}.items() if source in mine.asked}
    return Finding(mine, verified, packed, dict(ranked), _withheld(verified, ranked, wish.top_k), degraded)


def _search(gate: Gate, caller: Caller, wish: Wish, searched: tuple[Target, ...]) -> tuple[Verified, list[tuple[str, float]], Packed]:
    """Search and verify until enough survive, the index has no more, or `ROUNDS` are over; the last snapshot holds for all."""
    asking = Asking(gate)
    wanted = wish.matcher()
    found: list[dict[str, float]] = [{} for _ in searched]
    limit = _first_limit(wish.top_k)
    left = list(enumerate(searched))
    for last in (*[False] * (ROUNDS - 1), True):
        more = []
        for place, target in left:
            hits = search(gate, target, limit)
            fresh = {hit.id: hit.score for hit in hits if hit.id not in found[place]}
            found[place].update(fresh)
            if len(hits) >= limit and fresh:
                more.append((place, target))
        points = [point for scores in found for point in scores]
        while True:
            verified = verify(gate, caller, points, wanted, asking.answers)
            ranked = _rank(verified, found)
            packed = pack(_pieces(verified, ranked), wish.top_k, wish.max_tokens)
            chosen = [verified.known[piece.point] for hit in packed.packs for piece in hit.pieces]
            if not asking.ask(chosen):
                break
        if last or not more or len(packed.packs) >= wish.top_k:
            break
        limit *= _MORE
        barred = _barred(verified)
        left = [(place, without(target, found[place], barred)) for place, target in more]
    return verified, ranked, packed


def _barred(verified: Verified) -> set[int]:
    """Sources that are withheld as a whole, so that a further search of them finds nothing."""
    return {
        found.candidate.source
        for found in verified.known.values()
        if found.why is Why.STALE and found.candidate.verified_at is None and found.candidate.stale_at is None
    }


def _rank(verified: Verified, found: list[dict[str, float]]) -> list[tuple[str, float]]:
    """The candidates that are this caller's, best first. What is not moves no rank and no score of what is.

    Each index's candidates stand in the order in which it gave them, round after round: the scores of two rounds are
    normalised over different candidates.
    """
    mine = [[(point, score) for point, score in scores.items() if verified.whys[point] in _OWN] for scores in found]
    mine = [ranked for ranked in mine if ranked]
    if len(mine) == 1:
        return mine[0]
    return [(point, score) for (point, _), score in fusion.by_rank(mine, key=lambda item: item[0])]


def _pieces(verified: Verified, ranked: list[tuple[str, float]]) -> list[Piece]:
    pieces = []
    for point, score in ranked:
        vouched = verified.known[point]
        if vouched.why is Why.DELIVERED:
            candidate, standing = vouched.candidate, vouched.standing
            realm = (standing.namespace, standing.index_key)
            pieces.append(Piece(point, score, vouched.text, candidate.source, realm, candidate.conflict_key, candidate.content))
    return pieces


def _withheld(verified: Verified, ranked: list[tuple[str, float]], top_k: int) -> dict[Why, int]:
    """How many of the hits that would have been in this answer are withheld, by reason."""
    whys = [verified.whys[point] for point, _ in ranked[:top_k]]
    return {why: whys.count(why) for why in WITHHELD}
