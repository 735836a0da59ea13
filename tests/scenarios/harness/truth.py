"""The oracle: what was live when, at every source, and what each answer is worth measured by that.

Times are wall-clock seconds. A version is born before its mutation begins and dies after it has ended, so the oracle never
blames an answer for the duration of a mutation. Judged by canary: a text is what its canaries say, whatever its provenance claims.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.scenarios.harness.client import Reply
from tests.scenarios.harness.documents import canaries, digest

SUPERSEDED = 5.0
"""Seconds for which text that is known to be superseded may still be served (contract, section 2)."""


@dataclass(slots=True)
class Span:
    """One version while it was live at its source."""

    source: str
    uri: str
    digest: str
    marks: frozenset[str]
    born: float
    died: float = math.inf
    dying: float = math.inf
    """When the mutation began that ended it: a tombstone may be as early as that."""
    last_served: float = 0.0

    def live_within(self, start: float, end: float) -> bool:
        """Whether it was live at some instant between the two."""
        return self.born <= end and self.died >= start


@dataclass(slots=True)
class Terms:
    """What a source promises: g in seconds, how long content may outlive its last reading, and what an outage excuses."""

    g: float
    max_staleness: float
    outages: list[list[float]] = field(default_factory=list)
    """[start, end] while the source, or the controller, could not be asked; the end of a present one is infinite."""

    def deadline(self, died: float) -> float:
        """Until when what died at `died` may be served: g, and for as long as nobody could know, the freshness lease."""
        until = died + self.g
        for start, end in self.outages:
            if start <= until and end >= died:
                until = max(until, min(end, start + self.max_staleness) + self.g)
        return until


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that must not happen, and did."""

    kind: str
    source: str
    what: str
    at: float


@dataclass(slots=True)
class Tally:
    """The measures of one source or of all."""

    answers: int = 0
    chunks: int = 0
    raw: int = 0
    """Delivered chunks that were not live at any moment between question and answer."""
    bounded: int = 0
    """Of these, those beyond the bound."""
    stale: int = 0
    """Delivered chunks whose uri was live with another digest for longer than the bound and the 5 s of superseded text."""
    mixed: int = 0
    """Answers that hold two revisions of one document, or text under another's provenance."""
    unknown: int = 0
    """Delivered chunks of something that never was."""
    errors: int = 0
    """Answers that were no 200."""
    expected: int = 0
    found: int = 0
    exposures: list[float] = field(default_factory=list)
    """Seconds for which a dead version was still delivered, one a version."""
    tombstones: int = 0
    false_tombstones: int = 0

    @property
    def availability(self) -> float:
        """Of the versions that should have been in answers, the share that was."""
        return self.found / self.expected if self.expected else 1.0


