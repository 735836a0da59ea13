"""P25, P26, P29, P33, P35, P37, P40: what answers are made of, and what a listing may conclude."""

from __future__ import annotations

import datetime as dt
import threading
import time

from tests.scenarios.harness.client import Reply
from tests.scenarios.harness.documents import COMMON, canaries, canary, prose
from tests.scenarios.harness.origins import Origin, Repo, Tree
from tests.scenarios.harness.rows import row
from tests.scenarios.harness.stage import SLACK, Stage

BOTH = ("Directory", "Git")


@row("P25", "one document in two sources, deleted in one, then in both")
def p25(stage: Stage) -> None:
    """One hit with two provenances, then one with one, then none."""
    a, b = stage.tree("a"), stage.repo("b")
    mark = canary()
    text = prose(mark)
    for origin, uri in ((a, "here/same.md"), (b, "there/copy.md")):
        stage.fill(origin, 2)
        with origin.change():
            origin.write(uri, text)
        stage.up(origin)

    def places() -> list[list[str]]:
        return [sorted(f"{p['source']}/{p['uri']}" for p in hit["provenance"]) for hit in stage.hits(mark, a, b)]

    first, second = f"{a.key}/here/same.md", f"{b.key}/there/copy.md"
    stage.until(lambda: places() == [sorted([first, second])], 20, lambda: f"one hit with two provenances: {places()}")
    a.delete("here/same.md")
    stage.until(lambda: places() == [[second]], stage.truth.terms(a.key).g, lambda: f"one provenance: {places()}")
    with b.change():
        b.delete("there/copy.md")
    stage.until(lambda: places() == [], stage.truth.terms(b.key).g, lambda: f"none: {places()}")


@row("P26", "two sources contradict each other on the same key")
def p26(stage: Stage) -> None:
    """Both are marked, each with the other; agreeing again they are not, and a third key is none of their business."""
    a, b = stage.tree("a"), stage.tree("b")
    key = {"conflictKey": {"frontMatter": "id"}}
    for origin in (a, b):
        origin.write("price.md", prose(canary(), front={"id": "price-7"}))
        origin.write("other.md", prose(canary(), front={"id": f"only-{origin.key.rpartition('/')[2]}"}))
        stage.up(origin, **key)

    def conflicts() -> dict[str, set[str]]:
        answer = stage.answer(a, b)
        uris = {hit["chunk"]: hit["provenance"][0] for hit in answer["results"]}
        return {f"{uris[hit['chunk']]['source']}/{uris[hit['chunk']]['uri']}": {uris[c]["source"] for c in hit["conflicts"]} for hit in answer["results"]}

    wanted = {f"{a.key}/price.md": {b.key}, f"{b.key}/price.md": {a.key}, f"{a.key}/other.md": set(), f"{b.key}/other.md": set()}
    stage.until(lambda: conflicts() == wanted, 20, lambda: f"both marked: {conflicts()}")
    b.write("price.md", a.now["price.md"].decode())
    stage.until(lambda: not any(conflicts().values()) and len(conflicts()) == 3, 20, lambda: f"agreeing: {conflicts()}")


@row("P29", "a document shrinks from ten chunks to two", *BOTH)
def p29_shrinks(stage: Stage, kind: str) -> None:
    """No chunk of the longer one is left, and no answer mixes the two."""
    origin = stage.origin(kind)
    stage.fill(origin, 3)
    with origin.change():
        origin.write("long.md", prose(canary(), 10))
    stage.up(origin)
    stage.until(lambda: len(stage.hits(stage.mark(origin, "long.md"), origin)) >= 9, 20, "about ten chunks")
    old, new = stage.mark(origin, "long.md"), canary()
    with origin.change():
        origin.write("long.md", prose(new, 2))
    stage.gone(old, origin)
    stage.until(lambda: len(stage.hits(new, origin)) == 2, 20, "two chunks")
    stage.serves_truth(origin)


