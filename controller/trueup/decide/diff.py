"""What one listing changes: a merge of the listing with the catalog, both ascending by uri, in constant memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from trueup.errors import ListingBroken
from trueup.model.listing import Complete, Item, Kind


class Known(NamedTuple):
    """A document as the catalog has it. `state` as in the table `document`. A tuple, because a quiet look makes one of each row."""

    id: int
    uri: str
    version: str | None
    state: str
    identity: str | None
    size: int | None


@dataclass(frozen=True, slots=True)
class Add:
    """Listed, and not known or known as dead."""

    item: Item
    known: Known | None


@dataclass(frozen=True, slots=True)
class Change:
    """Known, and listed at another version. Whether its bytes changed (or only its version: Touch) is seen when it is loaded."""

    item: Item
    known: Known


@dataclass(frozen=True, slots=True)
class Restore:
    """Held as missing, and listed again at the version that is held."""

    known: Known


@dataclass(frozen=True, slots=True)
class Remove:
    """Known, covered by the listing, and not in it. What makes it a Move is decided over all of them."""

    known: Known


Verb = Add | Change | Restore | Remove


def diff(listing: Iterator[Item | Complete], known: Iterable[Known], ending: list[Complete]) -> Iterator[Verb]:
    """Yield what differs. When the iterator is exhausted, `ending` holds the listing's `Complete`.

    A caller that stops early, or gets an exception, has concluded nothing: Removes count only after the end.

    Raises:
        ListingBroken: the listing ended without a `Complete`, or was not in ascending order.
    """
    rows = _Rows(known)
    last = ""
    for item in listing:
        if isinstance(item, Complete):
            ending.append(item)
            break
        if item.uri <= last:
            raise ListingBroken("The listing is not in ascending order of uri, so nothing can be concluded from it.")
        last = item.uri
        yield from rows.before(item.uri)
        row = rows.take(item.uri)
        verb = Add(item, None) if row is None else _same_uri(item, row)
        if verb is not None:
            yield verb
    if not ending:
        raise ListingBroken
    yield from rows.before(None)


class _Rows:
    """The catalog's side of the merge."""

    def __init__(self, known: Iterable[Known]) -> None:
        self._rows = iter(known)
        self._next = next(self._rows, None)

    def before(self, uri: str | None) -> Iterator[Remove]:
        """A Remove for each row before `uri` (all that are left: None) that is not missing already."""
        while self._next is not None and (uri is None or self._next.uri < uri):
            if self._next.state not in _GONE:
                yield Remove(self._next)
            self._next = next(self._rows, None)

    def take(self, uri: str) -> Known | None:
        """The row of `uri`, if it is the next one."""
        row = self._next
        if row is None or row.uri != uri:
            return None
        self._next = next(self._rows, None)
        return row


_GONE = frozenset({"dead", "held"})
"""Missing already: dead for good, or hidden until somebody decides."""


def _same_uri(item: Item, row: Known) -> Verb | None:
    if row.state == "dead":
        return Add(item, row)
    if item.kind is not Kind.DOCUMENT and row.state in {"live", "held"}:
        # What was a document is now a link or a module: the document is gone. The next look takes the thing as it is.
        return Remove(row) if row.state == "live" else None
    if item.version != row.version:
        return Change(item, row)
    return Restore(row) if row.state == "held" else None
