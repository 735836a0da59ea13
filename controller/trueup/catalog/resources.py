"""The declared resources of the embedded profile, with the metadata and the manners of a Kubernetes API server.

Functions of a snapshot or a unit of work; the caller commits, and declares a source in the same transaction.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from trueup.catalog.store import Read, Write
from trueup.errors import Conflict, NotFound
from trueup.model.resources.contextindex import ContextIndex
from trueup.model.resources.contextsource import ContextSource
from trueup.model.resources.manifest import API_VERSION
from trueup.model.resources.metadata import OURS
from trueup.model.times import rfc3339

Object = dict[str, Any]
"""A resource exactly as a cluster has it: apiVersion, kind, metadata, spec, status."""

_COLUMNS = "kind, namespace, name, uid, generation, version, metadata, spec, status"
_ONE = "kind = :kind AND namespace = :namespace AND name = :name"
_GET = sa.text(f"SELECT {_COLUMNS} FROM resource WHERE {_ONE}")
_LIST = sa.text(f"SELECT {_COLUMNS} FROM resource WHERE kind = :kind ORDER BY namespace, name")
_LIST_IN = sa.text(f"SELECT {_COLUMNS} FROM resource WHERE kind = :kind AND namespace = :namespace ORDER BY name")
_INSERT = sa.text(
    "INSERT INTO resource (kind, namespace, name, uid, generation, version, metadata, spec, status) "
    "VALUES (:kind, :namespace, :name, :uid, 1, :version, :metadata, :spec, :status)"
)
_UPDATE = sa.text(f"UPDATE resource SET generation = :generation, version = :version, metadata = :metadata, spec = :spec WHERE {_ONE}")
_STATUS = sa.text(f"UPDATE resource SET version = :version, status = :status WHERE {_ONE}")
_DELETE = sa.text(f"DELETE FROM resource WHERE {_ONE}")


def get(read: Read, kind: str, namespace: str, name: str) -> Object:
    """The resource.

    Raises:
        NotFound: there is none.
    """
    return _object(_row(read, kind, namespace, name))


def list_(read: Read, kind: str, namespace: str | None = None) -> list[Object]:
    """The resources of `kind` in `namespace`, or in all of them, by namespace and name."""
    rows = read.rows(_LIST, {"kind": kind}) if namespace is None else read.rows(_LIST_IN, {"kind": kind, "namespace": namespace})
    return [_object(row) for row in rows]


def put(tx: Write, resource: ContextSource | ContextIndex) -> Object:
    """Create or replace; returns the resource as stored.

    The generation moves only with the spec, the resourceVersion with any change, and applying the same again changes
    nothing. Labels and annotations become the manifest's; annotations of ours that it does not name stay, since they
    are orders already given.

    Raises:
        Conflict: metadata.uid or metadata.resourceVersion was given and is not the present one.
    """
    meta, kind = resource.metadata, resource.kind
    spec = _text(resource.spec.dump())
    row = tx.row(_GET, {"kind": kind, "namespace": meta.namespace, "name": meta.name})
    if row is None:
        if meta.resource_version or meta.uid:
            raise Conflict("The object is gone: it was deleted since you read it. Leave out metadata.resourceVersion and metadata.uid to create it.")
        stored = {"creationTimestamp": _second(tx.now), "labels": meta.labels, "annotations": meta.annotations}
        tx.run(
            _INSERT,
            {
                **_key(kind, meta.namespace, meta.name),
                "uid": str(uuid.uuid4()),
                "version": tx.allot(),
                "metadata": _text(stored),
                "spec": spec,
                "status": _text(resource.status.__class__().dump()),
            },
        )
        return get(tx, kind, meta.namespace, meta.name)
    if (meta.resource_version or str(row.version)) != str(row.version) or (meta.uid or row.uid) != row.uid:
        raise Conflict("The object was changed since you read it. Read it again and apply your change to that.")
    before = json.loads(row.metadata)
    kept = {key: value for key, value in before["annotations"].items() if key.startswith(OURS)}
    _replace(tx, row, {**before, "labels": meta.labels, "annotations": {**kept, **meta.annotations}}, spec)
    return get(tx, kind, meta.namespace, meta.name)


def annotate(tx: Write, kind: str, namespace: str, name: str, annotations: Mapping[str, str | None]) -> Object:
    """Set annotations, or remove those whose value is None; returns the resource.

    Raises:
        NotFound: there is none.
    """
    row = _row(tx, kind, namespace, name)
    before = json.loads(row.metadata)
    after = {key: value for key, value in {**before["annotations"], **annotations}.items() if value is not None}
    _replace(tx, row, {**before, "annotations": after}, row.spec)
    return get(tx, kind, namespace, name)


def set_status(tx: Write, kind: str, namespace: str, name: str, status: Mapping[str, Any], *, uid: str | None = None) -> bool:
    """Write `status` if it differs from what is there; returns whether it did.

    With `uid`, a resource that was deleted and made anew under the same name is left alone.

    Raises:
        NotFound: there is none (of that uid).
    """
    row = _row(tx, kind, namespace, name)
    if uid is not None and row.uid != uid:
        raise NotFound(f"There is no {kind} {namespace}/{name} of that uid.")
    text = _text(status)
    if text == row.status:
        return False
    tx.run(_STATUS, {**_key(kind, namespace, name), "version": tx.allot(), "status": text})
    return True


def delete(tx: Write, kind: str, namespace: str, name: str) -> Object:
    """Remove the resource; returns it as it was.

    Raises:
        NotFound: there is none.
    """
    row = _row(tx, kind, namespace, name)
    tx.run(_DELETE, _key(kind, namespace, name))
    return _object(row)


def _row(read: Read, kind: str, namespace: str, name: str) -> sa.Row[Any]:
    row: sa.Row[Any] | None = read.row(_GET, _key(kind, namespace, name))
    if row is None:
        raise NotFound(f"There is no {kind} {namespace}/{name}.")
    return row


def _replace(tx: Write, row: sa.Row[Any], metadata: Mapping[str, Any], spec: str) -> None:
    """Write what changed; nothing for nothing."""
    text = _text(metadata)
    if text == row.metadata and spec == row.spec:
        return
    tx.run(
        _UPDATE,
        {
            **_key(row.kind, row.namespace, row.name),
            "generation": row.generation + (spec != row.spec),
            "version": tx.allot(),
            "metadata": text,
            "spec": spec,
        },
    )


def _object(row: sa.Row[Any]) -> Object:
    kept = json.loads(row.metadata)
    metadata: Object = {
        "name": row.name,
        "namespace": row.namespace,
        "uid": row.uid,
        "generation": row.generation,
        "resourceVersion": str(row.version),
        "creationTimestamp": kept["creationTimestamp"],
    }
    # As a cluster has it: an empty map is not there at all.
    metadata |= {name: kept[name] for name in ("labels", "annotations") if kept[name]}
    return {"apiVersion": API_VERSION, "kind": row.kind, "metadata": metadata, "spec": json.loads(row.spec), "status": json.loads(row.status)}


def _key(kind: str, namespace: str, name: str) -> dict[str, str]:
    return {"kind": kind, "namespace": namespace, "name": name}


def _second(now: float) -> str:
    """A time as metadata has it, to the second."""
    return rfc3339(int(now)).replace(".000Z", "Z")


def _text(value: Mapping[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
