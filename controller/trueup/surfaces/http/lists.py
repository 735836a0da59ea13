"""Pages to look through: sources, documents, tombstones, events."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from trueup.gate import listing
from trueup.surfaces.http.asking import OPERATOR, CallerOf, GateOf, answer, surface
from trueup.surfaces.http.shapes import PROBLEMS, ListShape
from trueup.surfaces.http.strictjson import StrictRoute

router = APIRouter(prefix="/v1/sources", route_class=StrictRoute, tags=["sources"], responses={**PROBLEMS, 200: {"model": ListShape}})

Namespace = Annotated[str, Path(max_length=63)]
Name = Annotated[str, Path(max_length=253)]
Limit = Annotated[int, Query(ge=1, le=1000)]
After = Annotated[str, Query(max_length=8192)]
Before = Annotated[int, Query(ge=0, lt=1 << 63, alias="after")]


@router.get("")
def get_sources(caller: CallerOf, gate: GateOf, after: After = "", limit: Limit = 500) -> Response:
    """The sources that this caller can see, and how fresh they are."""
    return answer(listing.sources(gate, caller, after, limit))


@router.get("/{namespace}/{name}")
def get_source(request: Request, namespace: Namespace, name: Name, caller: CallerOf, gate: GateOf) -> Response:
    """One source; for operators also how many hook calls were taken and refused since the server began."""
    found = listing.one_source(gate, caller, namespace, name)
    if caller.operator:
        taken, refused = surface(request).hooks.of(f"{namespace}/{name}")
        found |= {"acceptedHooks": taken, "rejectedHooks": refused}
    return answer(found)


@router.get("/{namespace}/{name}/documents")
def get_documents(namespace: Namespace, name: Name, caller: CallerOf, gate: GateOf, after: After = "", limit: Limit = 100) -> Response:
    """The documents that this caller may read, by uri, with provenance and freshness."""
    return answer(listing.documents(gate, caller, namespace, name, after, limit))


@router.get("/{namespace}/{name}/tombstones")
def get_tombstones(namespace: Namespace, name: Name, caller: CallerOf, gate: GateOf, after: Before = listing.NEWEST, limit: Limit = 100) -> Response:
    """What died, newest first, for those who could read it when it died."""
    return answer(listing.tombstones(gate, caller, namespace, name, after, limit))


@router.get("/{namespace}/{name}/events", dependencies=[OPERATOR])
def get_events(namespace: Namespace, name: Name, gate: GateOf, after: Before = listing.NEWEST, limit: Limit = 100) -> Response:
    """What happened to a source, newest first. Operators only."""
    return answer(listing.events(gate, namespace, name, after, limit))
