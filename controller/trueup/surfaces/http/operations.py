"""Operating the installation: revocations, the audit log, and whether the server is well."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.metadata import version
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from trueup.catalog import audit, history
from trueup.errors import CatalogError, Denied, Forbidden, Invalid, NotFound, TrueupError
from trueup.gate.deps import Gate
from trueup.gate.identity import LEEWAY, LONGEST
from trueup.model.principal import Caller
from trueup.ports import Upkeep
from trueup.surfaces.http.asking import AUDITOR, CallerOf, GateOf, answer, recorded, surface
from trueup.surfaces.http.bodies import RevocationBody
from trueup.surfaces.http.shapes import PROBLEMS
from trueup.surfaces.http.strictjson import StrictRoute

router = APIRouter(route_class=StrictRoute, tags=["operations"])


@router.post("/v1/revocations", responses=PROBLEMS)
def post_revocation(request: Request, body: RevocationBody, caller: CallerOf, gate: GateOf) -> Response:
    """Refuse one token, or every token of a user issued until now. Operators only; holds at the next request."""
    if not caller.operator:
        raise Forbidden
    kind, value = ("user", body.user) if body.user is not None else ("token", body.token or "")
    # Kept for as long as a token issued now could be valid; after that its own expiry refuses it.
    gate.store.write(lambda tx: history.revoke(tx, kind, value, LONGEST + LEEWAY, caller.key))
    recorded(request)
    return answer({"status": "revoked"})


@router.post("/v1/index/sweep", status_code=202, responses=PROBLEMS)
def post_sweep(request: Request, caller: CallerOf) -> Response:
    """Compare catalog and index both ways now, and repair the index. Operators only."""
    _upkeep(request, caller).sweep()
    return answer({"status": "accepted"}, 202)


@router.post("/v1/index/rebuild", status_code=202, responses=PROBLEMS)
def post_rebuild(request: Request, caller: CallerOf) -> Response:
    """Make every index anew from the catalog; the present ones answer until then. Operators only."""
    _upkeep(request, caller).rebuild()
    return answer({"status": "accepted"}, 202)


def _upkeep(request: Request, caller: Caller) -> Upkeep:
    keeper = surface(request).upkeep
    if not caller.operator or keeper is None:
        raise NotFound
    return keeper


@router.get("/v1/audit", responses=PROBLEMS, dependencies=[AUDITOR])
def get_audit(gate: GateOf, after: Annotated[str, Query(max_length=256)] = "") -> Response:
    """The audit log as JSON lines, in order of time; `after` is the `at` of a row, or `at/chain/seq`."""
    try:
        start = audit.Place.parse(after)
    except ValueError as error:
        raise Invalid(why="after is the time of a row, or its at/chain/seq") from error
    return StreamingResponse(_lines(gate, start), media_type="application/jsonl")


def _lines(gate: Gate, after: audit.Place) -> Iterator[str]:
    with gate.store.read() as read:
        for row in audit.export(read, after):
            yield json.dumps(row) + "\n"


@router.get("/livez")
def livez() -> Response:
    """The process answers."""
    return answer({"status": "ok"})


@router.get("/readyz")
def readyz(request: Request, gate: GateOf) -> Response:
    """The catalog can be read, and everything else that must hold does."""
    try:
        with gate.store.read() as read:
            read.sequence()
        for holds in surface(request).ready:
            holds()
    except CatalogError as error:
        raise Denied from error
    except TrueupError as error:
        raise Denied("The server is not ready yet.") from error
    return answer({"status": "ok"})


@router.get("/.well-known/trueup")
def well_known(gate: GateOf) -> Response:
    """What this is, and the keys that receipts and audit checkpoints are signed with."""
    return answer(
        {
            "name": "trueup",
            "version": version("trueup"),
            "api": {"versions": ["v1"], "openapi": "/openapi.json"},
            "receipts": {"keys": [gate.keys.receipt.jwk]},
            "checkpoints": {"keys": [gate.keys.checkpoint.jwk]},
        }
    )
