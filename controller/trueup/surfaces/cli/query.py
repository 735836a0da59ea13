"""`query`, `explain`, `verify` and `replay`: answers, and what became of them."""

from __future__ import annotations

import enum
import re
import sys
from typing import Annotated, Any

import typer

from trueup.surfaces.cli.connection import connect, path
from trueup.surfaces.cli.failure import Failed, Misused
from trueup.surfaces.cli.names import DEFAULT_NAMESPACE
from trueup.surfaces.cli.options import Document, Namespace, WholeOutput, complete_sources
from trueup.surfaces.cli.screen import Table, as_json, as_yaml, clean, line, note, say

_RECEIPT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_CHUNK = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class Mode(enum.StrEnum):
    """How a retrieval is replayed."""

    AS_RECORDED = "as-recorded"
    RE_VERIFY = "re-verify"
    RE_RUN = "re-run"


Retrieval = Annotated[str, typer.Argument(metavar="ID", help="Of an answer: ret_…")]


def query(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="The question; - reads it from stdin.")],
    top_k: Annotated[int, typer.Option("-k", "--top-k", metavar="N", min=1, max=100, help="At most so many results.")] = 8,
    source: Annotated[
        list[str] | None, typer.Option("--source", metavar="NS/NAME", help="Only from this source; can be repeated.", autocompletion=complete_sources)
    ] = None,
    max_tokens: Annotated[int | None, typer.Option("--max-tokens", metavar="N", min=1, max=100_000, help="At most so much text.")] = None,
    path_filter: Annotated[
        list[str] | None, typer.Option("--path", metavar="PATTERN", help="Only documents like this, such as docs/**; can be repeated.")
    ] = None,
    modified_after: Annotated[
        str | None, typer.Option("--modified-after", metavar="TIME", help="Only documents modified later, such as 2026-11-01T00:00:00Z.")
    ] = None,
    namespace: Namespace = None,
    output: WholeOutput = None,
) -> None:
    """Ask a question and get live text with its provenance."""
    body: dict[str, Any] = {"query": sys.stdin.read().strip() if text == "-" else text, "top_k": top_k}
    filters = {k: v for k, v in (("paths", path_filter), ("modified_after", modified_after)) if v}
    if source:
        body["sources"] = [s if "/" in s else f"{namespace or DEFAULT_NAMESPACE}/{s}" for s in source]
    body |= {k: v for k, v in (("max_tokens", max_tokens), ("filter", filters)) if v}
    with connect() as api:
        answer = api.post("/v1/retrieve", body)
    if not _whole(answer, output):
        show_answer(answer)


def explain(retrieval: Retrieval, output: WholeOutput = None) -> None:
    """Show what an answer held, where each piece came from, and why others were left out."""
    with connect() as api:
        found = _retrieval(api.get, path("v1", "retrievals", retrieval), retrieval)
    if _whole(found, output):
        return
    show_answer(found)
    rest = {k: v for k, v in found.items() if k not in {"id", "at", "results", "withheld", "degraded", "receipt"} and v not in (None, [], {})}
    if rest:
        say(as_yaml(rest))


def verify(
    what: Annotated[str, typer.Argument(metavar="RECEIPT|ID", help="A receipt, the ID of an answer or of a chunk; - reads a receipt from stdin.")],
    output: WholeOutput = None,
) -> None:
    """Say which chunks of an answer you would still get now."""
    given = sys.stdin.read().strip() if what == "-" else what
    with connect() as api:
        if _RECEIPT.fullmatch(given):
            body: dict[str, Any] = {"receipt": given}
        elif _CHUNK.fullmatch(given):
            body = {"chunks": [given.lower()]}
        else:
            body = {"receipt": _retrieval(api.get, path("v1", "retrievals", given), given)["receipt"]}
        found = api.post("/v1/verify", body)
    if _whole(found, output):
        return
    if not found["chunks"]:
        note("The answer held no chunks.")
        return
    Table(["CHUNK", "LIVE"]).rows([[c["chunk"], c["live"]] for c in found["chunks"]])


