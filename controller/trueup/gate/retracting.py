"""Retractions: what was delivered to a caller and is no longer live."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from trueup.catalog import history
from trueup.catalog.history import Cursor, Retraction
from trueup.errors import Unauthenticated
from trueup.gate.deps import Gate
from trueup.gate.identity import LEEWAY
from trueup.gate.verify import admitted
from trueup.model.principal import Caller
from trueup.model.times import rfc3339

PAGE = 500


@dataclass(frozen=True, slots=True)
class Page:
    """Some retractions, where the next page begins, the sequence that was seen, and whether there may be more at once."""

    items: tuple[Retraction, ...]
    next: Cursor
    seen: int
    full: bool


def page(gate: Gate, caller: Caller, after: Cursor) -> Page:
    """The retractions of `caller` after `after`."""
    return since(gate, caller, after, -1)


def since(gate: Gate, caller: Caller, after: Cursor, seen: int) -> Page:
    """The same for a caller who waits: nothing is looked for while the catalog stands at sequence `seen`.

    Raises:
        Unauthenticated: the token was revoked or has expired meanwhile.
    """
    if gate.clock.now() >= caller.expires_at + LEEWAY:
        raise Unauthenticated
    with gate.store.read() as read:
        sequence = admitted(read, caller).sequence
        if sequence == seen:
            return Page((), after, sequence, full=False)
        items = tuple(history.retractions(read, caller.key, after, PAGE))
    full = len(items) == PAGE
    # Every tombstone up to the snapshot's sequence was seen, and later ones have a later number.
    following = items[-1].cursor if full else max(after, Cursor(sequence), key=lambda cursor: cursor.seq)
    return Page(items, following, -1 if full else sequence, full)


def shown(one: Retraction) -> dict[str, Any]:
    """A retraction as the API writes it."""
    return {"retrieval": one.retrieval, "chunk": one.chunk, "reason": one.reason, "at": rfc3339(one.at)}
