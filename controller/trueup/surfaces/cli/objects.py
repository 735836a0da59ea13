"""Resources as the server holds them: read, listed, and their annotations changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trueup.surfaces.cli.client import Api
from trueup.surfaces.cli.connection import path
from trueup.surfaces.cli.failure import Failed
from trueup.surfaces.cli.names import Kind, Name

REQUESTED = "trueup.dev/requestedAt"
CONFIRM = "trueup.dev/confirmDeletion"
ATTEMPTS = 10
"""Tries at a change that meets one of someone else; each try reads afresh, so that losing ten in a row is no accident."""

Object = dict[str, Any]


def object_path(kind: Kind, name: Name) -> str:
    """Where one resource is."""
    return path("v1", "resources", kind.plural, name.namespace, name.name)


def get_object(api: Api, kind: Kind, name: Name) -> Object:
    """One resource with its status.

    Raises:
        Failed: there is none of this name, or the server could not be asked.
    """
    try:
        found: Object = api.get(object_path(kind, name))
    except Failed as failure:
        if failure.status == 404:
            raise Failed(f"There is no {kind.singular} {name}; `trueup get {kind.plural}` lists what there is.", 404) from failure
        raise
    return found


def list_objects(api: Api, kind: Kind, namespace: str | None) -> list[Object]:
    """The resources of `namespace`, or of all where it is None.

    Raises:
        Failed: the caller is no operator, or the server could not be asked.
    """
    below = [namespace] if namespace is not None else []
    try:
        return list(api.items(path("v1", "resources", kind.plural, *below)))
    except Failed as failure:
        if failure.status == 404:
            raise Failed(
                "Resources are for operators, and this token has not that role; leave out TRUEUP_TOKEN to act as the owner of the home.", 404
            ) from failure
        raise


def annotate(api: Api, kind: Kind, name: Name, annotations: Mapping[str, str], found: Object | None = None) -> Object:
    """Set annotations on a resource and change nothing else of it; returns it as stored.

    Args:
        api: the server.
        kind: of the resource.
        name: of the resource.
        annotations: the ones to set.
        found: the resource as just read; the change then holds only if nobody changed it since.

    Raises:
        Failed: there is none, it is refused, or others change it all the time.
    """
    for _ in range(ATTEMPTS):
        present = found or get_object(api, kind, name)
        metadata = {k: v for k, v in present["metadata"].items() if k in {"name", "namespace", "labels", "resourceVersion"}}
        metadata["annotations"] = {**(present["metadata"].get("annotations") or {}), **annotations}
        body = {"apiVersion": present["apiVersion"], "kind": present["kind"], "metadata": metadata, "spec": present["spec"]}
        try:
            stored: Object = api.call("PUT", object_path(kind, name), body=body).body
        except Failed as failure:
            if failure.status != 409:
                raise
            found = None
        else:
            return stored
    raise Failed(f"{kind.singular}/{name.name} is being changed by others all the time; try again.", 409)


def condition(found: Object, kind: str) -> dict[str, Any] | None:
    """The condition of type `kind` in a resource's status, or None."""
    conditions = (found.get("status") or {}).get("conditions") or []
    return next((c for c in conditions if c["type"] == kind), None)


def is_true(found: Object, kind: str) -> bool:
    """Whether the condition of type `kind` is there and True."""
    present = condition(found, kind)
    return present is not None and present["status"] == "True"
