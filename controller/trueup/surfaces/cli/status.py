"""`status` and `hook`: the installation at a glance, and where a source takes its hints."""

from __future__ import annotations

from collections import Counter
from typing import Any

from trueup.surfaces.cli.client import Api
from trueup.surfaces.cli.connection import connect, path
from trueup.surfaces.cli.environment import environment
from trueup.surfaces.cli.failure import Failed
from trueup.surfaces.cli.names import INDEX, SOURCE, parse_name, source_word
from trueup.surfaces.cli.objects import condition, is_true, list_objects
from trueup.surfaces.cli.options import Document, KindWord, Namespace, SourceName, WholeOutput
from trueup.surfaces.cli.screen import as_json, as_yaml, line, say


def status(output: WholeOutput = None) -> None:
    """Show how this installation is."""
    where = environment()
    with connect() as api:
        ready = readiness(api)
        summary = {"server": where.url, "ready": ready is None, **({"message": ready} if ready else {}), **summarize(list_objects(api, SOURCE, None))}
        summary["indexes"] = len(list_objects(api, INDEX, None))
    if output is not None:
        print(as_json(summary) if output is Document.JSON else as_yaml(summary))
        return
    say(f"Server      {where.url}, {'ready' if ready is None else line(ready)}")
    say(f"Home        {where.home}")
    say(
        f"Sources     {summary['sources']}: {summary['sourcesReady']} ready, {summary['sourcesFresh']} fresh, {summary['sourcesSuspended']} suspended, {summary['sourcesHeld']} with a held deletion"
    )
    say(f"Documents   {summary['documents']} live, {summary['documentsFailed']} failed, {summary['documentsQuarantined']} quarantined")
    say(f"Chunks      {summary['chunks']}")
    say(f"Tombstones  {summary['tombstones']} not yet purged")
    for name, message in summary["unwell"].items():
        say(f"  {line(name)}: {line(message)}")


def readiness(api: Api) -> str | None:
    """Why the server is not ready, or None where it is.

    Raises:
        Failed: no server answers.
    """
    try:
        api.call("GET", "/readyz")
    except Failed as failure:
        if failure.status is None:
            raise
        return str(failure)
    return None


def summarize(sources: list[dict[str, Any]]) -> dict[str, Any]:
    """Counts over sources, and what the ones say that are not ready."""
    counts: Counter[str] = Counter()
    unwell = {}
    for each in sources:
        found = each.get("status") or {}
        documents = found.get("documents") or {}
        counts["sourcesReady"] += is_true(each, "Ready")
        counts["sourcesFresh"] += is_true(each, "Fresh")
        counts["sourcesSuspended"] += bool(each["spec"].get("suspend"))
        counts["sourcesHeld"] += bool(found.get("heldDeletion"))
        counts["documents"] += documents.get("live") or 0
        counts["documentsFailed"] += documents.get("failed") or 0
        counts["documentsQuarantined"] += documents.get("quarantined") or 0
        counts["chunks"] += found.get("chunks") or 0
        counts["tombstones"] += found.get("tombstones") or 0
        if not is_true(each, "Ready"):
            name = f"{each['metadata']['namespace']}/{each['metadata']['name']}"
            unwell[name] = (condition(each, "Ready") or {}).get("message") or "it has not been visited yet"
    keys = ("sourcesReady", "sourcesFresh", "sourcesSuspended", "sourcesHeld", "documents", "documentsFailed", "documentsQuarantined", "chunks", "tombstones")
    return {"sources": len(sources), **{k: counts[k] for k in keys}, "unwell": unwell}


def hook(kind: KindWord, name: SourceName, namespace: Namespace = None, output: WholeOutput = None) -> None:
    """Print the URL where a source takes hints, and below it the secret that signs them."""
    from trueup.gate.keys import Keys

    source_word(kind)
    full, where = parse_name(name, namespace), environment()
    if not (where.home / "keys").is_dir():
        raise Failed(f"{where.home} holds no keys, and the secret is made from them: set TRUEUP_HOME to the home of the server.")
    made = {"url": where.url + path("v1", "hooks", full.namespace, full.name), "secret": Keys.load(where.home / "keys").hook_secret(full.namespace, full.name)}
    if output is not None:
        print(as_json(made) if output is Document.JSON else as_yaml(made))
        return
    say(made["url"])
    say(made["secret"])
