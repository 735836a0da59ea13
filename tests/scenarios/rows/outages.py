"""P12, P15, P17–P21, P24a, P27, P28, P36, P40: sources that cannot be read, and how long what is known of them counts."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import time
from collections.abc import Callable, Iterator

from tests.scenarios.harness.client import Client
from tests.scenarios.harness.documents import canary, prose
from tests.scenarios.harness.origins import Origin, Tree, git
from tests.scenarios.harness.proxy import OUTAGES, Fault
from tests.scenarios.harness.rows import row
from tests.scenarios.harness.stage import SLACK, Stage, seconds

BOTH = ("Directory", "Git")


@contextlib.contextmanager
def outage(stage: Stage, origin: Origin, fault: Fault = Fault.SERVER_ERROR) -> Iterator[None]:
    """The source cannot be read: its server is ill, or its folder is not there."""
    away = stage.folder_of(origin.key.rpartition("/")[2] + "-away")
    stage.truth.outage(origin.key)
    if isinstance(origin, Tree):
        origin.root.rename(away)
    else:
        stage.proxies[origin.key].suffer(fault)
    try:
        yield
    finally:
        if isinstance(origin, Tree):
            away.rename(origin.root)
        else:
            stage.proxies[origin.key].heal()
        stage.truth.recovered(origin.key)


def failed(stage: Stage, origin: Origin, within: float = 30.0) -> dict[str, str]:
    """The condition FetchFailed, as soon as it is True."""
    return stage.until(lambda: stage.condition(origin, "FetchFailed"), within, lambda: f"FetchFailed: {stage.status(origin)}")


def two_intervals(stage: Stage, origin: Origin) -> float:
    """Within which a source that is well again must be fresh; a call that hangs still ends by its timeout first."""
    spec = stage.specs[origin.key]
    return 2 * 1.05 * seconds(spec["interval"]) + seconds(spec.get("timeout", "0s")) + SLACK


def withheld(stage: Stage, origin: Origin) -> bool:
    """Whether nothing of it is served, and the answer says that it is because it is stale."""
    answer = stage.answer(origin)
    return not answer["results"] and answer["withheld"]["stale"] > 0


def short_outage(stage: Stage, origin: Origin, begin: Callable[[], contextlib.AbstractContextManager[None]]) -> None:
    """What holds during an outage shorter than the bound, and after it (P17)."""
    stage.fill(origin, 4)
    stage.up(origin, interval="1s", timeout="1s")
    stage.serves_truth(origin)
    with begin():
        found = failed(stage, origin)
        assert found["reason"]
        assert found["message"]
        assert stage.condition(origin, "Ready")["status"] == "False"
        assert stage.condition(origin, "Fresh")["status"] == "True"
        stage.never(lambda: len(stage.served(origin)) != 4, 1.0, "something is not served though its lease runs")
        assert [d["source"] for d in stage.answer(origin)["degraded"]] == [origin.key]
        assert stage.tombstones(origin) == []
    stage.until(lambda: stage.condition(origin, "Ready").get("status") == "True", two_intervals(stage, origin), lambda: f"ready again: {stage.status(origin)}")
    assert not stage.answer(origin)["degraded"]
    stage.until(lambda: {"FetchFailed", "Recovered"} <= set(stage.events(origin)), 10, lambda: f"events: {stage.events(origin)}")
    stage.serves_truth(origin)


@row("P17", "an outage shorter than the bound: 500", "Git")
def p17(stage: Stage, kind: str) -> None:
    """Still served, marked; no tombstone; well again by itself."""
    origin = stage.origin(kind)
    short_outage(stage, origin, lambda: outage(stage, origin))


@row("P17", "an outage of each kind, side by side")
def p17_each(stage: Stage) -> None:
    """Every way in which a server can fail is an outage, and concludes nothing."""
    origins = {fault: stage.repo(f"g{number}") for number, fault in enumerate(OUTAGES)}
    for origin in origins.values():
        stage.fill(origin, 2)
        stage.declare(origin, interval="1s", timeout="1s")
    for origin in origins.values():
        stage.ready(origin)
    with contextlib.ExitStack() as stack:
        for fault, origin in origins.items():
            stack.enter_context(outage(stage, origin, fault))
        for origin in origins.values():
            failed(stage, origin)
        for fault, origin in origins.items():
            assert len(stage.served(origin)) == 2, fault
            assert stage.tombstones(origin) == [], fault
    for origin in origins.values():
        stage.ready(origin, 2 * two_intervals(stage, origin))
        stage.serves_truth(origin)


@row("P17", "a folder that is missing, unreadable, or a file", "Directory")
def p17_folder(stage: Stage, kind: str) -> None:
    """Each is an outage, not an empty source."""
    missing, unreadable, replaced = stage.tree("missing"), stage.tree("unreadable"), stage.tree("replaced")

    @contextlib.contextmanager
    def locked() -> Iterator[None]:
        stage.truth.outage(unreadable.key)
        unreadable.root.chmod(0)
        yield
        unreadable.root.chmod(0o755)
        stage.truth.recovered(unreadable.key)

    @contextlib.contextmanager
    def file() -> Iterator[None]:
        with outage(stage, replaced):
            replaced.root.write_text("not a folder")
            yield
            replaced.root.unlink()

    for origin, begin in ((missing, lambda: outage(stage, missing)), (unreadable, locked), (replaced, file)):
        short_outage(stage, origin, begin)


@row("P17", "names that do not resolve, and servers that do not speak TLS")
def p17_names(stage: Stage) -> None:
    """A source that could never be read says why, and costs nobody anything."""
    origin = stage.repo()
    stage.fill(origin, 1)
    for name, url in (("dns", "https://no-such-host.invalid/x.git"), ("tls", stage.proxies[origin.key].url.replace("http", "https") + "/x.git")):
        broken = stage.repo(name)
        broken.url = url
        stage.declare(broken, interval="1s", timeout="2s", probed=False)
        failed(stage, broken)
        assert stage.condition(broken, "Fresh")["status"] == "False"
    stage.up(origin)
    stage.serves_truth(origin)


@row("P18", "an outage longer than the bound, then well again (P21)", *BOTH)
def p18(stage: Stage, kind: str) -> None:
    """Nothing from it, 200 with the withheld count; fresh within two intervals afterwards, without a restart, nothing tombstoned."""
    origin, healthy = stage.origin(kind), stage.tree("healthy")
    stage.fill(origin, 4)
    stage.fill(healthy, 2)
    stage.up(origin, interval="1s", timeout="1s", freshness={"maxStaleness": "4s"})
    stage.up(healthy, interval="1s", freshness={"maxStaleness": "8s"})
    stage.serves_truth(origin)
    with outage(stage, origin):
        began = time.monotonic()
        stage.until(lambda: withheld(stage, origin), 4 + SLACK, "withheld")
        assert time.monotonic() - began > 2, "the lease had not ended yet"
        stage.until(lambda: stage.condition(origin, "Fresh")["status"] == "False", 10, "not fresh")
        stage.never(lambda: stage.served(origin), 1.5, "something of it is served")
        assert len(stage.served(healthy)) == 2
    stage.until(lambda: len(stage.served(origin)) == 4, two_intervals(stage, origin), "served again")
    stage.until(lambda: stage.condition(origin, "Fresh")["status"] == "True", 10, "fresh again")
    assert stage.tombstones(origin) == []


@row("P19", "age of a source that cannot be read", *BOTH)
def p19(stage: Stage, kind: str) -> None:
    """Only a successful read renews it: neither failures, nor declarations, nor requests do."""
    origin = stage.origin(kind)
    stage.fill(origin, 1)
    stage.up(origin, interval="1s", timeout="1s", freshness={"maxStaleness": "5m"})

    def verified() -> str:
        found: str = stage.answer(origin)["results"][0]["provenance"][0]["freshness"]["verified_at"]
        return found

    first = verified()
    stage.until(lambda: verified() > first, 10, "renewed while it can be read")
    with outage(stage, origin):
        failed(stage, origin)
        at = verified()
        stage.declare(origin, annotations={"trueup.dev/requestedAt": "now"}, access={"readers": [{"kind": "Everyone"}], "classification": "Public"})
        stage.never(lambda: verified() != at, 3.0, "the age is reset without reading the source")
    stage.until(lambda: verified() > at, two_intervals(stage, origin), "renewed by reading it")


@row("P20", "onStale: Flag", *BOTH)
def p20(stage: Stage, kind: str) -> None:
    """Delivered, marked on each chunk."""
    origin = stage.origin(kind)
    stage.fill(origin, 3)
    stage.up(origin, interval="1s", timeout="1s", freshness={"maxStaleness": "2s", "onStale": "Flag"})

    def states() -> set[str]:
        return {place["freshness"]["state"] for result in stage.answer(origin)["results"] for place in result["provenance"]}

    with outage(stage, origin):
        stage.until(lambda: states() == {"Stale"}, 2 + 2 * SLACK, "marked")
        assert len(stage.served(origin)) == 3
    stage.until(lambda: states() == {"Fresh"}, two_intervals(stage, origin), "fresh again")


@row("P12", "the tracked branch disappears", "Git")
def p12(stage: Stage, kind: str) -> None:
    """FetchFailed, served while the lease runs, nothing after it; no tombstones; the branch's return is all it needs."""
    origin = stage.origin(kind)
    stage.fill(origin, 12)
    stage.up(origin, interval="1s", freshness={"maxStaleness": "5s"})
    stage.serves_truth(origin)
    git(origin.bare, "branch", "aside", "main")
    stage.truth.outage(origin.key)
    git(origin.bare, "update-ref", "-d", "refs/heads/main")
    failed(stage, origin)
    stage.until(lambda: withheld(stage, origin), 5 + SLACK, "withheld")
    assert stage.tombstones(origin) == []
    git(origin.bare, "branch", "main", "aside")
    stage.truth.recovered(origin.key)
    stage.serves_truth(origin)
    assert stage.tombstones(origin) == []


