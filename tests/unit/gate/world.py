"""A small world for the gate: a real SQLite catalog filled by hand, an index in memory, a clock that is told."""

import functools
import hashlib
import json
import tempfile
import uuid
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from trueup.catalog import schema
from trueup.catalog.declaring import Declared, Slot, declare, withdraw
from trueup.catalog.store import SqliteStore
from trueup.decide.access import AccessPolicy, readers_json
from trueup.errors import NotFound
from trueup.gate.deps import Gate
from trueup.gate.identity import LocalIdentity, mint
from trueup.gate.keys import Keys
from trueup.model.index import GenerationSpec, Point, Question
from trueup.model.index import Keys as PointKeys
from trueup.model.listing import Presence
from trueup.model.principal import Caller, Role
from trueup.model.resources import ContextSourceSpec
from trueup.model.text import Sparse, Vectors
from trueup.testing.index import MemoryIndex

NOW = 1795271409.75
EVERYONE = [{"kind": "Everyone"}]


def user(name: str) -> list[dict[str, str]]:
    return [{"kind": "User", "name": name}]


class TestClock:
    __test__ = False

    def __init__(self) -> None:
        self.wall = NOW
        self.mono = 1000.0

    def now(self) -> float:
        return self.wall

    def monotonic(self) -> float:
        return self.mono

    def pass_(self, seconds: float) -> None:
        self.wall += seconds
        self.mono += seconds


class Words:
    """An embedder that knows words and nothing else."""

    fingerprint, dimensions, sparse = "words", 0, True

    def embed(self, texts: Sequence[str]) -> list[Vectors]:
        return [Vectors(sparse=_sparse(text)) for text in texts]

    def ask(self, query: str) -> Question:
        return Question(sparse=_sparse(query))

    def get(self, generation: GenerationSpec) -> "Words":
        return self


def _sparse(text: str) -> Sparse:
    counts: dict[int, float] = {}
    for word in text.lower().split():
        term = zlib.crc32(word.encode())
        counts[term] = counts.get(term, 0.0) + 1.0
    return Sparse(tuple(sorted(counts)), tuple(counts[term] for term in sorted(counts)))


@dataclass
class TestController:
    __test__ = False

    presence: Presence | None = Presence.SAME
    asked: list[tuple[int, str, str]] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)
    stored: dict[tuple[str, str, str], dict[str, Any]] = field(default_factory=dict)

    def accept(self, kind: str, namespace: str, name: str, manifest: dict[str, object], principal: str) -> dict[str, object]:
        self.stored[kind, namespace, name] = manifest
        return manifest

    def withdraw(self, kind: str, namespace: str, name: str, principal: str) -> None:
        if self.stored.pop((kind, namespace, name), None) is None:
            raise NotFound

    def hint(self, namespace: str, name: str) -> None:
        self.hints.append(f"{namespace}/{name}")

    def check(self, source: int, uri: str, version: str, deadline: float) -> Presence | None:
        self.asked.append((source, uri, version))
        return self.presence


