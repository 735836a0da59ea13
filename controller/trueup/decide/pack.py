"""From deliverable candidates to an answer: one hit a text, conflicts marked, cut to the token budget. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from trueup.decide.delivery import Why


@dataclass(frozen=True, slots=True)
class Piece:
    """One deliverable chunk.

    Attributes:
        point: the chunk's id. score: of the search, higher is better. text: what is delivered.
        source: the catalog's id. realm: namespace and index, within which conflict keys compare.
        conflict_key: of the document, or None. content: digest of the document's bytes.
    """

    point: str
    score: float
    text: str = field(repr=False)
    source: int
    realm: tuple[str, str]
    conflict_key: str | None
    content: str


@dataclass(frozen=True, slots=True)
class Pack:
    """One hit of the answer: the same text from one or several places, best first.

    `conflicts` are the first points of the other hits that contradict it.
    """

    pieces: tuple[Piece, ...]
    conflicts: tuple[str, ...] = ()

    @property
    def point(self) -> str:
        """The id under which the hit is delivered."""
        return self.pieces[0].point


@dataclass(frozen=True, slots=True)
class Packed:
    """An answer's hits, the tokens they use, and why the other pieces are not in it."""

    packs: tuple[Pack, ...]
    used: int
    left_out: dict[str, Why]


def tokens(text: str) -> int:
    """The default count: a third of the UTF-8 bytes, rounded up. It needs no vocabulary, and is on the safe side for most of them."""
    return -(-len(text.encode()) // 3)


def pack(pieces: Sequence[Piece], top_k: int, max_tokens: int, count: Callable[[str], int] = tokens) -> Packed:
    """Pack `pieces`, best first, into at most `top_k` hits of at most `max_tokens` together.

    A text too long for what is left is passed over, not the end: one long chunk must not starve the shorter ones behind it.
    """
    by_text: dict[str, list[Piece]] = {}
    for piece in pieces:
        by_text.setdefault(piece.text, []).append(piece)
    taken: list[tuple[Piece, ...]] = []
    left_out: dict[str, Why] = {}
    used = 0
    for text, same in by_text.items():
        cost = count(text)
        why = Why.SURPLUS if len(taken) == top_k else Why.TOO_LONG if used + cost > max_tokens else None
        if why is None:
            taken.append(tuple(same))
            used += cost
        else:
            left_out.update((piece.point, why) for piece in same)
    return Packed(tuple(Pack(group, _conflicts(group, taken)) for group in taken), used, left_out)


def _conflicts(mine: tuple[Piece, ...], groups: Sequence[tuple[Piece, ...]]) -> tuple[str, ...]:
    if all(piece.conflict_key is None for piece in mine):
        return ()
    return tuple(other[0].point for other in groups if other is not mine and any(contradict(a, b) for a in mine for b in other))


def contradict(a: Piece, b: Piece) -> bool:
    """Whether two documents of different sources, in one namespace and index, have one key and different content."""
    return a.conflict_key is not None and a.conflict_key == b.conflict_key and a.source != b.source and a.realm == b.realm and a.content != b.content
