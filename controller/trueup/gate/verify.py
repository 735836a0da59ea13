"""Verify: every candidate against the catalog, in one snapshot, text included. What fails is dropped."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace

from trueup.catalog import serving
from trueup.catalog.serving import Moment, Standing
from trueup.catalog.store import Read
from trueup.decide import freshness
from trueup.decide.access import Slot, admits
from trueup.decide.delivery import Candidate, Case, Terms, Why, judge, lease_of, marked_stale
from trueup.decide.freshness import Lease
from trueup.errors import Unauthenticated
from trueup.gate.deps import Gate
from trueup.gate.policies import Declared
from trueup.model.listing import Presence
from trueup.model.principal import Caller


@dataclass(frozen=True, slots=True)
class Place:
    """One document version at its source: what the source is asked about."""

    source: int
    uri: str
    version: str


@dataclass(frozen=True, slots=True)
class Asked:
    """What a source said of one place when asked at delivery, and when; None: nothing in time."""

    presence: Presence | None
    at: float


@dataclass(frozen=True, slots=True)
class Vouched:
    """One candidate that the catalog knows and the caller may read, and what became of it."""

    why: Why
    candidate: Candidate
    standing: Standing
    declared: Declared
    slot: Slot
    lease: Lease
    stale: bool
    text: str = field(repr=False, default="")

    def with_text(self, why: Why, text: str) -> Vouched:
        """The same with its text. Written out, because `replace` takes three times as long and every candidate comes by."""
        return Vouched(why, self.candidate, self.standing, self.declared, self.slot, self.lease, self.stale, text)

    @property
    def place(self) -> Place:
        """Where it is from."""
        return Place(self.candidate.source, self.candidate.uri, self.candidate.version)


@dataclass(frozen=True, slots=True)
class Verified:
    """The verdict on all candidates of one request, of one moment.

    Attributes:
        sequence: of the snapshot. now: when it was taken.
        known: by point, those that the caller may read and asked for; deliverable or withheld or dead.
        whys: for every candidate.
    """

    sequence: int
    now: float
    known: dict[str, Vouched]
    whys: dict[str, Why]


def verify(
    gate: Gate,
    caller: Caller,
    points: Collection[str],
    wanted: Callable[[Candidate], bool],
    asked: Mapping[Place, Asked] | None = None,
) -> Verified:
    """Judge `points` for `caller`, with the texts of the deliverable ones.

    Raises:
        Unauthenticated: the caller's token was revoked.
        CatalogError: the catalog could not be read; nothing may be delivered.
    """
    with gate.store.read() as read:
        moment = admitted(read, caller)
        now = gate.clock.now()
        distrusted = freshness.went_back(moment.mark, now)
        judge_one = _Judge(gate, read, caller, wanted, asked or {}, now, distrusted)
        whys, known = judge_one.all(points)
        texts = serving.texts(read, {found.candidate.digest for found in known.values() if found.why is Why.DELIVERED})
    if distrusted:
        gate.distrust()
    for point, found in known.items():
        if found.why is Why.DELIVERED:
            text = texts.get(found.candidate.digest)
            whys[point] = Why.UNKNOWN if text is None else Why.DELIVERED
            known[point] = found.with_text(whys[point], text or "")
    return Verified(moment.sequence, now, known, whys)


def admitted(read: Read, caller: Caller) -> Moment:
    """The moment that this snapshot shows, for a caller whose token still stands in it.

    Raises:
        Unauthenticated: it was revoked.
    """
    moment = serving.moment(read, caller)
    if moment.revoked:
        raise Unauthenticated
    return moment


class _Judge:
    """Judges the candidates of one snapshot. What depends on the source alone is worked out once a source."""

    def __init__(
        self, gate: Gate, read: Read, caller: Caller, wanted: Callable[[Candidate], bool], asked: Mapping[Place, Asked], now: float, distrusted: bool
    ) -> None:
        self._gate, self._read, self._caller, self._wanted = gate, read, caller, wanted
        self._asked, self._now, self._distrusted = asked, now, distrusted
        self._readable: dict[tuple[int, int], bool] = {}

    def all(self, points: Collection[str]) -> tuple[dict[str, Why], dict[str, Vouched]]:
        found = serving.candidates(self._read, points)
        standings = serving.standings(self._read, {candidate.source for candidate in found.values()})
        sources = {id_: self._source(standing) for id_, standing in standings.items()}
        whys = dict.fromkeys(points, Why.UNKNOWN)
        known: dict[str, Vouched] = {}
        for point, candidate in found.items():
            vouched = self._one(candidate, *sources[candidate.source])
            whys[point] = vouched.why
            if vouched.why not in _NOT_THEIRS:
                known[point] = vouched
        return whys, known

    def _source(self, standing: Standing) -> tuple[Standing, Declared, Terms]:
        declared = self._gate.policies.of(standing.spec)
        return standing, declared, declared.terms(standing)

    def _one(self, candidate: Candidate, standing: Standing, declared: Declared, terms: Terms) -> Vouched:
        slot = declared.slot(candidate.uri)
        lease = lease_of(candidate, terms, self._now)
        asked = self._asked.get(Place(candidate.source, candidate.uri, candidate.version)) if self._asked else None
        if asked is not None:
            lease = _asked_lease(asked, lease, terms, candidate, self._now)
        case = Case(
            candidate, terms, self._admits(standing, slot) and declared.takes(candidate.uri), self._wanted(candidate), self._now, lease, self._distrusted
        )
        why = judge(case)
        if asked is not None and asked.presence in _GONE and why in {Why.DELIVERED, Why.STALE}:
            why = Why.GONE
        return Vouched(why, candidate, standing, declared, slot, lease, marked_stale(case))

    def _admits(self, standing: Standing, slot: Slot) -> bool:
        key = (standing.id, slot.ordinal)
        if key not in self._readable:
            self._readable[key] = admits(slot.readers, self._caller, standing.key)
        return self._readable[key]


_NOT_THEIRS = frozenset({Why.SOURCE_DEAD, Why.UNREADABLE, Why.FILTERED})
_GONE = frozenset({Presence.CHANGED, Presence.ABSENT})


def _asked_lease(asked: Asked, lease: Lease, terms: Terms, candidate: Candidate, now: float) -> Lease:
    """The lease after the source was asked: renewed if it said "the same", stale if it said nothing."""
    if asked.presence is None:
        return replace(lease, stale=True)
    return lease if asked.presence in _GONE else freshness.lease(now, asked.at, terms.max_staleness, candidate.stale_at)