@row("P15", "the resource is deleted, source reachable or not", *BOTH)
def p15(stage: Stage, kind: str) -> None:
    """Everything is dead when the call returns; declared again, the documents are new."""
    origin = stage.origin(kind)
    stage.fill(origin, 6)
    stage.up(origin, interval="1s", timeout="5s")
    stage.serves_truth(origin)
    stage.withdraw(origin)
    assert not _visible(stage, origin)
    assert {t["reason"] for t in stage.tombstones(origin)} == {"SourceDeleted"}
    with stage.truth.turning(origin.key, origin.now):
        stage.up(origin)
    stage.serves_truth(origin)
    with outage(stage, origin, Fault.HANG):
        time.sleep(1.5)  # a look hangs, or fails
        began = time.monotonic()
        stage.withdraw(origin)
        assert time.monotonic() - began < 1.0 * SLACK, "deleting waited for the source"
        stage.never(lambda: _visible(stage, origin), 1.0, "a deleted source is visible")


def _visible(stage: Stage, origin: Origin) -> bool:
    return stage.reader.retrieve("lighthouse", [origin.key]).status != 404


@row("P24a", "a folder that cannot be read", "Directory")
def p24a_folder(stage: Stage, kind: str) -> None:
    """Outside the gap everything goes on and renews; inside nothing is deleted, nothing renewed, and its lease runs out alone."""
    origin = stage.tree()
    stage.fill(origin, 4, "open")
    inside = stage.fill(origin, 12, "shut/deep")
    stage.up(origin, interval="1s", freshness={"maxStaleness": "6s"})
    stage.serves_truth(origin)
    marks = {stage.mark(origin, uri) for uri in inside}
    stage.truth.excuse(origin.key)
    (origin.root / "shut").chmod(0)
    found = failed(stage, origin)
    assert found["reason"] == "PartialListing"
    assert marks <= stage.served(origin), "what cannot be seen is not deleted"
    gone, new = stage.mark(origin, "open/000.md"), canary()
    origin.delete("open/000.md")
    stage.gone(gone, origin)
    origin.write("open/001.md", prose(new))
    stage.appears(new, origin)
    stage.until(lambda: not stage.served(origin) & marks, 6 + SLACK, "the gap's lease has ended")
    stage.never(lambda: new not in stage.served(origin), 2.0, "the gap costs what is outside it")
    answer = stage.answer(origin)
    assert answer["withheld"]["stale"] > 0
    assert [d["source"] for d in answer["degraded"]] == [origin.key]
    assert stage.status(origin)["documents"]["failed"] == 1
    assert not [t for t in stage.tombstones(origin) if t["uri"] in inside]
    (origin.root / "shut").chmod(0o755)
    stage.serves_truth(origin)
    assert not stage.answer(origin)["degraded"]
    stage.truth.excuse(origin.key, excused=False)


