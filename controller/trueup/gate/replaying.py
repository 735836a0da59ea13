"""Replay: an earlier answer again, as it was, as it would be now, or asked anew, with what differs."""

from __future__ import annotations

from typing import Any

from trueup.decide.delivery import Why
from trueup.errors import Invalid
from trueup.gate import answering, recording
from trueup.gate.deps import Gate
from trueup.gate.explaining import View, outline, shown, view
from trueup.gate.retrieve import retrieve
from trueup.gate.wish import Wish
from trueup.model.principal import Caller

AS_RECORDED, RE_VERIFY, RE_RUN = "as-recorded", "re-verify", "re-run"


def replay(gate: Gate, viewer: Caller, retrieval: str, mode: str) -> dict[str, Any]:
    """The answer `retrieval` again in `mode`, and `diff`. What it shows is recorded as delivered to the viewer.

    Raises:
        NotFound: there is none that the viewer may see, or a source it named no longer exists for them.
        Invalid: its query was erased, so that it cannot be asked again.
    """
    seen = view(gate, viewer, retrieval)
    if mode == RE_RUN:
        return _rerun(gate, seen)
    hits = seen.record.answer["results"]
    living = [(hit, [point for point, _, _ in hit["delivered"] if seen.verified.whys.get(point) is Why.DELIVERED]) for hit in hits]
    again = [(hit, points) for hit, points in living if points]
    fresh = [answering.result([seen.verified.known[point] for point in points], hit["score"], hit["conflicts"]) for hit, points in again]
    results = fresh if mode == RE_VERIFY else [shown(seen, hit, with_text=True) for hit in hits]
    made = {**outline(seen), "results": results, "diff": _diff(seen)}
    request = {"replay": retrieval, "mode": mode}
    # Recorded as an answer of its own, so that what dies later is retracted from this viewer too.
    recording.keep(
        gate,
        viewer,
        {**{name: made[name] for name in ("withheld", "degraded", "budget")}, "results": fresh},
        [points for _, points in again],
        seen.verified,
        request=request,
        query=None,
        scope=seen.record.scope,
        candidates=(),
    )
    return made


def _diff(seen: View) -> list[dict[str, Any]]:
    """What has become of the delivered chunks that are no longer live."""
    rows = []
    for hit in seen.record.answer["results"]:
        states = [seen.state(point, revision, where["source"]) for where, (point, revision, _) in zip(hit["provenance"], hit["delivered"], strict=True)]
        if all(state != "live" for state, _ in states):
            rows.append({"chunk": hit["chunk"], "was": "live", "is": states[0][0], "why": states[0][1]})
    return rows


def _rerun(gate: Gate, seen: View) -> dict[str, Any]:
    record = seen.record
    if record.text is None or not seen.own:
        raise Invalid(why="the query of this answer is not kept for you, so it cannot be run again; use as-recorded or re-verify")
    made = retrieve(gate, seen.viewer, Wish.of(record.text, record.request), {**record.request, "replay": record.id, "mode": RE_RUN})
    before, after = ({hit["chunk"] for hit in answer["results"]} for answer in (record.answer, made))
    gone = {row["chunk"]: row for row in _diff(seen)}
    diff = [gone.get(chunk, {"chunk": chunk, "was": "live", "is": "live", "why": "NotFoundAgain"}) for chunk in sorted(before - after)]
    new = [{"chunk": chunk, "was": "absent", "is": "live", "why": "FoundNow"} for chunk in sorted(after - before)]
    return {**made, "diff": diff + new}
