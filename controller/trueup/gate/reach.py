"""Scope: which sources a caller can see, and which slots of the index may be searched for them.

The filter made here is speed. Truth is decided document by document in `verify.py`, by what the source declares.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from trueup.catalog import serving
from trueup.catalog.serving import SlotRow, SourceRow
from trueup.catalog.store import Read
from trueup.decide.access import admits, parse_readers
from trueup.errors import NotFound
from trueup.model.principal import Caller, Reader, ReaderKind

_NOWHERE = -1
"""The id of a source that is not there: visible to nobody."""


@dataclass(frozen=True, slots=True)
class Map:
    """Every live source and slot at one sequence."""

    sequence: int
    sources: dict[int, SourceRow]
    slots: tuple[tuple[SlotRow, tuple[Reader, ...]], ...]
    names: dict[str, int]
    """Ids by `namespace/name`."""


class Atlas:
    """Keeps the last map, which is right for as long as the catalog's sequence stands: every transaction that changes a
    source, a slot or a document's place allots a new one.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._map: Map | None = None

    def at(self, read: Read) -> Map:
        """The map of this snapshot."""
        sequence = serving.moment(read).sequence
        with self._lock:
            if self._map is not None and self._map.sequence == sequence:
                return self._map
        sources = serving.sources(read)
        drawn = Map(
            sequence,
            {source.id: source for source in sources},
            tuple((slot, parse_readers(slot.readers)) for slot in serving.slots(read)),
            {source.key: source.id for source in sources},
        )
        with self._lock:
            self._map = drawn
        return drawn


@dataclass(frozen=True, slots=True)
class Reach:
    """What one caller can see and search now.

    Attributes:
        visible: sources that the caller may read, or a document of which: the only ones that exist for this caller.
        asked: the part of them that the request is about.
        slots: the slots of the asked sources that admit the caller.
    """

    map: Map
    visible: frozenset[int]
    asked: frozenset[int]
    slots: frozenset[int]

    @property
    def digest(self) -> str:
        """What the record keeps of the scope: sha256 over the slots and sources searched."""
        return "sha256:" + hashlib.sha256(json.dumps([sorted(self.slots), sorted(self.asked)]).encode()).hexdigest()


def reach(chart: Map, caller: Caller, names: Collection[str] | None = None) -> Reach:
    """The reach of `caller`, narrowed to the sources `names` (`namespace/name`) if given.

    Raises:
        NotFound: one of them is not visible, whether it exists or not.
    """
    admitted = set(_admitting(chart, caller))
    visible = frozenset(slot.source for slot, _ in chart.slots if slot.id in admitted and (slot.ordinal < 0 or slot.holds))
    if names is None:
        asked = visible
    else:
        asked = frozenset(chart.names.get(name, _NOWHERE) for name in names)
        if not asked <= visible:
            raise NotFound
    return Reach(chart, visible, asked, frozenset(slot.id for slot, _ in chart.slots if slot.id in admitted and slot.source in asked))


def _admitting(chart: Map, caller: Caller) -> Iterator[int]:
    """Slots that admit the caller. Equal lists are evaluated once: there are few different ones, however many sources."""
    known: dict[tuple[str, str], bool] = {}
    for slot, readers in chart.slots:
        source = chart.sources[slot.source].key if any(reader.kind is ReaderKind.RBAC for reader in readers) else ""
        key = (slot.readers, source)
        if key not in known:
            known[key] = admits(readers, caller, source)
        if known[key]:
            yield slot.id