@row("P24a", "half a pack, with and without an honest length", "Git")
def p24a_pack(stage: Stage, kind: str) -> None:
    """Nothing is deleted and nothing half is served; whole again, the new revision is."""
    origin = stage.origin(kind)
    stage.fill(origin, 12)
    stage.up(origin, interval="1s", timeout="3s")
    stage.serves_truth(origin)
    for fault in (Fault.HALF_PACK, Fault.HALF_QUIETLY):
        before = stage.served(origin)
        stage.proxies[origin.key].suffer(fault)
        stage.truth.outage(origin.key)
        with origin.change():
            for number in range(8):
                origin.write(f"more/{fault.value}-{number}.md", prose(canary(), 4))
            origin.delete("docs/000.md") if fault is Fault.HALF_PACK else origin.delete("docs/001.md")
        failed(stage, origin)
        stage.never(lambda b=before: stage.served(origin) != b, 2.0, "something changed")  # type: ignore[misc]
        stage.proxies[origin.key].heal()
        stage.truth.recovered(origin.key)
        stage.serves_truth(origin)


@row("P28", "sources that hang cost the others nothing")
def p28(stage: Stage) -> None:
    """Twelve that hang beside a folder and a repository: both reconcile on time."""
    healthy, tree = stage.repo("healthy"), stage.tree()
    stage.fill(healthy, 12)
    stage.fill(tree, 12)
    stage.up(healthy)
    stage.up(tree)
    hung = [stage.repo(f"h{number}") for number in range(12)]
    for origin in hung:
        stage.fill(origin, 1)
        stage.declare(origin, interval="1s", timeout="10s", probed=False)
    for origin in hung:
        stage.ready(origin)
        stage.proxies[origin.key].suffer(Fault.HANG)
    time.sleep(2.0)
    for number in range(4):
        for origin in (healthy, tree):
            mark, new = stage.mark(origin, f"docs/{number:03}.md"), canary()
            with origin.change():
                origin.delete(f"docs/{number:03}.md")
                origin.write(f"new/{number}.md", prose(new))
            stage.gone(mark, origin)
            stage.appears(new, origin, stage.truth.terms(origin.key).g)


