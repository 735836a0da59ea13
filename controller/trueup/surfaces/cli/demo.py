"""`python -m trueup.surfaces.cli.demo`: Trueup in two minutes, with real documents. It checks what it shows.

It keeps everything in `.trueup-demo/`, which each run resets, and exits 1 if it ever sees a phantom.
"""

from __future__ import annotations

import secrets
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trueup.surfaces.cli.client import Api
from trueup.surfaces.cli.columns import SOURCES, cells, chosen, steady
from trueup.surfaces.cli.connection import connect
from trueup.surfaces.cli.failure import Failed
from trueup.surfaces.cli.names import DEFAULT_NAMESPACE, SOURCE
from trueup.surfaces.cli.objects import is_true, list_objects
from trueup.surfaces.cli.query import show_answer
from trueup.surfaces.cli.screen import Table, note, say
from trueup.surfaces.cli.stage import Phantom, chapter, fresh_folder, git, must, serving, trueup, until, write_topics

FOLDER = Path(".trueup-demo")
LOAD_SECONDS = 180.0
"""The documents take ten seconds to embed on two quiet cores and one without a model: slower is slow, and no phantom."""
GONE_SECONDS = 30.0
"""Far above the bound of a watched source (a second): a busy machine is no phantom."""

SHOWN_LINES = 4
"""Of each text: enough to see what it is about."""

MANIFEST = """\
apiVersion: trueup.dev/v1alpha1
kind: ContextSource
metadata: {{name: {name}}}
spec:
  source: {source}
  interval: 5s
  freshness: {{maxStaleness: 5m, onStale: Withhold}}
  access: {{readers: [{{kind: Everyone}}], classification: Public}}
"""

DELETED, EDITED = "try.rst", "operator-summary.rst"
RENAMED, NEW_NAME = "context-managers.rst", "resources.rst"
PUBLISHED = ("with.rst", "raise.rst", "lambda.rst")
QUESTIONS = {
    "When is the finally clause executed?": DELETED,
    "What is the order of operator precedence?": EDITED,
    "What is a context manager for?": RENAMED,
}


@dataclass(frozen=True, slots=True)
class Facts:
    """What the summary tells: documents loaded, and seconds from each mutation to its text being gone at the gate."""

    documents: int
    loading: float
    deleted: float
    edited: float
    renamed: float
    retractions: int
    pushed: float | None


def ask(api: Api, question: str) -> dict[str, Any]:
    """Ask, show the answer as the command does, and return it."""
    say(f'$ trueup query "{question}" -k 3')
    answer: dict[str, Any] = api.post("/v1/retrieve", {"query": question, "top_k": 3})
    show_answer(answer, SHOWN_LINES)
    return answer


def uris(answer: dict[str, Any]) -> set[str]:
    """The documents that an answer is from."""
    return {place["uri"] for result in answer["results"] for place in result["provenance"]}


def taken_from(answer: dict[str, Any], uri: str) -> dict[str, str]:
    """The chunks of an answer that are from `uri`: their text by their id."""
    return {r["chunk"]: r["text"] for r in answer["results"] if any(place["uri"] == uri for place in r["provenance"])}


def no_phantom(answer: dict[str, Any], dead: dict[str, str]) -> None:
    """Check that an answer holds nothing that is dead, neither by id nor by text.

    Raises:
        Phantom: it does.
    """
    for result in answer["results"]:
        must(result["chunk"] not in dead, f"A dead chunk was served: {result['chunk']}.")
        must(result.get("text") not in dead.values(), "The text of a dead chunk was served again.")


def all_dead(api: Api, chunks: dict[str, str]) -> bool:
    """Whether the gate would give none of `chunks` any more."""
    return not any(c["live"] for c in api.post("/v1/verify", {"chunks": sorted(chunks)})["chunks"])


def become_ready(api: Api, name: str) -> float:
    """Print the table of sources as it changes until `name` is Ready and Fresh; the seconds that took."""
    say("$ trueup get sources -w")
    columns = chosen(SOURCES, wide=False)
    table, shown, start = Table([c.heading for c in columns], [c.width for c in columns]), set(), time.monotonic()
    while True:
        sources = list_objects(api, SOURCE, DEFAULT_NAMESPACE)
        news = [s for s in sources if steady(columns, s) not in shown]
        if news:
            table.rows([cells(columns, s) for s in news])
            shown |= {steady(columns, s) for s in news}
        if any(s["metadata"]["name"] == name and is_true(s, "Ready") and is_true(s, "Fresh") for s in sources):
            return time.monotonic() - start
        must(time.monotonic() - start < LOAD_SECONDS, f"{name} did not become ready.")
        time.sleep(0.2)