@row("P29", "the cutting and the embedding change under load")
def p29_generations(stage: Stage) -> None:
    """No answer mixes two generations, and there is no moment in which a document is not there."""
    origin = stage.tree()
    index = {"apiVersion": "trueup.dev/v1alpha1", "kind": "ContextIndex", "metadata": {"namespace": stage.name, "name": "own"}}

    def embed(dimensions: int) -> None:
        spec = {"embedding": {"provider": "Hash", "dimensions": dimensions}, "mode": "Hybrid"}
        stage.operator.ok("PUT", f"/v1/resources/contextindexes/{stage.name}/own", {**index, "spec": spec})

    embed(32)
    stage.fill(origin, 12, paragraphs=2)
    stage.up(origin, indexRef={"name": "own"}, chunking={"maxTokens": 64})
    everything = stage.served(origin)
    assert len(everything) == 12
    missing: list[tuple[str, int]] = []
    stopped = threading.Event()

    def watch() -> None:
        while not stopped.wait(0.05):
            missing.extend((mark, int(time.time())) for mark in sorted(everything)[::3] if not stage.hits(mark, origin))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        chunks = stage.status(origin)["chunks"]
        stage.declare(origin, chunking={"maxTokens": 256})
        stage.until(lambda: stage.status(origin)["chunks"] < chunks, 60, "cut anew")
        stage.ready(origin)
        for dimensions in (48, 16):
            embed(dimensions)
            stage.until(lambda d=dimensions: _serving(stage) == d, 60, "the new generation serves")  # type: ignore[misc]
    finally:
        stopped.set()
        watcher.join()
    assert not missing, f"a document was not there for a moment: {missing[:5]}"
    stage.serves_truth(origin)


def _serving(stage: Stage) -> int:
    status = stage.operator.get(f"/v1/resources/contextindexes/{stage.name}/own")["status"]
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in status["conditions"])
    return int(status["dimensions"]) if ready and "building" not in status else 0


@row("P33", "deletions during queries and pages")
def p33(stage: Stage) -> None:
    """An answer to a question that was put after a tombstone could be seen never holds what it buries."""
    origin = stage.tree()
    uris = stage.fill(origin, 24)
    stage.up(origin)
    stage.serves_truth(origin)
    replies: list[Reply] = []
    stopped = threading.Event()

    def ask() -> None:
        while not stopped.is_set():
            replies.append(stage.reader.retrieve(COMMON, [origin.key], top_k=100))

    askers = [threading.Thread(target=ask) for _ in range(3)]
    for asker in askers:
        asker.start()
    dead: dict[str, float] = {}
    try:
        for uri in uris[:8]:
            page = stage.reader.get(f"/v1/sources/{origin.key}/documents?limit=1")
            mark = stage.mark(origin, uri)
            origin.delete(uri)
            stage.tombstone(origin, uri)
            dead[mark] = time.time()
            rest = stage.reader.items(f"/v1/sources/{origin.key}/documents?limit=5&after={page['next']}")
            assert uri not in {item["uri"] for item in rest}, "a page that was asked for after the tombstone holds it"
    finally:
        stopped.set()
        for asker in askers:
            asker.join()
    for reply in replies:
        stage.truth.judge(reply)
        seen = {mark for result in reply.body["results"] for mark in canaries(result["text"])}
        late = [mark for mark in seen if mark in dead and reply.sent > dead[mark]]
        assert not late, f"served {reply.sent - dead[late[0]]:.3f} s after its tombstone was seen"
    assert len(replies) > 10


def vanish(stage: Stage, origin: Origin) -> None:
    """All documents but those below `kept/` leave, as one change."""
    if isinstance(origin, Tree):
        away = stage.folder_of("vanished")
        with stage.truth.turning(origin.key, {uri: data for uri, data in origin.now.items() if uri.startswith("kept/")}):
            (origin.root / "docs").rename(away)
    else:
        assert isinstance(origin, Repo)
        with origin.change():
            origin.delete_folder("docs")


def come_back(stage: Stage, origin: Origin, before: dict[str, bytes]) -> None:
    """The very same documents are there again."""
    if isinstance(origin, Tree):
        with stage.truth.turning(origin.key, before):
            stage.folder_of("vanished").rename(origin.root / "docs")
    else:
        assert isinstance(origin, Repo)
        with origin.change():
            for uri, data in before.items():
                origin.write(uri, data.decode())


