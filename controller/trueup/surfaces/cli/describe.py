"""`describe`: one source, for people: its condition, what it holds back, what died and what happened."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from trueup.surfaces.cli.client import Api
from trueup.surfaces.cli.columns import EVENTS, TOMBSTONES, Column, cells, chosen
from trueup.surfaces.cli.connection import connect, found, path
from trueup.surfaces.cli.names import SOURCE, Name, parse_name, source_word
from trueup.surfaces.cli.objects import get_object
from trueup.surfaces.cli.options import KindWord, Namespace, SourceName
from trueup.surfaces.cli.screen import Table, line, say

NEWEST = 10
"""Tombstones and events shown; `get tombstones NAME` and `get events NAME` have them all."""

DOCUMENTS = ("live", "held", "quarantined", "failed", "unsupported", "skipped")

_CONDITIONS = (
    Column("TYPE", lambda c: c["type"]),
    Column("STATUS", lambda c: c["status"]),
    Column("SINCE", lambda c: c.get("lastTransitionTime") or ""),
    Column("REASON", lambda c: c.get("reason") or ""),
    Column("MESSAGE", lambda c: c.get("message") or ""),
)

_EXAMPLES = (Column("URI", lambda e: e["uri"]), Column("REASON", lambda e: e["reason"]), Column("MESSAGE", lambda e: e.get("message") or ""))


def describe(kind: KindWord, name: SourceName, namespace: Namespace = None) -> None:
    """Show everything that is known of a source's condition."""
    source_word(kind)
    full = parse_name(name, namespace)
    with connect() as api:
        source = get_object(api, SOURCE, full)
        seen = found(lambda: api.get(path("v1", "sources", full.namespace, full.name))) or {}
        tombstones, events = (_newest(api, full, what) for what in ("tombstones", "events"))
    status = source.get("status") or {}
    for label, value in _facts(source, status, seen):
        say(f"{label + ':':<20}{line(value)}")
    _table("Conditions", _CONDITIONS, status.get("conditions") or [])
    held = status.get("heldDeletion")
    if held:
        say("\nHeld deletion")
        say(f"  {held['documents']} documents are hidden since {line(held['since'])}: {line(held['reason'])}")
        say(f"  To erase them: trueup confirm source {full} {line(held['observation'])}")
    _table("Documents that something is wrong with", _EXAMPLES, status.get("examples") or [])
    _table("Tombstones, newest first", chosen(TOMBSTONES, wide=False), tombstones)
    _table("Events, newest first", chosen(EVENTS, wide=False), events)


def _facts(source: dict[str, Any], status: dict[str, Any], seen: dict[str, Any]) -> Iterator[tuple[str, object]]:
    """The lines above the tables: what is declared, and the counters."""
    metadata, spec = source["metadata"], source["spec"]
    origin = spec["source"]
    member = next((v for k, v in origin.items() if k != "type" and isinstance(v, dict)), {})
    yield "Name", f"{metadata['namespace']}/{metadata['name']}"
    yield "Source", f"{origin['type']} {member.get('path') or member.get('url') or member.get('name') or ''}"
    if member.get("url") and member.get("path"):
        yield "Path", member["path"]
    yield "Interval", spec.get("interval", "")
    yield "Index", (spec.get("indexRef") or {}).get("name") or "default"
    freshness = spec.get("freshness") or {}
    yield "Freshness", f"at most {freshness.get('maxStaleness', '')}, then {freshness.get('onStale', '')}"
    access = spec.get("access") or {}
    readers = [" ".join(str(r[k]) for k in ("kind", "namespace", "name") if r.get(k)) for r in access.get("readers") or []]
    yield "Readers", ", ".join(readers) or "nobody"
    yield "Classification", access.get("classification", "")
    yield "Generation", f"{metadata.get('generation')}, observed {status.get('observedGeneration', -1)}"
    documents = status.get("documents") or {}
    yield "Documents", ", ".join(f"{documents[k]} {k}" for k in DOCUMENTS if k in documents) or "none yet"
    for label, key in (("Chunks", "chunks"), ("Tombstones", "tombstones"), ("Revision", "revision"), ("Last update", "lastUpdateTime")):
        if status.get(key) is not None:
            yield label, status[key]
    yield "Failures in a row", status.get("failures") or 0
    if status.get("nextAttemptTime"):
        yield "Next attempt", status["nextAttemptTime"]
    if seen.get("rejectedHooks") is not None:
        yield "Rejected hooks", seen["rejectedHooks"]


def _newest(api: Api, name: Name, what: str) -> list[dict[str, Any]]:
    """The newest rows of a source's list; none where the list has nothing for this caller."""
    rows = found(lambda: list(itertools.islice(api.items(path("v1", "sources", name.namespace, name.name, what)), 1000))) or []
    return sorted(rows, key=lambda r: str(r["at"]), reverse=True)[:NEWEST]


def _table(title: str, columns: Sequence[Column], rows: list[dict[str, Any]]) -> None:
    """A titled table, if there is anything to show. The source is known, so its column is left out."""
    if rows:
        shown = [c for c in columns if c.heading != "SOURCE"]
        say(f"\n{title}")
        Table([c.heading for c in shown]).rows([cells(shown, row) for row in rows])
