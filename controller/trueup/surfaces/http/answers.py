"""Content, and what became of it: retrieve, verify, explain, replay, retractions."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Request, Response

from trueup.catalog.history import Cursor
from trueup.errors import Invalid
from trueup.gate import checking, explaining, replaying, retracting
from trueup.gate.receipts import genuine
from trueup.gate.retrieve import retrieve
from trueup.gate.wish import Wish
from trueup.surfaces.http.asking import CallerOf, GateOf, answer, recorded, surface
from trueup.surfaces.http.bodies import ReplayBody, RetrieveBody, VerifyBody
from trueup.surfaces.http.shapes import PROBLEMS, AnswerShape, ReplayShape, RetractionsShape, VerifiedShape
from trueup.surfaces.http.streaming import EVENT_STREAM, events
from trueup.surfaces.http.strictjson import StrictRoute

router = APIRouter(prefix="/v1", route_class=StrictRoute, tags=["answers"], responses=PROBLEMS)

RetrievalId = Annotated[str, Path(max_length=200)]


@router.post("/retrieve", responses={200: {"model": AnswerShape}})
def post_retrieve(request: Request, body: RetrieveBody, caller: CallerOf, gate: GateOf) -> Response:
    """Ask a question; get live text that this caller may read, with its provenance."""
    asked = body.model_dump(exclude={"query"}, exclude_none=True, mode="json")
    made = retrieve(gate, caller, Wish.of(body.query, asked), asked)
    recorded(request)
    surface(request).metrics.answered(made)
    return answer(made)


@router.post("/verify", responses={200: {"model": VerifiedShape}})
def post_verify(body: VerifyBody, caller: CallerOf, gate: GateOf) -> Response:
    """Which chunks this caller would still get now: ask before acting on what was read a while ago."""
    chunks = body.chunks if body.receipt is None else tuple(chunk for chunk, _ in genuine(gate.keys, body.receipt).chunks)
    return answer({"chunks": checking.live(gate, caller, chunks or ())})


@router.get("/retrievals/{id}", responses={200: {"model": AnswerShape}})
def get_retrieval(id: RetrievalId, caller: CallerOf, gate: GateOf) -> Response:
    """What an answer held, where each piece came from, and why others were left out; by the viewer's present rights."""
    return answer(explaining.explain(gate, caller, id))


@router.post("/retrievals/{id}/replay", responses={200: {"model": ReplayShape}})
def post_replay(request: Request, id: RetrievalId, body: ReplayBody, caller: CallerOf, gate: GateOf) -> Response:
    """An earlier answer again, and what differs from then."""
    made = replaying.replay(gate, caller, id, body.mode.value)
    recorded(request)
    return answer(made)


@router.get("/retractions", responses={200: {"model": RetractionsShape, "content": {EVENT_STREAM: {}}}})
def get_retractions(
    request: Request,
    caller: CallerOf,
    gate: GateOf,
    after: Annotated[str | None, Query(max_length=256)] = None,
    accept: Annotated[str, Header()] = "",
    last_event_id: Annotated[str | None, Header(max_length=256)] = None,
) -> Response:
    """What was delivered to this caller and has died since; as events, as it happens, with `Accept: text/event-stream`."""
    start = _cursor(last_event_id or after)
    if EVENT_STREAM in accept:
        return events(gate, caller, start, surface(request).closing)
    page = retracting.page(gate, caller, start)
    shown: list[dict[str, Any]] = [retracting.shown(one) for one in page.items]
    return answer({"retractions": shown, "next": str(page.next)})


def _cursor(text: str | None) -> Cursor:
    try:
        return Cursor(0) if text is None else Cursor.parse(text)
    except ValueError as error:
        raise Invalid(why="after is a cursor that an earlier answer gave as next") from error