def declare(folder: Path, name: str, source: str) -> None:
    """Write a manifest beside the documents and apply it."""
    (folder / f"{name}.yaml").write_text(MANIFEST.format(name=name, source=source))
    trueup("apply", "-f", str(folder / f"{name}.yaml"))


def story(folder: Path) -> Facts:
    """Everything, in order."""
    chapter("A server, and a source of real documents: the language reference that ships with Python")
    documents = write_topics(folder / "docs")
    with serving(folder), connect() as api:
        declare(folder, "python-docs", "{type: Directory, directory: {path: ./docs}}")
        loading = become_ready(api, "python-docs")
        chapter("Three questions")
        answers = [ask(api, question) for question in QUESTIONS]
        for answer, expected in zip(answers, QUESTIONS.values(), strict=True):
            must(expected in uris(answer), f"{expected} should have been among the answers.")
        deleted = after_deletion(api, folder, answers[0])
        edited = after_edit(api, folder, answers[1])
        renamed = after_rename(api, folder)
        retractions = afterwards(api, answers[0], taken_from(answers[0], DELETED))
        pushed = force_push(api, folder) if shutil.which("git") else None
        chapter("The audit log is whole")
        trueup("audit", "verify")
    return Facts(documents, loading, deleted, edited, renamed, retractions, pushed)


def after_deletion(api: Api, folder: Path, answer: dict[str, Any]) -> float:
    """Delete a document that was just quoted; the seconds until the gate stopped giving it."""
    chapter(f"{DELETED} is deleted")
    dead = taken_from(answer, DELETED)
    say(f"$ rm docs/{DELETED}")
    (folder / "docs" / DELETED).unlink()
    seconds = until(lambda: all_dead(api, dead), GONE_SECONDS, f"{DELETED} was still served {GONE_SECONDS:g} s after it was deleted.")
    say(f"Gone at the gate after {seconds * 1000:.0f} ms.\n")
    again = ask(api, next(iter(QUESTIONS)))
    no_phantom(again, dead)
    must(DELETED not in uris(again), f"{DELETED} was served after it was deleted.")
    return seconds


def after_edit(api: Api, folder: Path, answer: dict[str, Any]) -> float:
    """Replace a document's text; the seconds until the gate gave the new one and the old one no more."""
    chapter(f"{EDITED} is edited")
    dead = taken_from(answer, EDITED)
    canary = f"amaranth {secrets.token_hex(4)}"
    say(f"$ echo 'Operator precedence ... {canary} ...' > docs/{EDITED}")
    text = f"Operator precedence\n*******************\n\nThe order of operator precedence moved to the style guide, chapter {canary}.\n"
    (folder / "docs" / EDITED).write_text(text, encoding="utf-8")
    question = list(QUESTIONS)[1]

    def replaced() -> bool:
        found = api.post("/v1/retrieve", {"query": question, "top_k": 5})
        return all_dead(api, dead) and any(canary in (r["text"] or "") for r in found["results"])

    seconds = until(replaced, GONE_SECONDS, f"The new text of {EDITED} was not served within {GONE_SECONDS:g} s.")
    say(f"Only the new text after {seconds * 1000:.0f} ms.\n")
    no_phantom(ask(api, question), dead)
    return seconds


def after_rename(api: Api, folder: Path) -> float:
    """Rename a document; the seconds until it was served under the new name, and under that one only."""
    chapter(f"{RENAMED} is renamed")
    say(f"$ mv docs/{RENAMED} docs/{NEW_NAME}")
    (folder / "docs" / RENAMED).rename(folder / "docs" / NEW_NAME)
    question = list(QUESTIONS)[2]

    def moved() -> bool:
        found = uris(api.post("/v1/retrieve", {"query": question, "top_k": 3}))
        return NEW_NAME in found and RENAMED not in found

    seconds = until(moved, GONE_SECONDS, f"{NEW_NAME} was not served alone within {GONE_SECONDS:g} s.")
    say(f"Under its new name only after {seconds * 1000:.0f} ms.\n")
    must(RENAMED not in uris(ask(api, question)), f"{RENAMED} was served after it was renamed.")
    return seconds


