"""What people may look through: sources, their documents, and what died. Everything that is not theirs is not there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from trueup.catalog import listings, serving
from trueup.catalog.listings import Buried, Listed
from trueup.catalog.serving import Standing
from trueup.catalog.store import Read
from trueup.decide import freshness
from trueup.decide.access import admits, parse_readers
from trueup.decide.delivery import Case, Why, judge, lease_of, marked_stale
from trueup.errors import NotFound
from trueup.gate import answering
from trueup.gate.deps import Gate
from trueup.gate.reach import Reach, reach
from trueup.gate.verify import Vouched
from trueup.model.principal import Caller
from trueup.model.times import rfc3339

NEWEST = (1 << 62) - 1

Page = dict[str, Any]
"""{"items": [...], "next": cursor or null}."""


def sources(gate: Gate, caller: Caller, after: str, limit: int) -> Page:
    """The sources that exist for `caller`, by name, with how fresh they are now."""
    with gate.store.read() as read:
        mine = reach(gate.atlas.at(read, read.sequence()), caller)
        names = sorted((mine.map.sources[source].key, source) for source in mine.visible)
        chosen = [(key, source) for key, source in names if key > after][: limit + 1]
        return _page([item for _, item in _shown_sources(gate, read, chosen)], limit, lambda item: f"{item['namespace']}/{item['name']}")


def one_source(gate: Gate, caller: Caller, namespace: str, name: str) -> dict[str, Any]:
    """One source.

    Raises:
        NotFound: it does not exist for this caller.
    """
    with gate.store.read() as read:
        chart = gate.atlas.at(read, read.sequence())
        key = f"{namespace}/{name}"
        # Who operates sees operations of every source; content goes by readers alone.
        source = _visible(reach(chart, caller), key) if not caller.operator else chart.names.get(key)
        if source is None:
            raise NotFound
        return _shown_sources(gate, read, [(key, source)])[0][1]


def _shown_sources(gate: Gate, read: Read, chosen: list[tuple[str, int]]) -> list[tuple[str, dict[str, Any]]]:
    standings, ailing, now = serving.standings(read, {source for _, source in chosen}), serving.ailing(read), gate.clock.now()
    shown = []
    for key, source in chosen:
        standing = standings[source]
        lease = freshness.lease(now, standing.verified_at, gate.policies.of(standing.spec).max_staleness)
        state = {
            "state": "Stale" if lease.stale else "Fresh",
            "verified_at": None if lease.verified_at is None else rfc3339(lease.verified_at),
            "age_seconds": None if lease.age is None else round(lease.age, 3),
            "expires_at": None if lease.expires_at is None else rfc3339(lease.expires_at),
        }
        shown.append((key, {"namespace": standing.namespace, "name": standing.name, "freshness": state, "degraded": ailing.get(source)}))
    return shown


def _visible(mine: Reach, key: str) -> int | None:
    source = mine.map.names.get(key)
    return source if source in mine.visible else None


def documents(gate: Gate, caller: Caller, namespace: str, name: str, after: str, limit: int) -> Page:
    """The documents of a source that `caller` may read now, by uri.

    Raises:
        NotFound: the source does not exist for this caller.
    """
    with gate.store.read() as read:
        mine = reach(gate.atlas.at(read, read.sequence()), caller)
        source = _visible(mine, f"{namespace}/{name}")
        if source is None:
            raise NotFound
        standing = serving.standings(read, [source])[source]
        slots = mine.slots_of({source})
        items: list[dict[str, Any]] = []
        while len(items) <= limit:
            rows = listings.documents(read, source, slots, after, limit + 1)
            items.extend(shown for listed in rows if (shown := _document(gate, caller, standing, listed)) is not None)
            if len(rows) <= limit:
                break
            after = rows[-1].facts.uri
    # The cursor is a uri that was shown, never one that was only passed over.
    return _page(items, limit, lambda item: str(item["uri"]))


def _document(gate: Gate, caller: Caller, standing: Standing, listed: Listed) -> dict[str, Any] | None:
    """A document as it is listed; None if it would not be delivered."""
    facts, now = listed.facts, gate.clock.now()
    declared = gate.policies.of(standing.spec)
    slot = declared.slot(facts.uri)
    terms = replace(declared.terms(standing), generation=facts.generation)  # a document has no chunk here to be of another
    theirs = admits(slot.readers, caller, standing.key) and declared.takes(facts.uri)
    case = Case(facts, terms, theirs, wanted=True, now=now, lease=lease_of(facts, terms, now))
    why = judge(case)
    if why not in {Why.DELIVERED, Why.STALE}:
        return None
    found = Vouched(why, facts, standing, declared, slot, case.lease, marked_stale(case))
    return {
        "uri": facts.uri,
        "revision": facts.source_revision,
        "version": facts.version,
        "digest": facts.content,
        "size": listed.size,
        "modified": None if facts.modified is None else rfc3339(facts.modified),
        "observed_at": rfc3339(facts.observed_at),
        "classification": slot.classification.value,
        "freshness": answering.freshness(found),
    }


def tombstones(gate: Gate, caller: Caller, namespace: str, name: str, before: int, limit: int) -> Page:
    """What died of a source, newest first, for those who could read it then; operators see all.

    Raises:
        NotFound: the source does not exist for this caller, and nothing of it that died ever did.
    """
    key = f"{namespace}/{name}"
    with gate.store.read() as read:
        mine = reach(gate.atlas.at(read, read.sequence()), caller)
        source = _visible(mine, key)
        known: dict[str, bool] = {}
        items: list[tuple[int, dict[str, Any]]] = []
        incarnations = listings.incarnations(read, namespace, name)
        spec = None if source is None else serving.standings(read, [source])[source].spec
        for buried in listings.tombstones(read, incarnations, before) if incarnations else ():
            if buried.readers not in known:
                known[buried.readers] = caller.operator or admits(parse_readers(buried.readers), caller, key)
            if known[buried.readers]:
                items.append((buried.id, _tombstone(gate, caller, buried, spec, key)))
            if len(items) > limit:
                break
        if not items and source is None and not (caller.operator and incarnations):
            raise NotFound
    following = str(items[limit - 1][0]) if len(items) > limit else None
    return {"items": [item for _, item in items[:limit]], "next": following}


def _tombstone(gate: Gate, caller: Caller, buried: Buried, spec: str | None, key: str) -> dict[str, Any]:
    """A tombstone; `successor` only for who may read it."""
    successor = buried.successor
    if successor is not None and not caller.operator:
        readable = spec is not None and admits(gate.policies.of(spec).slot(successor).readers, caller, key)
        successor = successor if readable else None
    return {
        "uri": buried.uri,
        "revision": buried.source_revision,
        "version": buried.version,
        "digest": buried.digest,
        "reason": buried.reason,
        "at": rfc3339(buried.at),
        "observation": buried.observation,
        "successor": successor,
    }


def events(gate: Gate, namespace: str, name: str, before: int, limit: int) -> Page:
    """The events of a source, newest first. For operators alone: the caller checks that.

    Raises:
        NotFound: no source ever had this name.
    """
    with gate.store.read() as read:
        incarnations = listings.incarnations(read, namespace, name)
        if not incarnations:
            raise NotFound
        rows = listings.events(read, incarnations, before, limit + 1)
    items = [{"type": row.type, "reason": row.reason, "message": row.message, "at": rfc3339(row.at)} for row in rows[:limit]]
    return {"items": items, "next": str(rows[limit - 1].id) if len(rows) > limit else None}


def _page(items: list[dict[str, Any]], limit: int, cursor: Any) -> Page:
    return {"items": items[:limit], "next": cursor(items[limit - 1]) if len(items) > limit else None}
