"""Explain: what an earlier answer held, by the present rights of who looks at it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from trueup.catalog import history
from trueup.catalog.history import Death, Record
from trueup.decide.access import admits, parse_readers
from trueup.decide.delivery import Why
from trueup.errors import NotFound
from trueup.gate.checking import settle
from trueup.gate.deps import Gate
from trueup.gate.reach import reach
from trueup.gate.verify import Verified
from trueup.model.principal import Caller, Role


@dataclass(frozen=True, slots=True)
class View:
    """One record, and what is true of its content now for one viewer.

    Attributes:
        verified: every point of it. deaths: of its revisions, by id. visible: names of sources that exist for the viewer.
    """

    record: Record
    viewer: Caller
    verified: Verified
    deaths: dict[int, Death]
    visible: frozenset[str]

    @property
    def own(self) -> bool:
        """Whether the viewer is who the answer went to."""
        return self.record.principal == self.viewer.key

    def readable(self, point: str, revision: int, source: str) -> bool:
        """Whether the viewer may know of this chunk: may read it now, or could when it died."""
        if point in self.verified.known:
            return True
        death = self.deaths.get(revision)
        return death is not None and admits(parse_readers(death.readers), self.viewer, source)

    def state(self, point: str, revision: int, source: str) -> tuple[str, str]:
        """What has become of a delivered chunk (live, withheld, dead or absent), and why. Forbidden is absent."""
        why = self.verified.whys.get(point, Why.UNKNOWN)
        if why is Why.DELIVERED:
            return "live", ""
        if not self.readable(point, revision, source):
            return "absent", "NotAvailable"
        death = self.deaths.get(revision)
        return ("dead", death.reason) if death is not None else ("withheld", why.value)


def view(gate: Gate, viewer: Caller, retrieval: str) -> View:
    """The record `retrieval` for `viewer`: their own, their agents', or anyone's if they operate or audit.

    Raises:
        NotFound: there is none that they may see.
    """
    with gate.store.read() as read:
        record = history.recorded(read, retrieval)
        if record is None or not _may_see(viewer, record):
            raise NotFound
        deaths = history.deaths(read, [revision for hit in record.answer["results"] for _, revision, _ in hit["delivered"]])
        mine = reach(gate.atlas.at(read, read.sequence()), viewer)
    verified = settle(gate, viewer, _points(record))
    return View(record, viewer, verified, deaths, frozenset(mine.map.sources[source].key for source in mine.visible))


def _may_see(viewer: Caller, record: Record) -> bool:
    if viewer.agent is not None:
        return viewer.key == record.principal
    return bool(viewer.roles & {Role.OPERATOR, Role.AUDITOR}) or viewer.key == record.principal.partition("+agent:")[0]


def _points(record: Record) -> set[str]:
    return {point for point, _, _ in record.candidates} | {point for hit in record.answer["results"] for point, _, _ in hit["delivered"]}


def explain(gate: Gate, viewer: Caller, retrieval: str) -> dict[str, Any]:
    """The answer as it is kept, and why each candidate that the viewer may read was in it or not."""
    seen = view(gate, viewer, retrieval)
    record = seen.record
    made = {
        **outline(seen),
        "results": [shown(seen, hit, with_text=seen.own) for hit in record.answer["results"]],
        "principal": record.principal,
        "sequence": record.seq,
        "request": record.request,
        "candidates": [{"chunk": point, "score": score, "why": why} for point, score, why in record.candidates if point in seen.verified.known],
    }
    return {**made, "query": record.text} if seen.own and record.text is not None else made


def outline(seen: View) -> dict[str, Any]:
    """Everything of an answer but its results; sources that do not exist for the viewer are left out."""
    kept = seen.record.answer
    made = {name: kept[name] for name in ("id", "at", "withheld", "budget", "receipt")}
    return {**made, "degraded": [one for one in kept["degraded"] if one["source"] in seen.visible]}


def shown(seen: View, hit: dict[str, Any], *, with_text: bool) -> dict[str, Any]:
    """One hit of the record: what may be known of it now; its text if that is live, else its digest alone."""
    kept = [where for where, (point, revision, _) in zip(hit["provenance"], hit["delivered"], strict=True) if seen.readable(point, revision, where["source"])]
    text = text_now(seen, (point for point, _, _ in hit["delivered"])) if with_text else None
    told = {"digest": hit["delivered"][0][2]} if text is None else {"text": text}
    if not kept:
        return {"chunk": hit["chunk"], **told, "provenance": []}
    return {**{name: value for name, value in hit.items() if name != "delivered"}, **told, "provenance": kept}


def text_now(seen: View, points: Iterable[str]) -> str | None:
    """The text of a hit, if one of its places is live for the viewer."""
    return next((seen.verified.known[point].text for point in points if seen.verified.whys.get(point) is Why.DELIVERED), None)