@functools.cache
def _empty_catalog() -> bytes:
    """The file of a catalog with nothing in it: made once, since making forty tables takes longer than most tests."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "catalog.db"
        engine = sa.create_engine(f"sqlite:///{path}")
        with engine.begin() as connection:
            schema.metadata.create_all(connection)
            connection.execute(sa.text("INSERT INTO sequence (id, value, at) VALUES (1, 0, 0)"))
        engine.dispose()
        return path.read_bytes()


class World:
    """Everything around a gate, and the few verbs that change what is true."""

    def __init__(self, home: Path) -> None:
        path = home / "catalog.db"
        path.write_bytes(_empty_catalog())
        self.clock = TestClock()
        self.store = SqliteStore(path, self.clock)
        self.index = MemoryIndex()
        self.controller = TestController()
        self.keys = Keys.load(home / "keys")
        self.distrusted = 0
        self.words = Words()
        self.generations: dict[str, GenerationSpec] = {}
        self.serve("")
        self.gate = Gate(
            store=self.store,
            index=self.index,
            embedders=self.words,
            clock=self.clock,
            identity=LocalIdentity(self.keys.token, self.clock),
            keys=self.keys,
            controller=self.controller,
            distrust=self._distrust,
        )

    def _distrust(self) -> None:
        self.distrusted += 1

    def close(self) -> None:
        self.gate.close()
        self.store.close()

    def run(self, sql: str, **params: Any) -> None:
        """One statement that changes truth, with the sequence that belongs to it."""

        def unit(tx: Any) -> None:
            tx.run(sa.text(sql), params)
            tx.allot()

        self.store.write(unit)

    def insert(self, table: sa.Table, **values: Any) -> int:
        def unit(tx: Any) -> int:
            key = tx.run(table.insert().values(**values)).inserted_primary_key[0]
            tx.allot()
            return key

        return self.store.write(unit)

    def rows(self, sql: str, **params: Any) -> list[Any]:
        with self.store.read() as read:
            return list(read.rows(sa.text(sql), params))

    def serve(self, index_key: str) -> GenerationSpec:
        id_ = self.insert(
            schema.generation, index_key=index_key, fingerprint="words", embedding="{}", dimensions=0, sparse=True, state="serving", created_at=NOW
        )
        made = GenerationSpec(id_, "words", 0, sparse=True)
        self.generations[index_key] = made
        self.index.ensure(made)
        return made

    def source(
        self, name: str = "docs", namespace: str = "default", index_key: str = "", uid: str | None = None, verified: float | None = NOW, **spec: Any
    ) -> int:
        """Declare a source; one that is there is changed."""
        spec.setdefault("access", {"readers": EVERYONE})
        parsed = ContextSourceSpec.model_validate({"source": {"type": "Directory", "directory": {"path": "/srv"}}, **spec})
        slots = tuple(Slot(s.ordinal, readers_json(s.readers), s.classification.value) for s in AccessPolicy.compile(parsed.access).slots())
        before = self.rows("SELECT generation, uid FROM source WHERE namespace = :ns AND name = :n AND state = 'live'", ns=namespace, n=name)
        declared = Declared(
            uid=uid or (before[0].uid if before else str(uuid.uuid4())),
            namespace=namespace,
            name=name,
            generation=before[0].generation + 1 if before else 1,
            spec=json.dumps(parsed.dump()),
            index_key=index_key,
            settings="s",
            access=json.dumps(parsed.access.dump()),
            suspended=False,
            slots=slots,
        )
        id_ = self.store.write(lambda tx: declare(tx, declared, "test"))
        if not before:
            self.run("UPDATE source SET verified_at = :at WHERE id = :id", at=verified, id=id_)
        return id_

    def withdraw(self, source: int) -> None:
        self.store.write(lambda tx: withdraw(tx, source, retain=False, principal="test"))

    def document(self, source: int, uri: str, *texts: str, slot: int = -1, version: str = "v1", modified: float | None = NOW, **more: Any) -> list[str]:
        """A live document with one chunk a text; returns the chunks' ids. `more` are columns of revision or document."""
        key, tenant = self.rows("SELECT index_key, namespace FROM source WHERE id = :id", id=source)[0]
        generation = self.generations[key]
        bodies = {text: "sha256:" + hashlib.sha256(text.encode()).hexdigest() for text in texts}
        points = [str(uuid.uuid4()) for _ in texts]
        of_document = {name: value for name, value in more.items() if name in schema.document.c and name != "expires_at"}
        of_revision = {name: value for name, value in more.items() if name not in of_document}
        digest = "sha256:" + hashlib.sha256("\0".join(texts).encode()).hexdigest()

        def unit(tx: Any) -> tuple[int, int]:
            acl = tx.value(sa.text("SELECT id FROM acl WHERE source_id = :s AND ordinal = :o"), {"s": source, "o": slot})
            values: dict[str, Any] = {"state": "live", "version": version, "modified": modified, "acl_id": acl, "seq": 1, "size": 10, **of_document}
            document = tx.value(sa.text("SELECT id FROM document WHERE source_id = :s AND uri = :u"), {"s": source, "u": uri})
            if document is None:
                document = tx.run(schema.document.insert().values(source_id=source, uri=uri, **values)).inserted_primary_key[0]
            row = {
                "state": "live",
                "version": version,
                "digest": digest,
                "source_revision": "c0ffee",
                "observed_at": tx.now,
                "chunks": len(texts),
                "seq": 1,
                **of_revision,
            }
            revision = tx.run(schema.revision.insert().values(document_id=document, source_id=source, **row)).inserted_primary_key[0]
            tx.run(schema.document.update().where(schema.document.c.id == document).values(revision_id=revision, **values))
            for ordinal, (point, text) in enumerate(zip(points, texts, strict=True)):
                tx.run(sa.text("INSERT INTO body (digest, data) VALUES (:d, :b) ON CONFLICT DO NOTHING"), {"d": bodies[text], "b": b"\0" + text.encode()})
                place = {"byte_start": 0, "byte_end": len(text), "line_start": 1, "line_end": 1, "heading": '["Guide"]', "verdict": "Clean"}
                of = {"point_id": point, "revision_id": revision, "generation_id": generation.id, "ordinal": ordinal, "digest": bodies[text]}
                tx.run(schema.chunk.insert().values(**of, **place))
            tx.allot()
            return document, acl

        document, acl = self.store.write(unit)
        folders = tuple("/".join(uri.split("/")[:n]) for n in range(1, uri.count("/") + 1))
        keys = PointKeys(tenant=tenant, source=source, document=document, acl=acl, modified=modified, folders=folders)
        self.index.upsert(generation, [Point(point, keys, self.words.embed([text])[0]) for point, text in zip(points, texts, strict=True)])
        return points

    def bury(self, source: int, uri: str, reason: str = "Deleted", successor: str | None = None) -> None:
        """Tombstone a document, leaving its points in the index."""
        sql = (
            "INSERT INTO tombstone (seq, source_id, document_id, revision_id, uri, version, source_revision, digest, reason, at, observation, successor, readers, classification) "
            "SELECT :seq, d.source_id, d.id, r.id, d.uri, r.version, r.source_revision, r.digest, :reason, :now, 'obs', :successor, a.readers, a.classification "
            "FROM document d JOIN revision r ON r.id = d.revision_id JOIN acl a ON a.id = d.acl_id WHERE d.source_id = :s AND d.uri = :u"
        )

        def unit(tx: Any) -> None:
            tx.run(sa.text(sql), {"seq": tx.allot(), "reason": reason, "now": tx.now, "successor": successor, "s": source, "u": uri})
            where = {"s": source, "u": uri}
            tx.run(sa.text("UPDATE revision SET state = 'dead' WHERE id = (SELECT revision_id FROM document WHERE source_id = :s AND uri = :u)"), where)
            tx.run(sa.text("UPDATE document SET state = 'dead', revision_id = NULL WHERE source_id = :s AND uri = :u"), where)

        self.store.write(unit)

    def caller(self, name: str = "alice", groups: Iterable[str] = (), roles: Iterable[Role] = (), agent: str | None = None) -> Caller:
        return self.gate.identity.verify(self.token(name, groups, roles, agent))

    def token(self, name: str = "alice", groups: Iterable[str] = (), roles: Iterable[Role] = (), agent: str | None = None, ttl: float = 3600.0) -> str:
        return mint(self.keys.token, self.clock, name, groups=tuple(groups), roles=tuple(roles), agent=agent, ttl=ttl)
