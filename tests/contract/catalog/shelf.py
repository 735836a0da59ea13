"""A declared source and its documents, made by hand through the functions that a look and loading call."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from trueup.catalog import declaring, generations, looking, placing, publishing, serving
from trueup.catalog.declaring import Declared, Slot
from trueup.catalog.generations import BUILTIN, Planned
from trueup.catalog.looking import Decision, Removal
from trueup.catalog.publishing import Publication, Wanted
from trueup.catalog.store import Store, Write
from trueup.decide.diff import Add, Change, Known
from trueup.model.listing import Item, Scope
from trueup.model.text import Chunk, Prepared, Span

EVERYONE = json.dumps([["Everyone", "", ""]])
PLANNED = Planned("fingerprint", 8, True, {"provider": "Local"})


def digest(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def prepared(text: str, expires_at: float | None = None) -> Prepared:
    """One chunk for each line."""
    chunks = tuple(Chunk(n, line, ("Title",), Span((n, n + 1), (n + 1, n + 1)), digest(line)) for n, line in enumerate(text.splitlines()))
    return Prepared(digest(text), chunks, expires_at=expires_at)


class Shelf:
    """One source called `docs`, and one built-in generation."""

    def __init__(self, store: Store, name: str = "docs") -> None:
        self.store = store
        self.name = name
        self.generation = store.write(lambda tx: generations.plan(tx, BUILTIN, PLANNED))[0].spec.id
        self.source = self.declare()

    def declare(self, generation: int = 1, **changed: Any) -> int:
        values = {
            "uid": f"uid-{self.name}",
            "namespace": "default",
            "name": self.name,
            "generation": generation,
            "spec": json.dumps({"source": {"type": "Directory", "directory": {"path": "/srv"}}, "interval": f"{generation}m"}),
            "index_key": BUILTIN,
            "settings": "settings",
            "access": "access",
            "suspended": False,
            "slots": (Slot(-1, EVERYONE, "Internal"),),
        }
        return self.store.write(lambda tx: declaring.declare(tx, Declared(**{**values, **changed}), "user:owner"))

    def decision(self, **values: Any) -> Decision:
        row = self.row()
        return Decision(self.source, row.epoch, row.generation, f"obs-{uuid.uuid4()}", None, self.store.clock.now(), whole=True, renews=True, **values)

    def row(self) -> Any:
        with self.store.read() as read:
            row = placing.source_row(read, self.source)
        assert row is not None
        return row

    def known(self) -> dict[str, Known]:
        with self.store.read() as read:
            return {known.uri: known for known in looking.known(read, self.source, Scope())}

    def list(self, documents: dict[str, str], **values: Any) -> Decision:
        """One look that sees `documents`; nothing is removed but what `values` says."""
        decision = self.decision(**values)
        known = self.known()
        items = {uri: Item(uri, digest(text)[:20], len(text), 7.0) for uri, text in sorted(documents.items())}
        with self.store.read() as read:
            slot = placing.slots(read, self.source)[-1]
        adds = [(Add(item, None), None, slot) for uri, item in items.items() if uri not in known or known[uri].state == "dead"]
        changes = [(Change(item, known[uri]), None) for uri, item in items.items() if uri in known and known[uri].state != "dead"]
        decision.adds, decision.changes = [add for add, _, _ in adds], [change for change, _ in changes]

        def unit(tx: Write) -> None:
            looking.apply(tx, decision)
            looking.queue(tx, decision, adds, changes, decided=True)

        self.store.write(unit)
        return decision

    def wanted(self) -> list[Wanted]:
        with self.store.read() as read:
            return publishing.wanted(read, self.source, self.store.clock.now(), 10_000, ())

    def publication(self, wanted: Wanted, text: str, expires_at: float | None = None) -> Publication:
        made = prepared(text, expires_at)
        points = {self.generation: [str(uuid.uuid4()) for _ in made.chunks]}
        return Publication(wanted, made, "settings", points, self.store.clock.now(), self.row().epoch)

    def publish(self, documents: dict[str, str], **values: Any) -> list[bool]:
        """Load what is wanted of `documents`."""
        made = [self.publication(wanted, documents[wanted.uri], **values) for wanted in self.wanted() if wanted.uri in documents]
        return self.store.write(lambda tx: publishing.publish(tx, made))

    def put(self, documents: dict[str, str], **values: Any) -> None:
        """List and load."""
        self.list(documents)
        self.publish(documents, **values)

    def remove(self, *uris: str, reason: str = "Deleted") -> Decision:
        known = self.known()
        decision = self.decision(removals=[Removal(known[uri].id, reason) for uri in uris])
        self.store.write(lambda tx: looking.apply(tx, decision))
        return decision

    def served(self) -> dict[str, str]:
        """What the gate would vouch for, by uri."""
        rows = self.sql(
            "SELECT d.uri, c.digest, c.ordinal FROM source s JOIN document d ON d.source_id = s.id JOIN revision r ON r.id = d.revision_id "
            "JOIN chunk c ON c.revision_id = r.id JOIN generation g ON g.id = c.generation_id "
            "WHERE s.state = 'live' AND d.state = 'live' AND r.state = 'live' AND g.state = 'serving' ORDER BY d.uri, c.ordinal"
        )
        with self.store.read() as read:
            texts = serving.texts(read, {row[1] for row in rows})
        found: dict[str, list[str]] = {}
        for uri, body, _ in rows:
            found.setdefault(uri, []).append(texts[body])
        return {uri: "\n".join(lines) for uri, lines in found.items()}

    def tombstones(self) -> list[tuple[str, str]]:
        return [(row[0], row[1]) for row in self.sql("SELECT uri, reason FROM tombstone ORDER BY id")]

    def sql(self, statement: str, **params: Any) -> Sequence[Any]:
        with self.store.read() as read:
            return list(read.rows(sa.text(statement), params))
