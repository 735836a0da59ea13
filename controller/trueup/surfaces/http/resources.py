"""The declared resources of the embedded profile, as a cluster's API server would have them. Operators only."""

from __future__ import annotations

import enum
from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Response

from trueup.catalog import resources
from trueup.errors import NotFound
from trueup.gate.deps import Gate
from trueup.ports import Controller
from trueup.surfaces.http.asking import OPERATOR, GateOf, OperatorOf, answer
from trueup.surfaces.http.shapes import PROBLEMS
from trueup.surfaces.http.strictjson import StrictRoute

router = APIRouter(prefix="/v1/resources", route_class=StrictRoute, tags=["resources"], responses=PROBLEMS, dependencies=[OPERATOR])

_API_VERSION = "trueup.dev/v1alpha1"


class Plural(enum.StrEnum):
    """The kinds that are declared here, as paths name them."""

    CONTEXTSOURCES = "contextsources"
    CONTEXTINDEXES = "contextindexes"

    @property
    def kind(self) -> str:
        """As manifests name it."""
        return {"contextsources": "ContextSource", "contextindexes": "ContextIndex"}[self.value]


Namespace = Annotated[str, Path(max_length=63)]
Name = Annotated[str, Path(max_length=253)]
Manifest = Annotated[dict[str, Any], Body()]


def _controller(gate: Gate) -> Controller:
    """The controller beside this gate.

    Raises:
        NotFound: there is none: in a cluster kubectl has this part.
    """
    if gate.controller is None:
        raise NotFound
    return gate.controller


def _plural(word: str) -> Plural:
    try:
        return Plural(word)
    except ValueError:
        raise NotFound from None


@router.get("/{plural}")
def list_all(plural: str, gate: GateOf) -> Response:
    """Every resource of a kind."""
    return _list(gate, _plural(plural), None)


@router.get("/{plural}/{namespace}")
def list_namespace(plural: str, namespace: Namespace, gate: GateOf) -> Response:
    """The resources of a kind in one namespace."""
    return _list(gate, _plural(plural), namespace)


def _list(gate: Gate, plural: Plural, namespace: str | None) -> Response:
    _controller(gate)
    with gate.store.read() as read:
        items = resources.list_(read, plural.kind, namespace)
    return answer({"kind": "List", "apiVersion": _API_VERSION, "items": items, "next": None})


@router.get("/{plural}/{namespace}/{name}")
def get_one(plural: str, namespace: Namespace, name: Name, gate: GateOf) -> Response:
    """One resource, with its status."""
    _controller(gate)
    with gate.store.read() as read:
        return answer(resources.get(read, _plural(plural).kind, namespace, name))


@router.put("/{plural}/{namespace}/{name}")
def put_one(plural: str, namespace: Namespace, name: Name, manifest: Manifest, caller: OperatorOf, gate: GateOf) -> Response:
    """Create or replace a resource. What it narrows holds when this returns."""
    return answer(_controller(gate).accept(_plural(plural).kind, namespace, name, manifest, caller.key))


@router.delete("/{plural}/{namespace}/{name}")
def delete_one(plural: str, namespace: Namespace, name: Name, caller: OperatorOf, gate: GateOf) -> Response:
    """Delete a resource: when this returns, everything of it is dead at the gate."""
    _controller(gate).withdraw(_plural(plural).kind, namespace, name, caller.key)
    return answer({"kind": "Status", "apiVersion": _API_VERSION, "status": "Success"})
