"""Whether the documents that a listing misses may be deleted, or are held until somebody confirms."""

from __future__ import annotations

from dataclasses import dataclass

from trueup.model.listing import History


@dataclass(frozen=True, slots=True)
class Guard:
    """`spec.deletion.guard`. More than `min_documents` *and* more than `max_percent` missing is suspicious.

    With the defaults 30 and 10: of 100 documents, 30 may go and 31 are held; of 20, 10 may go and 11 are held; of 5, 4 may
    go; all of any number are held, unless others stand in their place.
    """

    max_percent: int = 30
    min_documents: int = 10
    allow_empty: bool = False


def suspicion(guard: Guard, *, live: int, missing: int, history: History, arriving: int = 0) -> str | None:
    """Why `missing` of `live` documents (counted before the pass, moved ones not missed) are held; None if they may go.

    `arriving` documents are listed and not live yet: with any of them the listing is not an empty one.
    An origin that went back to an older revision has declared its intent, and passes.
    """
    if missing == 0 or history is History.OLDER:
        return None
    if missing >= live and guard.allow_empty:
        return None
    if missing >= live and not arriving:
        return f"all {live} documents are missing"
    if missing > guard.min_documents and missing * 100 > guard.max_percent * live:
        return f"{missing} of {live} documents are missing, more than {guard.max_percent} %"
    return None