def afterwards(api: Api, answer: dict[str, Any], dead: dict[str, str]) -> int:
    """Why it is gone, what the earlier answer is worth now, and who was told; the number of retractions."""
    chapter("Why: the tombstones, and the observation that proves each")
    trueup("get", "tombstones", "python-docs")
    found = {t["uri"]: t["reason"] for t in api.items("/v1/sources/default/python-docs/tombstones")}
    must(found == {DELETED: "Deleted", EDITED: "Superseded", RENAMED: "Moved"}, "The tombstones should tell of these three, and of nothing else.")
    chapter("The first answer, replayed: what died is shown no more")
    trueup("replay", answer["id"], "--mode", "as-recorded")
    replayed = api.post(f"/v1/retrievals/{answer['id']}/replay", {"mode": "as-recorded"})
    no_text = [r for r in replayed["results"] if r["chunk"] in dead]
    must(no_text and not any(r.get("text") for r in no_text), "The replay showed the text of a dead chunk.")
    must(set(dead) <= {d["chunk"] for d in replayed["diff"]}, "The replay should say that the chunks died.")
    chapter("Whoever received it is told: the retractions of this caller")
    retractions = [r for r in api.get("/v1/retractions")["retractions"] if r["retrieval"] == answer["id"]]
    Table(["AT", "ANSWER", "CHUNK", "REASON"]).rows([[r["at"], r["retrieval"], r["chunk"], r["reason"]] for r in retractions])
    must(set(dead) <= {r["chunk"] for r in retractions}, "Every dead chunk that was delivered should be retracted.")
    return len(retractions)


def force_push(api: Api, folder: Path) -> float:
    """A Git origin from which a commit is pushed away; the seconds until its text was gone."""
    chapter("A Git origin, and a commit that is pushed away")
    origin, work = (folder / "origin.git").absolute(), folder / "work"
    git(folder, "init", "-q", "--bare", "-b", "main", str(origin))
    git(folder, "init", "-q", "-b", "main", str(work.absolute()))
    for name in PUBLISHED:
        shutil.copy(folder / "docs" / name, work / name)
    git(work, "add", ".")
    git(work, "commit", "-q", "-m", "Three topics")
    canary = f"saffron {secrets.token_hex(4)}"
    (work / "draft.rst").write_text(f"Draft\n*****\n\nThe project {canary} is announced in spring.\n", encoding="utf-8")
    git(work, "add", ".")
    git(work, "commit", "-q", "-m", "A draft that should not be public")
    git(work, "push", "-q", str(origin), "main")
    declare(folder, "house-docs", f"{{type: Git, git: {{url: {origin}, ref: {{branch: main}}}}}}")
    become_ready(api, "house-docs")
    question = f"When is the project {canary} announced?"
    answer = ask(api, question)
    dead = taken_from(answer, "draft.rst")
    must(dead, "The draft should have been found.")
    git(work, "reset", "-q", "--hard", "HEAD~1")
    git(work, "push", "-q", "--force", str(origin), "main")
    start = time.monotonic()
    trueup("reconcile", "source", "house-docs", "--wait")
    until(lambda: all_dead(api, dead), GONE_SECONDS, "The draft was still served after it was pushed away.")
    seconds = time.monotonic() - start
    say(f"Gone {seconds * 1000:.0f} ms after the push.\n")
    no_phantom(ask(api, question), dead)
    trueup("get", "tombstones", "house-docs")
    trueup("get", "events", "house-docs")
    reasons = {e["reason"] for e in api.items("/v1/sources/default/house-docs/events")}
    must("HistoryRewritten" in reasons, "The event HistoryRewritten should tell of the push.")
    return seconds


def summary(facts: Facts, seconds: float) -> None:
    """What was shown, in numbers."""
    chapter("In short")
    say(f"{facts.documents} documents were servable {facts.loading:.1f} s after they were declared.")
    say(
        f"A deleted one was gone at the gate after {facts.deleted * 1000:.0f} ms, an edited one replaced after {facts.edited * 1000:.0f} ms, a renamed one moved after {facts.renamed * 1000:.0f} ms."
    )
    if facts.pushed is not None:
        say(f"A commit that was pushed away was gone after {facts.pushed * 1000:.0f} ms.")
    else:
        say("There is no git on this machine, so the part about a Git origin was left out.")
    say(f"{facts.retractions} delivered chunks were retracted. No phantom was seen. The whole took {seconds:.0f} s.")


def main() -> int:
    """Play the demo; 0 if everything was as promised."""
    start, folder = time.monotonic(), FOLDER.absolute()
    try:
        fresh_folder(folder)
        summary(story(folder), time.monotonic() - start)
    except (Phantom, Failed) as seen:
        note(f"The demo failed: {seen} The server's log is {FOLDER}/server.log.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
