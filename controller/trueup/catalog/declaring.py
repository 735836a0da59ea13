"""A source is declared, changed or withdrawn: what the gate must know of it at once."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from trueup.catalog.announcing import OUTBOX, SOURCES, TOMBSTONES
from trueup.catalog.store import Read, Write


@dataclass(frozen=True, slots=True)
class Slot:
    """One access slot as declared: rule number (-1: the source's own), readers as JSON, classification."""

    ordinal: int
    readers: str
    classification: str


@dataclass(frozen=True, slots=True)
class Declared:
    """What a ContextSource says, in the form the catalog keeps."""

    uid: str
    namespace: str
    name: str
    generation: int
    spec: str
    index_key: str
    settings: str
    access: str
    suspended: bool
    slots: tuple[Slot, ...]


_FIND = sa.text("SELECT id, uid, generation, spec, access, index_key, next_index FROM source WHERE namespace = :namespace AND name = :name AND state = 'live'")
_INSERT = sa.text(
    "INSERT INTO source (uid, namespace, name, state, epoch, generation, spec, index_key, settings, access, suspended, seq) "
    "VALUES (:uid, :namespace, :name, 'live', 1, :generation, :spec, :index_key, :settings, :access, :suspended, 0) RETURNING id"
)
_UPDATE = sa.text(
    "UPDATE source SET generation = :generation, spec = :spec, next_index = CASE WHEN index_key = :index_key THEN NULL ELSE :index_key END, settings = :settings, access = :access, "
    "suspended = :suspended WHERE id = :id"
)
_SLOT = sa.text(
    "INSERT INTO acl (source_id, ordinal, readers, classification) VALUES (:source, :ordinal, :readers, :classification) "
    "ON CONFLICT (source_id, ordinal) DO UPDATE SET readers = excluded.readers, classification = excluded.classification"
)
_CLOSE_SLOTS = sa.text("UPDATE acl SET readers = '[]' WHERE source_id = :source AND ordinal > :last")
_SEQ = sa.text("UPDATE source SET seq = :seq WHERE id = :id")


def declare(tx: Write, declared: Declared, principal: str) -> int:
    """Take `declared` as what holds from this transaction on; returns the source's catalog id.

    What it narrows (readers, classification) holds at the gate with this commit: slots are read there, and rules are
    evaluated there from `spec`. A source of the same name and another uid was deleted and made anew: it is killed first.
    So is what came from another origin, which whoever may read this one was never meant to see.
    """
    row = _held(tx, declared.namespace, declared.name)
    if row is not None and row.uid != declared.uid:
        withdraw(tx, row.id, retain=False, principal=principal)
        row = None
    if row is not None and row.spec == declared.spec and row.generation == declared.generation and declared.index_key == (row.next_index or row.index_key):
        return int(row.id)
    values = {
        "uid": declared.uid,
        "namespace": declared.namespace,
        "name": declared.name,
        "generation": declared.generation,
        "spec": declared.spec,
        "index_key": declared.index_key,
        "settings": declared.settings,
        "access": declared.access,
        "suspended": declared.suspended,
    }
    if row is None:
        source = int(tx.run(_INSERT, values).scalar_one())
    else:
        source = int(row.id)
        if _elsewhere(row, declared):
            _leave(tx, source, declared.generation, principal)
        tx.run(_UPDATE, {**values, "id": source})
    tx.many(_SLOT, [{"source": source, "ordinal": s.ordinal, "readers": s.readers, "classification": s.classification} for s in declared.slots])
    tx.run(_CLOSE_SLOTS, {"source": source, "last": max((s.ordinal for s in declared.slots), default=-1)})
    tx.audit(
        "Apply",
        principal=principal,
        object=f"contextsource/{declared.namespace}/{declared.name}",
        decision="Accepted",
        data={"generation": declared.generation},
    )
    tx.run(_SEQ, {"seq": tx.allot(), "id": source})
    tx.announce(SOURCES)
    return source


def _held(tx: Write, namespace: str, name: str) -> Any | None:
    """The live source of that name as it is once nobody else can change it."""
    row = tx.row(_FIND, {"namespace": namespace, "name": name})
    if row is None:
        return None
    tx.hold([row.id])
    return tx.row(_FIND, {"namespace": namespace, "name": name})


def _elsewhere(row: Any, declared: Declared) -> bool:
    """Whether `declared` names another origin. Another branch of the same repository is compared document by document,
    unless its readers are others too.
    """
    before, after = json.loads(row.spec).get("source", {}), json.loads(declared.spec).get("source", {})
    return bool(before != after and (row.access != declared.access or _place(before) != _place(after)))


def _place(origin: dict[str, Any]) -> dict[str, Any]:
    """`spec.source` without what a repository is followed by."""
    git = origin.get("git")
    return origin if git is None else {**origin, "git": {key: value for key, value in git.items() if key != "ref"}}


_ELSEWHERE = sa.text(
    "UPDATE source SET epoch = epoch + 1, revision = NULL, verified_at = NULL, failure = NULL, gaps = NULL, decided_generation = -1, "
    "held_observation = NULL, held_since = NULL, held_reason = NULL WHERE id = :id"
)


def _leave(tx: Write, source: int, generation: int, principal: str) -> None:
    """Bury everything of the origin that is declared no more, and void what is still being read from it."""
    tx.run(_ELSEWHERE, {"id": source})
    buried = _bury_all(tx, source, "Excluded", f"declared@{generation}")
    tx.audit("Tombstone", principal=principal, object=f"source/{source}", decision="Excluded", data={"documents": buried})


_KILL = sa.text(
    "UPDATE source SET state = 'dead', epoch = epoch + 1, retain = :retain, failure = NULL, gaps = NULL WHERE id = :id AND state = 'live' RETURNING namespace, name, observation"
)
_BURY_ALL = sa.text(
    "INSERT INTO tombstone (seq, source_id, document_id, revision_id, uri, version, source_revision, digest, reason, at, observation, readers, classification) "
    "SELECT :seq, d.source_id, d.id, r.id, d.uri, r.version, r.source_revision, r.digest, :reason, :now, :observation, a.readers, a.classification "
    "FROM document d JOIN revision r ON r.id = d.revision_id JOIN acl a ON a.id = d.acl_id WHERE d.source_id = :id AND d.state IN ('live', 'held')"
)
_DIE_ALL = sa.text("UPDATE revision SET state = 'dead' WHERE source_id = :id AND state = 'live'")
_EMPTY_ALL = sa.text(
    "UPDATE document SET state = 'dead', revision_id = NULL, wanted = NULL, stale_at = NULL, retry_at = NULL, failure = NULL, failure_message = NULL, "
    "quarantined = :no, verified_at = NULL, observation = :observation, seq = :seq WHERE source_id = :id AND state <> 'dead'"
)
_OUTBOX_ALL = sa.text(
    "INSERT INTO outbox (generation_id, point_id) SELECT c.generation_id, c.point_id FROM revision r JOIN chunk c ON c.revision_id = r.id "
    "WHERE r.source_id = :id AND c.verdict <> 'Quarantined'"
)
_COUNT_DEAD = sa.text("UPDATE source SET chunks = 0, tombstones = tombstones + :buried, seq = :seq WHERE id = :id")


def withdraw(tx: Write, source: int, *, retain: bool, principal: str) -> bool:
    """Kill a source: everything of it is dead at the gate with this commit, and passes in flight write nothing more.

    Returns whether there was anything to kill. With `retain` the points stay in the index, dead.
    """
    tx.hold([source])
    row = tx.row(_KILL, {"id": source, "retain": retain})
    if row is None:
        return False
    tx.announce(SOURCES)
    buried = _bury_all(tx, source, "SourceDeleted", f"deleted@{tx.allot()}")
    tx.audit(
        "Tombstone",
        principal=principal,
        object=f"contextsource/{row.namespace}/{row.name}",
        decision="SourceDeleted",
        data={"documents": buried, "retain": retain},
    )
    return True


def _bury_all(tx: Write, source: int, reason: str, observation: str) -> int:
    """Tombstone every document of `source`; returns how many were live or held."""
    tx.announce(TOMBSTONES)
    tx.announce(OUTBOX)
    params = {"id": source, "seq": tx.allot(), "now": tx.now, "observation": observation, "reason": reason, "no": False}
    tx.run(_OUTBOX_ALL, params)
    buried = int(tx.run(_BURY_ALL, params).rowcount)
    tx.run(_DIE_ALL, params)
    tx.run(_EMPTY_ALL, params)
    tx.run(_COUNT_DEAD, {**params, "buried": buried})
    return buried


def find(read: Read, namespace: str, name: str) -> int | None:
    """The catalog id of the live source of that name."""
    row = read.row(_FIND, {"namespace": namespace, "name": name})
    return None if row is None else int(row.id)


_FIND_UID = sa.text("SELECT id FROM source WHERE uid = :uid AND state = 'live'")


def find_uid(read: Read, uid: str) -> int | None:
    """The catalog id of the live source whose resource has that uid."""
    row = read.row(_FIND_UID, {"uid": uid})
    return None if row is None else int(row.id)


def spec_of(read: Read, namespace: str, name: str) -> str | None:
    """The declared spec, as JSON, of the live source of that name."""
    row = read.row(_FIND, {"namespace": namespace, "name": name})
    return None if row is None else str(row.spec)