def _held(stage: Stage, kind: str, survivors: int) -> None:
    origin = stage.origin(kind)
    stage.fill(origin, 14)
    if survivors:
        stage.fill(origin, survivors, "kept")
    stage.up(origin)
    stage.serves_truth(origin)
    before, chunks = dict(origin.now), {hit["chunk"] for hit in stage.answer(origin)["results"]}

    def hold() -> str:
        vanish(stage, origin)
        marks = {mark for uri, data in before.items() if uri.startswith("docs/") for mark in canaries(data.decode())}
        stage.until(lambda: not stage.served(origin) & marks, stage.truth.terms(origin.key).g, "hidden at once")
        held = stage.until(lambda: stage.status(origin).get("heldDeletion"), 20, "heldDeletion")
        assert held["documents"] == 14
        assert stage.answer(origin)["withheld"]["held"] == 14
        assert not [t for t in stage.tombstones(origin) if t["uri"].startswith("docs/")], "erased before it was confirmed"
        return str(held["observation"])

    hold()
    come_back(stage, origin, before)
    stage.serves_truth(origin)
    assert {hit["chunk"] for hit in stage.answer(origin)["results"]} == chunks, "restored, not loaded anew"
    stage.until(lambda: "heldDeletion" not in stage.status(origin), 20, "no hold is left")
    observation = hold()
    namespace, name = origin.key.split("/")
    wrong = stage.installation.cli("confirm", "source", name, "obs-0000000000000000", "-n", namespace, code=None)
    assert stage.status(origin).get("heldDeletion"), f"another id released it: {wrong.stdout}{wrong.stderr}"
    stage.installation.cli("confirm", "source", name, observation, "-n", namespace)
    stage.until(lambda: len([t for t in stage.tombstones(origin) if t["uri"].startswith("docs/")]) == 14, 20, "tombstones")
    stage.until(lambda: "heldDeletion" not in stage.status(origin), 20, "no hold is left")
    assert stage.answer(origin)["withheld"]["held"] == 0
    stage.serves_truth(origin)


@row("P35", "everything vanishes", *BOTH)
def p35(stage: Stage, kind: str) -> None:
    """Hidden at once, erased by nobody but a confirmation with the very id, restored by their return."""
    _held(stage, kind, 0)


@row("P35", "everything vanishes but an unrelated survivor", *BOTH)
def p35_survivor(stage: Stage, kind: str) -> None:
    """One document that stays makes the listing no less suspicious."""
    _held(stage, kind, 1)


@row("P35", "confirmAfter", "Directory")
def p35_after(stage: Stage, kind: str) -> None:
    """Confirmed by time alone, when the resource says so, and not before."""
    origin = stage.origin(kind)
    stage.fill(origin, 14)
    stage.up(origin, interval="1s", deletion={"guard": {"confirmAfter": "4s"}})
    stage.serves_truth(origin)
    vanish(stage, origin)
    stage.until(lambda: stage.status(origin).get("heldDeletion"), 20, "held")
    began = time.monotonic()
    stage.until(lambda: len(stage.tombstones(origin)) == 14, 10 + 2 * SLACK, "confirmed")
    assert time.monotonic() - began > 2.0


@row("P37", "a document's own time-to-live passes", *BOTH)
def p37(stage: Stage, kind: str) -> None:
    """Gone although the file is there, and it stays gone; whichever of the two ends is earlier counts."""
    origin = stage.origin(kind)
    ends = time.time() + 6.0
    short, long, past = canary(), canary(), canary()

    def until(moment: float) -> dict[str, str]:
        return {"expires": dt.datetime.fromtimestamp(moment, dt.UTC).isoformat()}

    with origin.change():
        origin.write("short.md", prose(short, front=until(ends)))
        origin.write("long.md", prose(long, front=until(ends + 3600)))
        origin.write("past.md", prose(past, front=until(ends - 3600)))
    stage.up(origin)
    if time.time() < ends - 1:
        assert stage.hits(short, origin)
    assert not stage.hits(past, origin)
    time.sleep(max(0.0, ends - time.time()))
    stage.truth.retract(origin.key, ["short.md", "past.md"])
    assert not stage.hits(short, origin), "served after its end"
    assert stage.tombstone(origin, "short.md")["reason"] == "Expired"
    stage.reconcile(origin)
    stage.never(lambda: stage.hits(short, origin), 1.0, "it comes back with the next look")
    stage.serves_truth(origin)
    first_seen = min(dt.datetime.fromisoformat(hit["provenance"][0]["observed_at"]).timestamp() for hit in stage.answer(origin)["results"])
    stage.truth.excuse(origin.key)
    stage.declare(origin, freshness={"documentTTL": "20s"})
    if time.time() < first_seen + 19:
        stage.hits(long, origin)
    time.sleep(max(0.0, first_seen + 20.2 - time.time()))
    assert not stage.served(origin), "documentTTL"
