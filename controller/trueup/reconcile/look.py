"""A look: probe, observe, decide, remove, queue. It never extracts or embeds, so a deletion never waits for an embedding."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from trueup.catalog import looking, placing
from trueup.catalog.looking import Decision, Removal
from trueup.catalog.placing import SourceRow
from trueup.catalog.store import BULK, NORMAL, URGENT, Write
from trueup.decide.diff import Add, Change, Known, Remove, Restore, diff
from trueup.decide.guard import Guard, suspicion
from trueup.errors import SourceError, SourceUnavailable
from trueup.model.listing import WHOLE, Complete, History, Item, Presence, Scope, covered
from trueup.reconcile.origin import Origin, Plant, View

_SPILL = 5000
"""Additions kept in memory before they are written as undecided: a first listing of a million documents stays small."""
_CHANGES = 1000
"""Changes written together. A Change leaves the old revision live, so it may be written before the look is decided."""
_BURST = 2.0
"""Seconds in which the removals of several partial looks count as one for the guard: a large `rm -r` comes in pieces."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What came of a look.

    Attributes:
        quiet: nothing differed.
    """

    quiet: bool = True
    history: History = History.FORWARD
    held: str | None = None
    removed: int = 0
    queued: int = 0
    revision: str | None = None


def look(plant: Plant, origin: Origin, row: SourceRow, scope: Scope) -> Looked:
    """Look at `scope` of a source and make what was decided true. The caller holds `origin.looking`.

    Raises:
        SourceError: the source could not be read; nothing was concluded.
        EpochLost: the source was withdrawn meanwhile; nothing was written.
    """
    view = origin.view
    connector = origin.connector()
    began = plant.clock.now()
    if scope.whole and origin.listed and _unchanged(connector.revision(), row):
        plant.store.write(lambda tx: looking.renew(tx, row.id, row.epoch, began), NORMAL)
        return Looked(revision=row.revision)
    gathering = _Gathering(plant, origin, view, row, Decision(row.id, row.epoch, row.generation, "", None, began, scope.whole, renews=scope.whole))
    origin.listed = origin.listed and not scope.whole
    gathering.take(connector.observe(scope, view.selection, row.revision), scope)
    looked = gathering.conclude()
    origin.listed = origin.listed or scope.whole
    return looked


def _unchanged(revision: str | None, row: SourceRow) -> bool:
    return revision is not None and revision == row.revision and row.decided_generation == row.generation and row.gaps is None


@dataclass(slots=True)
class _Gathering:
    """The state of one look between its first item and its decision."""

    plant: Plant
    origin: Origin
    view: View
    row: SourceRow
    decision: Decision
    token: str = field(default_factory=lambda: "obs-" + secrets.token_hex(8))
    slots: dict[int, int] = field(default_factory=dict)
    adds: list[Add] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    missing: list[Known] = field(default_factory=list)
    identities: dict[str, str] = field(default_factory=dict)
    spilled: int = 0
    queued: int = 0
    complete: Complete | None = None
    restored: list[Known] = field(default_factory=list)
    vanished: int = 0
    """Live documents that are to be deleted: not those that moved, nor those that never were served."""

    def take(self, listing: Iterator[Item | Complete], scope: Scope) -> None:
        """Merge the listing with the catalog, spilling what would not fit in memory."""
        self.decision.observation = self.token
        ending: list[Complete] = []
        with self.plant.store.read() as snapshot:
            self.slots = placing.slots(snapshot, self.row.id)
            for verb in diff(self._selected(listing), looking.known(snapshot, self.row.id, scope), ending):
                match verb:
                    case Add():
                        self.adds.append(verb)
                        if verb.item.identity is not None and self.row.decided_generation >= 0:
                            self.identities[verb.item.identity] = verb.item.uri
                        if len(self.adds) >= _SPILL:
                            self._spill()
                    case Change():
                        self.changes.append(verb)
                        if len(self.changes) >= _CHANGES:
                            self._write_changes()
                    case Restore():
                        self.restored.append(verb.known)
                    case Remove():
                        self.missing.append(verb.known)
        self.complete = ending[0]

    def _selected(self, listing: Iterator[Item | Complete]) -> Iterator[Item | Complete]:
        takes = self.view.selection.takes
        return (item for item in listing if isinstance(item, Complete) or takes(item.uri))

    def _prepared_adds(self) -> list[tuple[Add, str | None, int]]:
        supported, place, slots = self.plant.supported, self.view.policy.place, self.slots
        return [(add, looking.refusal(add.item, readable=supported(add.item.uri)), slots[place(add.item.uri)]) for add in self.adds]

    def _prepared_changes(self) -> list[tuple[Change, str | None]]:
        supported = self.plant.supported
        return [(c, looking.refusal(c.item, readable=supported(c.item.uri))) for c in self.changes]

    def _spill(self) -> None:
        adds = self._prepared_adds()
        self.plant.store.write(lambda tx: looking.queue(tx, self.decision, adds, (), decided=False), BULK)
        self.spilled += len(self.adds)
        self.adds.clear()

    def _write_changes(self) -> None:
        changes = self._prepared_changes()
        self.plant.store.write(lambda tx: looking.queue(tx, self.decision, (), changes, decided=True), NORMAL)
        self.queued += len(self.changes)
        self.changes.clear()

    def conclude(self) -> Looked:
        """Decide over everything gathered, and apply it in one transaction."""
        complete = self.complete
        if complete is None:
            raise SourceUnavailable(why="its listing did not end")
        if any(gap.prefix == WHOLE for gap in complete.gaps):
            raise SourceUnavailable(why=next(gap.reason for gap in complete.gaps if gap.prefix == WHOLE))
        decision = self.decision
        decision.gaps, decision.revision = complete.gaps, complete.revision
        decision.renews = decision.whole
        if complete.revision:
            decision.observation = f"{self.token}@{complete.revision}"
        gaps = tuple(gap.prefix for gap in complete.gaps)
        missing = [known for known in (*self.missing, *self._left_behind()) if not covered(known.uri, gaps)]
        self._decide_removals(missing, complete.history)
        decision.restores = [known.id for known in self.restored]
        decision.counts = {"added": len(self.adds) + self.spilled, "changed": len(self.changes) + self.queued}
        adds, changes = self._prepared_adds(), self._prepared_changes()
        decision.adds, decision.changes = self.adds, self.changes

        def unit(tx: Write) -> None:
            looking.apply(tx, decision)
            looking.queue(tx, decision, adds, changes, decided=True)

        self.plant.store.write(unit, URGENT)
        self._release()
        self._remember_arrivals()
        removed = len(decision.removals)
        if self.vanished:
            self.origin.recent.append((self.plant.clock.monotonic(), self.vanished))
        queued = len(adds) + len(changes) + self.spilled + self.queued
        return Looked(
            quiet=not (removed or queued or decision.held or decision.restores),
            history=complete.history,
            held=decision.observation if decision.held else None,
            removed=removed,
            queued=queued,
            revision=complete.revision,
        )

    def _remember_arrivals(self) -> None:
        """A move into a new folder is seen there first, and its old place is missed by a later partial look."""
        now = self.plant.clock.monotonic()
        arrived = {identity: seen for identity, seen in self.origin.arrived.items() if now - seen[0] < _BURST}
        if len(arrived) + len(self.identities) <= _SPILL:
            arrived.update({identity: (now, uri) for identity, uri in self.identities.items()})
        self.origin.arrived = arrived

    def _left_behind(self) -> list[Known]:
        """Old places, outside of the scope, of what a partial look found at a new one: nobody may have both (P04).

        The hint for the old place comes later or never, where a folder was made and filled before it was watched. An equal
        identity alone proves nothing, since a hard link has it too, so each place is asked for.
        """
        if self.decision.whole or not self.identities:
            return []
        seen = {known.id for known in self.missing}
        with self.plant.store.read() as snapshot:
            found = looking.live_with(snapshot, self.row.id, list(self.identities))
        return [known for known in found if known.id not in seen and self.identities[known.identity or ""] != known.uri and self._absent(known)]

    def _absent(self, known: Known) -> bool:
        try:
            return self.origin.connector().check(known.uri, known.version or "") is Presence.ABSENT
        except SourceError:
            return False  # Nothing is concluded: its own hint, or the next whole look, finds out.

    def _release(self) -> None:
        """What was spilled may be loaded now, in small transactions: the removals are true already."""
        while self.spilled and self.plant.store.write(lambda tx: looking.release(tx, self.row.id), BULK):
            time.sleep(0)

    def _decide_removals(self, missing: list[Known], history: History) -> None:
        decision = self.decision
        live = [known for known in missing if known.state == "live"]
        now = self.plant.clock.monotonic()
        places = {identity: uri for identity, (at, uri) in self.origin.arrived.items() if now - at < _BURST} | self.identities
        moved = {known.id: places[known.identity] for known in live if known.identity is not None and places.get(known.identity, known.uri) != known.uri}
        vanished = [known for known in live if known.id not in moved]
        leaving = sum(known.state == "pending" for known in missing)
        why = self._suspicion(len(vanished), leaving, history)
        if why is not None:
            moved.update(self._moved_by_digest(vanished))
            vanished = [known for known in vanished if known.id not in moved]
            why = self._suspicion(len(vanished), leaving, history)
        gone = {known.id for known in vanished} if why is not None else set()
        self.vanished = 0 if why is not None else len(vanished)
        if why is not None:
            decision.held, decision.hold_reason = sorted(gone), why
        reason = "Deleted" if history is History.FORWARD else "HistoryRewritten"
        for known in missing:
            if known.id in gone:
                continue
            if known.id in moved:
                decision.removals.append(Removal(known.id, "Moved", moved[known.id]))
            else:
                decision.removals.append(Removal(known.id, reason))

    def _suspicion(self, vanished: int, leaving: int, history: History) -> str | None:
        """Why `vanished` live documents are held; `leaving` were listed before and are missing without ever having been live."""
        if not vanished:
            return None
        spec = self.view.resource.spec.deletion.guard
        now = self.plant.clock.monotonic()
        self.origin.recent[:] = [(at, number) for at, number in self.origin.recent if now - at < _BURST]
        recent = sum(number for _, number in self.origin.recent)
        with self.plant.store.read() as snapshot:
            live = looking.count(snapshot, self.row.id, "live")
            arriving = looking.count(snapshot, self.row.id, "pending") - leaving
        arriving += sum(failure is None for _, failure, _ in self._prepared_adds())
        guard = Guard(spec.max_percent, spec.min_documents, spec.allow_empty)
        return suspicion(guard, live=live + recent, missing=vanished + recent, history=history, arriving=arriving)

    def _moved_by_digest(self, vanished: list[Known]) -> dict[int, str]:
        """Documents that were copied and then deleted: found by reading new ones of the same size, before holding anything.

        Bounded: at most 2,000 candidates and 64 MiB are read, since a hold that is not needed costs a person's time only.
        """
        with self.plant.store.read() as snapshot:
            digests = looking.digests(snapshot, [known.id for known in vanished])
        sizes = {known.size for known in vanished if known.size is not None}
        wanted: dict[str, list[int]] = {}
        for document, digest in digests.items():
            wanted.setdefault(digest, []).append(document)
        moved: dict[int, str] = {}
        budget = 64 * 1024 * 1024
        for add in [a for a in self.adds if a.item.size in sizes][:2000]:
            budget -= add.item.size or 0
            if budget < 0:
                break
            try:
                content = self.origin.connector().read(add.item.uri, add.item.version, self.view.settings.max_document_bytes)
            except SourceError:
                continue  # It is loaded later, and whatever is wrong with it is told then.
            match = wanted.get("sha256:" + hashlib.sha256(content.data).hexdigest())
            if match:
                moved[match.pop()] = add.item.uri
        return moved
