"""`get`: tables of what is there, and `-w`: their rows as they change."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from trueup.surfaces.cli.client import Api
from trueup.surfaces.cli.columns import EVENTS, INDEXES, NAMESPACE, SOURCES, TOMBSTONES, Column, cells, chosen, steady
from trueup.surfaces.cli.connection import connect, path
from trueup.surfaces.cli.failure import Failed, Misused
from trueup.surfaces.cli.names import DEFAULT_NAMESPACE, INDEX, SOURCE, Kind, kind_of, parse_name
from trueup.surfaces.cli.objects import get_object, list_objects
from trueup.surfaces.cli.options import Namespace, Output, complete_sources
from trueup.surfaces.cli.screen import Table, as_json, as_yaml, note

WATCH_SECONDS = 0.5
"""Between two looks of `-w`: a change shows before anyone wonders, and an idle watch costs the server two reads a second."""

Fetch = Callable[[], list[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Listing:
    """What one `get` shows.

    Attributes:
        columns: of its table.
        fetch: reads the rows.
        key: what makes two rows of two reads one and the same.
        single: whether one named object was asked for, which is printed bare.
    """

    columns: Sequence[Column]
    fetch: Fetch
    key: Callable[[dict[str, Any]], tuple[str, ...]]
    single: bool


def get(
    what: Annotated[str, typer.Argument(metavar="sources|indexes|tombstones|events")],
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="One object; of tombstones and events: those of this source.", autocompletion=complete_sources)
    ] = None,
    namespace: Namespace = None,
    all_namespaces: Annotated[bool, typer.Option("--all-namespaces", "-A", help="In every namespace.")] = False,
    output: Annotated[Output | None, typer.Option("--output", "-o", help="Objects as the API has them, or more columns.")] = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on and print rows as they change, until interrupted.")] = False,
) -> None:
    """List resources, or what died and what happened in sources."""
    if all_namespaces and name:
        raise Misused("A name is in one namespace: leave out -A or NAME.")
    with connect() as api:
        listing = _listing(api, what.lower(), name, namespace, all_namespaces)
        if watch:
            _watch(listing, output)
        else:
            _print(listing, output, _where(namespace, all_namespaces))


def _where(namespace: str | None, everywhere: bool) -> str:
    return "any namespace" if everywhere else f"{namespace or DEFAULT_NAMESPACE} namespace"


def _listing(api: Api, what: str, name: str | None, namespace: str | None, everywhere: bool) -> Listing:
    columns: tuple[Column, ...]
    if what in {"tombstone", "tombstones"}:
        return Listing(
            TOMBSTONES, _of_sources(api, "tombstones", name, namespace, everywhere), lambda t: (t["source"], t["uri"], t["at"], t["digest"]), single=False
        )
    if what in {"event", "events"}:
        return Listing(
            EVENTS, _of_sources(api, "events", name, namespace, everywhere), lambda e: (e["source"], e["at"], e["reason"], e["message"]), single=False
        )
    try:
        kind = kind_of(what)
    except Misused:
        raise Misused(f"There is nothing called {what!r} to get: write sources, indexes, tombstones or events.") from None
    columns = {SOURCE: SOURCES, INDEX: INDEXES}[kind]
    return Listing((NAMESPACE, *columns) if everywhere else columns, _of_kind(api, kind, name, namespace, everywhere), _identity, single=name is not None)


def _identity(resource: dict[str, Any]) -> tuple[str, ...]:
    return resource["metadata"]["namespace"], resource["metadata"]["name"]


def _of_kind(api: Api, kind: Kind, name: str | None, namespace: str | None, everywhere: bool) -> Fetch:
    if name is not None:
        full = parse_name(name, namespace)
        return lambda: [get_object(api, kind, full)]
    return lambda: list_objects(api, kind, None if everywhere else namespace or DEFAULT_NAMESPACE)


def _of_sources(api: Api, what: str, name: str | None, namespace: str | None, everywhere: bool) -> Fetch:
    """Reads tombstones or events of one source, or of every source of a namespace, each row with its `source`."""

    def fetch() -> list[dict[str, Any]]:
        rows = []
        for full in names():
            try:
                rows += [{"source": str(full), **row} for row in api.items(path("v1", "sources", full.namespace, full.name, what))]
            except Failed as failure:
                if failure.status != 404 or name is None:  # deleted since it was listed
                    if failure.status == 404:
                        continue
                    raise
                raise Failed(f"There is no source {full} that you may see; `trueup get sources` lists what there is.", 404) from failure
        return sorted(rows, key=lambda r: str(r.get("at")))

    def names() -> list[Any]:
        if name is not None:
            return [parse_name(name, namespace)]
        return [parse_name("/".join(_identity(o)), None) for o in list_objects(api, SOURCE, None if everywhere else namespace or DEFAULT_NAMESPACE)]

    return fetch


def _print(listing: Listing, output: Output | None, where: str) -> None:
    rows = listing.fetch()
    if output in {Output.JSON, Output.YAML}:
        value: Any = rows[0] if listing.single else {"kind": "List", "items": rows}
        print(as_json(value) if output is Output.JSON else as_yaml(value))
        return
    if not rows:
        note(f"Nothing found in {where}.")
        return
    columns = chosen(listing.columns, wide=output is Output.WIDE)
    Table([c.heading for c in columns]).rows([cells(columns, row) for row in rows])


def _watch(listing: Listing, output: Output | None) -> None:
    """Print every row, and then each one that is new or has changed, until the user interrupts."""
    columns = chosen(listing.columns, wide=output is Output.WIDE)
    table = Table([c.heading for c in columns], [c.width for c in columns])
    shown: dict[tuple[str, ...], object] = {}
    try:
        while True:
            rows = listing.fetch()
            whole = output in {Output.JSON, Output.YAML}
            states = {listing.key(row): (str(row) if whole else steady(columns, row)) for row in rows}
            fresh = [row for row in rows if shown.get(listing.key(row)) != states[listing.key(row)]]
            if whole:
                for row in fresh:
                    print(as_json(row) if output is Output.JSON else "---\n" + as_yaml(row), flush=True)
            elif fresh:
                table.rows([cells(columns, row) for row in fresh])
            shown = dict(states)
            time.sleep(WATCH_SECONDS)
    except KeyboardInterrupt:
        return
