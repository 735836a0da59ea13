"""Scope: which sources a caller can see, and which slots of the index may be searched for them.

The filter made here is speed. Truth is decided document by document in `verify.py`, by what the source declares.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Collection
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
class Group:
    """All slots with one list of readers. There are few different lists, however many sources.

    Attributes:
        source: `namespace/name` where the list names RBAC, which asks about one source; else empty.
        slots: ids. showing: the sources that become visible to whom this list admits.
    """

    readers: tuple[Reader, ...]
    source: str
    slots: frozenset[int]
    showing: frozenset[int]


@dataclass(frozen=True, slots=True)
class Map:
    """Every live source and slot at one sequence.

    Attributes:
        names: ids of sources by `namespace/name`. source_of: the source of each slot.
    """

    sequence: int
    sources: dict[int, SourceRow]
    names: dict[str, int]
    source_of: dict[int, int]
    groups: tuple[Group, ...]

    @property
    def reviewed(self) -> frozenset[str]:
        """The sources (`namespace/name`) that name readers of kind RBAC."""
        return frozenset(group.source for group in self.groups if group.source)


class Atlas:
    """Keeps the last map, which is right for as long as the catalog's sequence stands.

    Every transaction that changes a source, a slot or a document's place allots a new one.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._map: Map | None = None

    def at(self, read: Read, sequence: int) -> Map:
        """The map of this snapshot, which is of `sequence`."""
        with self._lock:
            if self._map is not None and self._map.sequence == sequence:
                return self._map
        drawn = _draw(read, sequence)
        with self._lock:
            self._map = drawn
        return drawn


def _draw(read: Read, sequence: int) -> Map:
    sources = {source.id: source for source in serving.sources(read)}
    slots = serving.slots(read)
    alike: dict[tuple[str, str], list[SlotRow]] = {}
    for slot in slots:
        of = sources[slot.source].key if f'"{ReaderKind.RBAC}"' in slot.readers else ""
        alike.setdefault((slot.readers, of), []).append(slot)
    groups = tuple(
        Group(
            parse_readers(readers),
            of,
            frozenset(slot.id for slot in members),
            frozenset(slot.source for slot in members if slot.ordinal < 0 or slot.holds),
        )
        for (readers, of), members in alike.items()
    )
    return Map(sequence, sources, {source.key: id_ for id_, source in sources.items()}, {slot.id: slot.source for slot in slots}, groups)


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

    def slots_of(self, sources: Collection[int]) -> frozenset[int]:
        """Those of `slots` that belong to `sources`."""
        return frozenset(slot for slot in self.slots if self.map.source_of[slot] in sources)


def reach(chart: Map, caller: Caller, names: Collection[str] | None = None) -> Reach:
    """The reach of `caller`, narrowed to the sources `names` (`namespace/name`) if given.

    Raises:
        NotFound: one of them is not visible, whether it exists or not.
    """
    mine = [group for group in chart.groups if admits(group.readers, caller, group.source)]
    visible = frozenset[int]().union(*(group.showing for group in mine))
    slots = frozenset[int]().union(*(group.slots for group in mine))
    if names is None:
        return Reach(chart, visible, visible, slots)
    asked = frozenset(chart.names.get(name, _NOWHERE) for name in names)
    if not asked <= visible:
        raise NotFound
    return Reach(chart, visible, asked, frozenset(slot for slot in slots if chart.source_of[slot] in asked))