class Truth:
    """What is live, and the judgement of answers. Safe for threads."""

    def __init__(self, settled: float) -> None:
        """`settled`: seconds after which a new version counts as expected in answers."""
        self._lock = threading.RLock()
        self._live: dict[str, dict[str, Span]] = {}
        self._spans: dict[tuple[str, str, str], list[Span]] = {}
        self._terms: dict[str, Terms] = {}
        self._tallies: dict[str, Tally] = {}
        self._excused: set[str] = set()
        self._settled = settled
        self.violations: list[Violation] = []

    # --- what is ------------------------------------------------------------------------------------------------------

    def declare(self, source: str, g: float, max_staleness: float = math.inf) -> Tally:
        """Begin to keep the truth of `source` (namespace/name), or change its terms."""
        with self._lock:
            outages = self._terms[source].outages if source in self._terms else []
            self._terms[source] = Terms(g, max_staleness, outages)
            self._live.setdefault(source, {})
            return self._tallies.setdefault(source, Tally())

    @contextlib.contextmanager
    def turning(self, source: str, after: Mapping[str, bytes]) -> Iterator[None]:
        """While the body runs, the source turns from what it is to `after`."""
        with self._lock:
            live = self._live.setdefault(source, {})
            before = dict(live)
            now = time.time()
            fresh = {uri: digest(data) for uri, data in after.items()}
            for uri, data in after.items():
                if uri not in before or before[uri].digest != fresh[uri]:
                    span = Span(source, uri, fresh[uri], frozenset(canaries(data.decode(errors="replace"))), now)
                    live[uri] = span
                    self._spans.setdefault((source, uri, span.digest), []).append(span)
            for uri, span in before.items():
                if fresh.get(uri) != span.digest:
                    span.dying = now
        yield
        with self._lock:
            now = time.time()
            for uri, span in before.items():
                if fresh.get(uri) != span.digest:
                    span.died = now
                    if live.get(uri) is span:
                        del live[uri]

    def retract(self, source: str, uris: Iterable[str] | None = None) -> None:
        """What `uris` (all, if None) were is out of scope from now on, though the origin still has it."""
        with self._lock:
            live, now = self._live[source], time.time()
            for uri in list(live) if uris is None else uris:
                span = live.pop(uri)
                span.died = span.dying = now

    def outage(self, source: str) -> None:
        """From now on nobody can know what is true of `source`."""
        with self._lock:
            self._terms[source].outages.append([time.time(), math.inf])

    def recovered(self, source: str) -> None:
        """Now it can be known again."""
        with self._lock:
            for span in self._terms[source].outages:
                span[1] = min(span[1], time.time())

    def excuse(self, source: str, excused: bool = True) -> None:
        """Expect nothing of `source` in answers: it is withheld, held or suspended."""
        with self._lock:
            (self._excused.add if excused else self._excused.discard)(source)

    def live(self, source: str) -> dict[str, Span]:
        """What is live at `source` by uri."""
        with self._lock:
            return dict(self._live[source])

    def recently_died(self, source: str, seconds: float) -> list[Span]:
        """Versions that died within the last `seconds`."""
        since = time.time() - seconds
        with self._lock:
            return [span for (s, _, _), spans in self._spans.items() if s == source for span in spans if since <= span.died < math.inf]

    def tally(self, source: str) -> Tally:
        return self._tallies[source]

    def terms(self, source: str) -> Terms:
        return self._terms[source]

    def sources(self) -> list[str]:
        return list(self._terms)

    # --- what an answer is worth --------------------------------------------------------------------------------------

    def judge(self, reply: Reply, asked: str | None = None) -> set[str]:
        """Enter an answer to the books; the canaries in it. `asked`: the source whose every document it should hold."""
        if reply.status != 200:
            with self._lock:
                if asked in self._tallies:
                    self._tallies[asked].errors += 1
            return set()
        seen: set[str] = set()
        one: dict[tuple[str, str], str] = {}
        places: dict[tuple[str, str], list[list[int]]] = {}
        with self._lock:
            for result in reply.body["results"]:
                seen |= canaries(result["text"])
                for place in result["provenance"]:
                    self._judge_one(result, place, reply, one)
                    places.setdefault((place["source"], place["uri"]), []).append(place["span"].get("bytes") or [0, 0])
            for (source, uri), spans in places.items():
                self._overlaps(source, uri, sorted(spans), reply)
            if asked in self._tallies:
                self._expect(asked, seen, reply)
        return seen

    def _judge_one(self, result: Mapping[str, Any], place: Mapping[str, Any], reply: Reply, one: dict[tuple[str, str], str]) -> None:
        source, uri = place["source"], place["uri"]
        tally = self._tallies.get(source)
        if tally is None:
            return
        tally.chunks += 1
        spans = self._spans.get((source, uri, place["digest"]), [])
        if one.setdefault((source, uri), place["digest"]) != place["digest"]:
            tally.mixed += 1
            self._violate("mixed revisions", source, f"{uri} with {place['digest']} and {one[source, uri]}", reply)
        if not spans:
            tally.unknown += 1
            self._violate("never was", source, f"{uri} {place['digest']} {sorted(canaries(result['text']))}", reply)
            return
        if not canaries(result["text"]) <= spans[0].marks:
            tally.mixed += 1
            self._violate("mixed text", source, f"{uri}: {sorted(canaries(result['text']) - spans[0].marks)}", reply)
        born = [span for span in spans if span.born <= reply.received]
        if born:
            born[-1].last_served = reply.received
        if any(span.live_within(reply.sent, reply.received) for span in spans):
            return
        tally.raw += 1
        latest = max(spans, key=lambda span: span.died)
        late = reply.sent - self._terms[source].deadline(latest.died)
        superseded = uri in self._live[source]
        marked = place["freshness"]["state"] == "Stale"
        if superseded and late > SUPERSEDED and not marked:
            tally.stale += 1
            self._violate("stale", source, f"{uri} {sorted(latest.marks)[:1]} {late:.2f} s beyond the bound", reply)
        elif not superseded and late > 0:
            tally.bounded += 1
            self._violate("phantom", source, f"{uri} {sorted(latest.marks)[:1]} {late:.2f} s beyond the bound", reply)

    def _overlaps(self, source: str, uri: str, spans: list[list[int]], reply: Reply) -> None:
        """Without `overlap`, chunks of one cutting are disjoint: two that share bytes are of two generations."""
        if source in self._tallies and any(a[1] > b[0] for a, b in itertools.pairwise(spans)):
            self._tallies[source].mixed += 1
            self._violate("mixed generations", source, f"{uri}: {spans}", reply)

    def _expect(self, asked: str, seen: set[str], reply: Reply) -> None:
        tally, terms = self._tallies[asked], self._terms[asked]
        tally.answers += 1
        if asked in self._excused or any(start - 1 <= reply.received and end + self._settled >= reply.sent for start, end in terms.outages):
            return
        due = [span for span in self._live[asked].values() if span.marks and span.born < reply.sent - self._settled]
        tally.expected += len(due)
        tally.found += sum(bool(span.marks & seen) for span in due)

    def _violate(self, kind: str, source: str, what: str, reply: Reply) -> None:
        self.violations.append(Violation(kind, source, what, reply.sent))

    # --- afterwards ---------------------------------------------------------------------------------------------------

    def bury(self, source: str, tombstones: Iterable[Mapping[str, Any]], parse: Any) -> None:
        """Compare what Trueup says has died with what did: false is a tombstone of what was live all the while before it."""
        with self._lock:
            tally, g = self._tallies[source], self._terms[source].g
            for stone in tombstones:
                tally.tombstones += 1
                if stone["reason"] not in {"Deleted", "HistoryRewritten", "Moved", "Superseded"}:
                    continue
                at = parse(stone["at"])
                spans = self._spans.get((source, stone["uri"], stone["digest"]), [])
                if any(span.born < at - g and span.dying > at for span in spans):
                    tally.false_tombstones += 1
                    self.violations.append(Violation("false tombstone", source, f"{stone['uri']} {stone['reason']} at {stone['at']}", at))

    def close(self, source: str) -> Tally:
        """The tally of `source` with its exposures."""
        with self._lock:
            tally = self._tallies[source]
            tally.exposures = [
                max(0.0, span.last_served - span.died) for (s, _, _), spans in self._spans.items() if s == source for span in spans if span.died < math.inf
            ]
            return tally

    def forget_before(self, moment: float) -> None:
        """Drop versions that died before `moment`, for long runs: if one is served again, it never was."""
        with self._lock:
            for key, spans in list(self._spans.items()):
                kept = [span for span in spans if span.died >= moment]
                if kept:
                    self._spans[key] = kept
                else:
                    del self._spans[key]
