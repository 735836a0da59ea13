"""`apply` and `delete`: what is declared."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from trueup.surfaces.cli.client import Api
from trueup.surfaces.cli.connection import connect, found
from trueup.surfaces.cli.failure import Failed, Misused
from trueup.surfaces.cli.manifests import Manifest, read_manifests, validate
from trueup.surfaces.cli.names import Kind, Name, kind_of, parse_name
from trueup.surfaces.cli.objects import CONFIRM, REQUESTED, get_object, object_path
from trueup.surfaces.cli.options import Namespace, complete_sources
from trueup.surfaces.cli.screen import note, say

Files = Annotated[list[str], typer.Option("--filename", "-f", metavar="FILE|DIR|-", help="A manifest, a folder of manifests, or - for stdin; can be repeated.")]


def apply(filename: Files, namespace: Namespace = None) -> None:
    """Create or change resources from YAML. Relative paths are taken from the file's folder."""
    manifests = read_manifests(filename, namespace)
    for manifest in manifests:
        validate(manifest)
    failures = 0
    with connect() as api:
        for manifest in manifests:
            try:
                say(f"{manifest.kind.singular}/{manifest.name.name} {_applied(api, manifest)}")
            except Failed as failure:
                if failure.status is None or len(manifests) == 1:
                    raise
                failures += 1
                note(f"{manifest.origin}: {failure}")
    if failures:
        raise Failed(f"{failures} of {len(manifests)} resources were refused; correct them and apply again.")


def _applied(api: Api, manifest: Manifest) -> str:
    """Send one manifest; what became of it in one word."""
    where = object_path(manifest.kind, manifest.name)
    before = found(lambda: get_object(api, manifest.kind, manifest.name))
    body = manifest.body if before is None else _with_requests(manifest.body, before)
    after = api.call("PUT", where, body=body).body
    if before is None:
        return "created"
    return "unchanged" if _declared(before) == _declared(after) else "configured"


def _with_requests(body: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    """`body` keeping the annotations that `reconcile` and `confirm` put there: they are nobody's manifest's to remove."""
    kept = {k: v for k, v in (before["metadata"].get("annotations") or {}).items() if k in {REQUESTED, CONFIRM}}
    annotations = {**kept, **(body["metadata"].get("annotations") or {})}
    return {**body, "metadata": {**body["metadata"], "annotations": annotations}} if annotations else body


def _declared(resource: dict[str, Any]) -> tuple[Any, ...]:
    """What of a resource its manifest decides."""
    metadata = resource["metadata"]
    return metadata["generation"], metadata.get("labels") or {}, metadata.get("annotations") or {}


def delete(
    kind: Annotated[str | None, typer.Argument(metavar="KIND", help="source or index.")] = None,
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME", autocompletion=complete_sources)] = None,
    filename: Annotated[list[str] | None, typer.Option("--filename", "-f", metavar="FILE", help="Delete what these manifests declare.")] = None,
    namespace: Namespace = None,
    ignore_not_found: Annotated[bool, typer.Option("--ignore-not-found", help="Succeed where there is nothing to delete.")] = False,
) -> None:
    """Delete resources. When it returns, everything of a source is dead at the gate."""
    if bool(filename) == bool(kind):
        raise Misused("Say what to delete: either -f FILE, or KIND NAME.")
    targets: list[tuple[Kind, Name]]
    if filename:
        targets = [(m.kind, m.name) for m in read_manifests(filename, namespace)]
    else:
        targets = [(kind_of(kind or ""), parse_name(n, namespace)) for n in names or []]
        if not targets:
            raise Misused(f"Name the {kind_of(kind or '').singular} to delete.")
    with connect() as api:
        for each, name in targets:
            try:
                api.call("DELETE", object_path(each, name))
            except Failed as failure:
                if failure.status != 404:
                    raise
                if not ignore_not_found:
                    raise Failed(f"There is no {each.singular} {name}; `trueup get {each.plural}` lists what there is.", 404) from failure
            else:
                say(f"{each.singular}/{name.name} deleted")