def replay(
    retrieval: Retrieval,
    mode: Annotated[Mode, typer.Option("--mode", help="As it was, with each chunk asked again, or searched again.")] = Mode.AS_RECORDED,
    output: WholeOutput = None,
) -> None:
    """Give an earlier answer again, and what differs from then."""
    with connect() as api:
        found = _retrieval(lambda where: api.post(where, {"mode": mode.value}), path("v1", "retrievals", retrieval, "replay"), retrieval)
    if _whole(found, output):
        return
    show_answer(found)
    show_diff(found.get("diff") or [])


def _retrieval(fetch: Any, where: str, retrieval: str) -> dict[str, Any]:
    """What is at `where`, or one sentence about an ID that leads nowhere."""
    if not retrieval or len(retrieval) > 200:
        raise Misused("That is no ID of an answer; `trueup query` prints it below the results.")
    try:
        found: dict[str, Any] = fetch(where)
    except Failed as failure:
        if failure.status == 404:
            raise Failed(f"There is no answer {line(retrieval)} that you may see; `trueup query` prints the ID below the results.", 404) from failure
        raise
    return found


def _whole(value: Any, output: Document | None) -> bool:
    """Print `value` whole if that was asked for; whether it was."""
    if output is not None:
        print(as_json(value) if output is Document.JSON else as_yaml(value))
    return output is not None


def show_answer(answer: dict[str, Any], most: int | None = None) -> None:
    """Print the results of an answer with provenance, at most `most` lines of each text, and what was left out of it."""
    results = answer.get("results") or []
    if not results:
        say("Nothing that you may read answers this.")
    for number, result in enumerate(results, 1):
        _show_result(number, result, most)
    withheld = {k: n for k, n in (answer.get("withheld") or {}).items() if n}
    if withheld:
        say("Withheld: " + ", ".join(f"{n} {line(k)}" for k, n in withheld.items()) + ".")
    for each in answer.get("degraded") or []:
        say(f"Degraded: {line(each['source'])} ({line(each['reason'])}); its answers may be older than they should be.")
    say(f"Answer {line(answer.get('id', ''))} at {line(answer.get('at', ''))}")


def _show_result(number: int, result: dict[str, Any], most: int | None) -> None:
    """One hit: a line for each provenance, marks, and the text, indented so that no text can pose as ours."""
    score = result.get("score")
    say(f"[{number}]" + (f" {score:.3f}" if isinstance(score, (int, float)) else ""))
    for each in result.get("provenance") or []:
        fresh = each.get("freshness") or {}
        lines = (each.get("span") or {}).get("lines") or ["?", "?"]
        aged = fresh.get("age_seconds")
        seen = f"{line(fresh.get('state', ''))}" + (f", read {aged:.0f} s ago" if isinstance(aged, (int, float)) else "")
        say(f"    {line(each['source'])}  {line(each['uri'])}  lines {lines[0]}-{lines[1]}  {seen}")
        if each.get("heading"):
            say("    " + " > ".join(line(h) for h in each["heading"]))
    marks = [line(result[k]) for k in ("trust", "classification") if result.get(k)]
    if result.get("conflicts"):
        marks.append(f"contradicted by {len(result['conflicts'])} other")
    if result.get("findings"):
        marks.append("flagged: " + ", ".join(line(f) for f in result["findings"]))
    if marks:
        say("    " + ", ".join(marks))
    text = result.get("text")
    rows = clean(text).splitlines() if text is not None else [f"(digest {line(result.get('digest', 'unknown'))}; the text may not be shown any more)"]
    for each in rows[:most]:
        say("  | " + each)
    if rows[len(rows) if most is None else most :]:
        say(f"  ({len(rows[most:])} more lines)")
    say()


def show_diff(diff: list[dict[str, Any]]) -> None:
    """Print how a replay differs from the answer as it was."""
    if not diff:
        say("Nothing differs from the answer as it was.")
        return
    Table(["CHUNK", "WAS", "IS", "WHY"]).rows([[d["chunk"], d.get("was"), d.get("is"), d.get("why")] for d in diff])
