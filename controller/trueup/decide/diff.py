"""What one listing changes: a merge of the listing with the catalog, both ascending by uri, in constant memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from trueup.errors import ListingBroken
from trueup.model.listing import Complete, Item, Kind


@dataclass(frozen=True, slots=True)
class Known:
    """A document as the catalog has it. `state` as in the table `document`; `wanted` tells whether a version is queued."""

    id: int
    uri: str
    version: str | None
    state: str
    identity: str | None
    size: int | None
    wanted: bool


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
    rows = iter(known)
    row = next(rows, None)
    last: str | None = None
    for item in listing:
        if isinstance(item, Complete):
            ending.append(item)
            break
        if last is not None and item.uri <= last:
            raise ListingBroken("The listing is not in ascending order of uri, so nothing can be concluded from it.")
        last = item.uri
        while row is not None and row.uri < item.uri:
            if row.state not in _GONE:
                yield Remove(row)
            row = next(rows, None)
        if row is None or row.uri != item.uri:
            yield Add(item, None)
            continue
        verb = _same_uri(item, row)
        if verb is not None:
            yield verb
        row = next(rows, None)
    if not ending:
        raise ListingBroken
    while row is not None:
        if row.state not in _GONE:
            yield Remove(row)
        row = next(rows, None)


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
