"""What sources declare, compiled once a declaration and kept: access, freshness, trust."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass

from trueup.catalog.serving import Standing
from trueup.decide.access import AccessPolicy, Slot
from trueup.decide.delivery import Terms
from trueup.decide.selection import GlobSelection
from trueup.model.resources.contextsource import ContextSourceSpec
from trueup.model.resources.policy import OnStale

ASK_AT_MOST = 5.0
"""Seconds that one answer waits for sources which are asked at delivery, whatever `spec.timeout` is."""

_KEPT = 4096


@dataclass(frozen=True, slots=True)
class Declared:
    """One source's declaration, as the gate needs it. Spans in seconds."""

    access: AccessPolicy
    max_staleness: float
    on_stale_flag: bool
    document_ttl: float | None
    ask_after: float | None
    ask_within: float
    trust: str
    selection: GlobSelection

    def takes(self, uri: str) -> bool:
        """Whether the document `uri` is of the source at all, as declared: one left out is gone before its look comes."""
        return self.selection.takes(uri)

    def slot(self, uri: str) -> Slot:
        """Who may read the document `uri`, as declared: this is the truth, wherever the index has the document."""
        return self.access.slot(uri)

    def terms(self, standing: Standing) -> Terms:
        """What delivery depends on: what is declared, and how the source stands."""
        return Terms(standing.alive, standing.generation, standing.verified_at, self.max_staleness, self.on_stale_flag, self.document_ttl)


class Policies:
    """Compiled declarations by their text, so that what a transaction declares holds for every snapshot after it.

    Compiling takes about a millisecond, and a source is declared rarely; the least recently used of `kept` is let go.
    """

    def __init__(self, kept: int = _KEPT) -> None:
        self._kept = kept
        self._known: OrderedDict[str, Declared] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, spec: str) -> Declared:
        """What the JSON text `spec` of a ContextSource declares."""
        with self._lock:
            known = self._known.get(spec)
            if known is not None:
                self._known.move_to_end(spec)
                return known
        made = _compile(ContextSourceSpec.model_validate_json(spec))
        with self._lock:
            self._known[spec] = made
            while len(self._known) > self._kept:
                self._known.popitem(last=False)
        return made


def _any(_: str) -> bool:
    """What cannot be read never came to be a document, so its type says nothing here."""
    return True


def _compile(spec: ContextSourceSpec) -> Declared:
    return Declared(
        access=AccessPolicy.compile(spec.access),
        max_staleness=spec.freshness.max_staleness_seconds,
        on_stale_flag=spec.freshness.on_stale is OnStale.FLAG,
        document_ttl=spec.freshness.document_ttl_seconds,
        ask_after=spec.freshness.verify_after_seconds,
        ask_within=min(spec.timeout_seconds, ASK_AT_MOST),
        trust=spec.trust.value,
        selection=GlobSelection(spec.include, spec.exclude, supported=_any),
    )