@row("P36", "webhooks: valid, forged, replayed", "Git")
def p36(stage: Stage, kind: str) -> None:
    """A valid one makes the source due, a forged one does nothing, and no answer tells which it was."""
    origin = stage.origin(kind)
    stage.fill(origin, 3)
    stage.up(origin, interval="1h")
    stage.serves_truth(origin)
    stage.truth.declare(origin.key, 3600.0)
    secret = stage.installation.cli("hook", "source", origin.key.split("/")[1], "-n", stage.name).stdout.split()[-1]
    body = b'{"ref": "refs/heads/main"}'
    good = {"X-Hub-Signature-256": "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}
    forged = {"X-Hub-Signature-256": "sha256=" + hmac.new(b"guess", body, hashlib.sha256).hexdigest()}
    caller = Client(stage.installation.url, None)
    path = f"/v1/hooks/{origin.key}"
    mark = stage.mark(origin, "docs/000.md")
    with origin.change():
        origin.delete("docs/000.md")
    requests = stage.proxies[origin.key].requests
    replies = [caller.send("POST", path, headers=headers, raw=body) for headers in (forged, {}, {**good, "X-Gitea-Signature": "0" * 64})]
    replies.append(caller.send("POST", f"/v1/hooks/{stage.name}/nothing", headers=forged, raw=body))
    time.sleep(1.0)
    assert stage.proxies[origin.key].requests == requests, "a forged hook made the source due"
    assert stage.hits(mark, origin)
    replies += [caller.send("POST", path, headers=good, raw=body) for _ in range(3)]
    stage.gone(mark, origin, within=2.0 * SLACK)
    assert {(reply.status, str(reply.body)) for reply in replies} == {(202, str(replies[0].body))}
    stage.serves_truth(origin)
    assert stage.operator.get(f"/v1/sources/{origin.key}")["rejectedHooks"] == 3


@row("P40", "nobody looks any more", *BOTH)
def p40(stage: Stage, kind: str) -> None:
    """Freshness decays at the gate by itself: a suspended source is served while its lease runs, and not after it."""
    origin = stage.origin(kind)
    stage.fill(origin, 3)
    stage.up(origin, interval="1s", freshness={"maxStaleness": "4s"})
    stage.serves_truth(origin)
    stage.truth.outage(origin.key)
    stage.declare(origin, suspend=True)
    assert len(stage.served(origin)) == 3
    stage.until(lambda: withheld(stage, origin), 4 + SLACK, "withheld")
    stage.never(lambda: stage.served(origin), 1.5, "it is renewed by nobody")
    stage.until(lambda: stage.condition(origin, "Suspended"), 10, "the condition Suspended")
    stage.declare(origin, suspend=False)
    stage.truth.recovered(origin.key)
    stage.serves_truth(origin)


@row("P39", "the origin goes back to an older revision", "Git")
def p39(stage: Stage, kind: str) -> None:
    """The source is the truth: the older revision is served though most documents go, and nothing is held."""
    origin = stage.origin(kind)
    stage.fill(origin, 3, "old")
    older = origin.head()
    newer = stage.fill(origin, 20, "new")
    stage.up(origin)
    stage.serves_truth(origin)
    marks = {stage.mark(origin, uri) for uri in newer}
    origin.reset(older)
    origin.push(force=True)
    stage.until(lambda: not stage.served(origin) & marks, stage.truth.terms(origin.key).g, "the newer ones are gone")
    assert {t["reason"] for t in stage.tombstones(origin)} == {"HistoryRewritten"}
    assert "heldDeletion" not in stage.status(origin)
    stage.until(lambda: "HistoryRewritten" in stage.events(origin), 20, "the event HistoryRewritten")
    stage.serves_truth(origin)
