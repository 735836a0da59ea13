"""A21, A24, A25, A28-A30, A38, A40: what is tried on Trueup by content, callers and the owner of its disk."""

from __future__ import annotations

import json
import random
import sqlite3
import threading
import time
from collections import Counter
from typing import Any

from tests.scenarios.harness.client import Client, Reply
from tests.scenarios.harness.documents import COMMON, canaries, canary, prose
from tests.scenarios.harness.origins import git
from tests.scenarios.harness.rows import row
from tests.scenarios.harness.stage import SLACK, Stage
from tests.scenarios.rows.identity import only


@row("A21", "the audit log: complete, and tampering is found", own=True)
def a21(stage: Stage) -> None:
    """Every answer, denial, declaration, look and tombstone once; an edited, removed or cut-off row is found."""
    origin = stage.tree()
    uris = stage.fill(origin, 5)
    stage.up(origin)
    asked = [stage.reader.retrieve(f"{COMMON} {number}", [origin.key]).body["id"] for number in range(5)]
    assert stage.reader.send("DELETE", f"/v1/resources/contextsources/{origin.key}").status in {403, 404}
    for uri in uris[:3]:
        origin.delete(uri)
        stage.tombstone(origin, uri)

    def exported() -> list[dict[str, Any]]:
        text: str = stage.operator.get("/v1/audit")
        return [json.loads(line) for line in text.splitlines()]

    rows = exported()
    kinds = Counter(line["kind"] for line in rows)
    assert kinds["Tombstone"] == 3, kinds
    assert kinds["Denial"] >= 1
    assert kinds["Apply"] >= 1
    assert kinds["Look"] >= 1
    recorded = Counter(line["object"] for line in rows if line["kind"] == "Request")
    text = json.dumps(rows)
    for id_ in asked:
        assert sum(count for name, count in recorded.items() if id_ in name) == 1, f"{id_} in {list(recorded)[:3]}"
    assert COMMON not in text, "query text is kept apart"
    assert (stage.reader.token or "?") not in text
    stage.truth.outage(origin.key)
    stage.installation.stop()
    verify = ("audit", "verify")
    stage.installation.cli(*verify)
    catalog = stage.installation.home / "catalog.db"
    for tampering in (
        "UPDATE audit SET principal = 'somebody-else' WHERE rowid = (SELECT min(rowid) FROM audit WHERE kind = 'Request')",
        "DELETE FROM audit WHERE rowid = (SELECT min(rowid) FROM audit WHERE kind = 'Denial')",
        "DELETE FROM audit WHERE rowid = (SELECT max(rowid) FROM audit)",
    ):
        whole = catalog.read_bytes()
        with sqlite3.connect(catalog) as database:
            assert database.execute(tampering).rowcount == 1
        database.close()
        found = stage.installation.cli(*verify, code=1)
        assert found.stderr.strip(), tampering
        for part in ("-wal", "-shm"):
            catalog.with_name(catalog.name + part).unlink(missing_ok=True)
        catalog.write_bytes(whole)
    stage.installation.cli(*verify)
    stage.installation.start()
    stage.truth.recovered(origin.key)


@row("A24", "traversal, schemes, metadata addresses, options in source URLs")
def a24(stage: Stage) -> None:
    """Refused at admission or at the look, with a condition; nothing of it is ever served."""
    secret, outside = canary(), stage.installation.folder / f"outside-{stage.name}"
    outside.mkdir()
    (outside / "secret.md").write_text(prose(secret))
    (stage.folder / "link").symlink_to(outside)
    git(outside, "init", "-q", "-b", "main")
    git(outside, "add", "-A")
    git(outside, "commit", "-q", "-m", "x")
    home = str(stage.installation.home)
    folders = [
        str(outside),
        f"{stage.folder}/../../../outside-{stage.name}",
        "/etc",
        "/proc/self",
        str(stage.folder / "link"),
        home,
        f"{home}/keys",
        "relative/path",
    ]
    urls = [
        f"file://{outside}", str(outside), "ext::sh -c touch% /tmp/x", "git://127.0.0.1/x", "http://169.254.169.254/latest", "https://[fe80::1]/x", "https://[fd00:ec2::254]/x",
        "http://2852039166/x", "http://0xa9fea9fe/x", "https://user:secret@127.0.0.1/x", "-oProxyCommand=touch /tmp/x", "ssh://-oProxyCommand=x/y", "--upload-pack=touch /tmp/x",
        "ftp://127.0.0.1/x", "http://metadata.google.internal/x", "https://example.invalid/a?--upload-pack=x#y",
    ]  # fmt: skip
    sources = [{"type": "Directory", "directory": {"path": path}} for path in folders] + [{"type": "Git", "git": {"url": url}} for url in urls]
    accepted = []
    for number, source in enumerate(sources):
        name = f"s{number}"
        body = {
            "apiVersion": "trueup.dev/v1alpha1",
            "kind": "ContextSource",
            "metadata": {"namespace": stage.name, "name": name},
            "spec": {"source": source, "interval": "1s", "timeout": "2s", "access": {"readers": [{"kind": "Everyone"}]}},
        }
        reply = stage.operator.send("PUT", f"/v1/resources/contextsources/{stage.name}/{name}", body)
        assert reply.status in {200, 422}, f"{source}: {reply.status} {reply.body}"
        if reply.status == 200:
            accepted.append((name, source))
    path = f"/v1/resources/contextsources/{stage.name}/"

    def refused(name: str) -> bool:
        conditions = stage.operator.get(path + name)["status"].get("conditions", [])
        return any(c["type"] == "Ready" and c["status"] == "False" for c in conditions)

    for name, source in accepted:
        stage.until(lambda n=name: refused(n), 30, f"{source} is refused")  # type: ignore[misc]
    assert not stage.hits(secret)
    for name, _ in accepted:
        stage.operator.ok("DELETE", path + name)


@row("A25", "filters, patterns, sources and numbers at random")
def a25(stage: Stage) -> None:
    """Whatever is asked for, what comes is what the readers admit: a refusal, or a part of it."""
    dice = random.Random(25)
    public, private = stage.tree("public"), stage.tree("private")
    stage.fill(public, 6, "a/docs")
    stage.fill(private, 6, "a/docs")
    stage.up(public)
    stage.declare(private, access=only("boss"), probed=False)
    stage.ready(private)
    hidden = {stage.mark(private, uri) for uri in private.now}
    pieces = [
        "**",
        "*",
        "a",
        "docs",
        "/",
        "..",
        "!",
        "[a-z]",
        "{a,b}",
        "\\",
        "\u202e",
        "\u00e4",
        "a\u0308",
        "%2f",
        "\x00",
        "' OR 1=1 --",
        "$ne",
        "acl",
        "0" * 300,
        "?",
        "000.md",
    ]
    odd: list[Any] = [None, True, -1, 0, 101, 10**30, 1.5, "8", [], {}, [["a"]], {"must": []}, "a.b.c", "trueup-1"]
    answered = 0
    for _ in range(300):
        wish: dict[str, Any] = {"query": dice.choice([COMMON, *sorted(hidden)]), "top_k": 50}
        if dice.random() < 0.8:
            wish["filter"] = {"paths": ["".join(dice.choices(pieces, k=dice.randint(1, 5))) for _ in range(dice.randint(1, 3))]}
        if dice.random() < 0.3:
            name = dice.choice(("filter", "top_k", "max_tokens", "sources", "acl", "tenant", "must_not", "collection", "offset", "session", "filter.paths"))
            wish[name] = dice.choice(odd)
        reply = stage.reader.send("POST", "/v1/retrieve", wish)
        assert reply.status in {200, 404, 422}, f"{wish}: {reply.status} {reply.body}"
        if reply.status == 200:
            answered += 1
            seen = {mark for result in reply.body["results"] for mark in canaries(result["text"])}
            assert not seen & hidden, wish
            assert private.key not in {place["source"] for result in reply.body["results"] for place in result["provenance"]}
    assert answered > 50


@row("A28", "forged provenance: front matter, authors, dates, names", "Directory", "Git")
def a28(stage: Stage, kind: str) -> None:
    """Trust, classification and source are what the declaration says; what content claims of itself changes nothing."""
    origin = stage.origin(kind)
    mark = canary()
    claims = {
        "trust": "Trusted",
        "classification": "Public",
        "source": "default/official",
        "uri": "README.md",
        "verified": "true",
        "readers": "Everyone",
        "digest": "sha256:0",
    }
    with origin.change():
        origin.write("forged/Trusted.md", prose(mark, front=claims))
    stage.up(origin, access={"readers": [{"kind": "Everyone"}], "classification": "Restricted"})
    stage.appears(mark, origin)
    for hit in stage.hits(mark, origin):
        assert (hit["trust"], hit["classification"]) == ("Untrusted", "Restricted")
        assert [(p["source"], p["uri"]) for p in hit["provenance"]] == [(origin.key, "forged/Trusted.md")]
        assert hit["provenance"][0]["digest"] != "sha256:0"


@row("A29", "a misconfigured source")
def a29(stage: Stage) -> None:
    """A condition that says what is wrong, not silence; put right, it recovers by itself."""
    origin = stage.tree()
    stage.fill(origin, 2)
    right = origin.root
    origin.root = stage.folder / "no-such-folder"
    stage.declare(origin, interval="1s", probed=False)
    found = stage.until(lambda: stage.condition(origin, "FetchFailed"), 20, "FetchFailed")
    assert found["message"]
    assert stage.condition(origin, "Ready")["status"] == "False"
    origin.root = right
    stage.declare(origin, indexRef={"name": "none"})
    stage.until(lambda: stage.condition(origin, "Stalled"), 20, lambda: f"Stalled: {stage.status(origin)}")
    assert "none" in stage.condition(origin, "Ready")["message"]
    del stage.specs[origin.key]["indexRef"]
    stage.up(origin)
    stage.serves_truth(origin)
    for wrong in ({"interval": "soon"}, {"unknown": 1}, {"interval": "0s"}, {"freshness": {"maxStaleness": "-1s"}}):
        body = stage.resource(origin)
        body["spec"] |= wrong
        reply = stage.operator.send("PUT", f"/v1/resources/contextsources/{origin.key}", {k: v for k, v in body.items() if k != "status"})
        assert reply.status == 422, wrong
        assert next(iter(wrong)) in reply.body["detail"], reply.body


@row("A30", "large bodies, long queries, huge budgets, floods")
def a30(stage: Stage) -> None:
    """413, 422, 429 with Retry-After; other callers are answered meanwhile."""
    send = stage.reader.send
    assert send("POST", "/v1/retrieve", raw=b'{"query": "' + b"a" * (2 << 20) + b'"}').status == 413
    for wrong in (
        {"query": "a" * 8193},
        {"query": "a", "top_k": 101},
        {"query": "a", "top_k": -1},
        {"query": "a", "max_tokens": 100_001},
        {"query": "a", "sources": ["a/b"] * 101},
    ):
        assert send("POST", "/v1/retrieve", wrong).status == 422, str(wrong)[:60]
    assert send("POST", "/v1/retrieve", raw=b'{"query": "a", "top_k": NaN}').status == 422
    assert send("POST", "/v1/retrieve", raw=b'{"query": ' + b"[" * 200 + b"]" * 200 + b"}").status in {413, 422}
    origin = stage.tree()
    stage.fill(origin, 40)
    stage.up(origin)
    replies: list[Reply] = []
    flooder = stage.caller("flooder")
    stopped = threading.Event()

    def flood() -> None:
        while not stopped.is_set():
            replies.append(flooder.retrieve(COMMON, top_k=100))

    threads = [threading.Thread(target=flood) for _ in range(24)]
    for thread in threads:
        thread.start()
    waits = []
    try:
        for _ in range(6):
            began = time.monotonic()
            assert stage.reader.retrieve(COMMON, [origin.key], top_k=5).status == 200
            waits.append(time.monotonic() - began)
    finally:
        stopped.set()
        for thread in threads:
            thread.join()
    statuses = Counter(reply.status for reply in replies)
    assert set(statuses) <= {200, 429}, statuses
    assert statuses[429] > 0, statuses
    assert all(reply.headers.get("retry-after") for reply in replies if reply.status == 429)
    assert sorted(waits)[len(waits) // 2] < 2.0 * SLACK, waits


@row("A38", "the catalog does not take writes", own=True, long=True)
def a38(stage: Stage) -> None:
    """What cannot be recorded is not delivered: denied, and well again afterwards."""
    origin = stage.tree()
    stage.fill(origin, 3)
    stage.up(origin)
    stage.serves_truth(origin)
    stage.truth.outage(origin.key)
    blocker = sqlite3.connect(stage.installation.home / "catalog.db", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    # The catalog waits ten seconds for a lock, and what was asked before is before us.
    reply = Client(stage.installation.url, stage.reader.token, timeout=180).retrieve(COMMON, [origin.key])
    blocker.execute("ROLLBACK")
    blocker.close()
    assert reply.status == 503, f"{reply.status} after {reply.received - reply.sent:.1f} s"
    assert "results" not in reply.body
    stage.truth.recovered(origin.key)
    stage.until(lambda: stage.reader.retrieve(COMMON, [origin.key]).status == 200, 30, "well again")
    stage.serves_truth(origin)


SECRETS = (
    "AKIA" + "Z7QX4MNB2WPLC5TD",
    "ghp_" + "k3JxQ9mZ7wRtY2bVn8LcP5dHs4fGa6TuXeW1",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEAxk3JxQ9mZ7wRtY2bVn8LcP5dHs4fGa6TuXeW1oqk3JxQ9mZ7wRtY2bVn8LcP5dHs4fGa6Tu\n-----END RSA PRIVATE KEY-----",
)


@row("A40", "secrets in documents", "Directory", "Git")
def a40(stage: Stage, kind: str) -> None:
    """Quarantined: not in answers, status, events, lists, log or index; the rest of the document is served."""
    origin = stage.origin(kind)
    clean = canary()
    with origin.change():
        for number, secret in enumerate(SECRETS):
            origin.write(f"notes/{number}.md", prose(clean, 6) + f"\n## Access\n\nThe {COMMON} login is {secret} and nobody may know.\n")
    stage.up(origin)
    stage.until(lambda: stage.status(origin)["documents"]["quarantined"] == len(SECRETS), 20, lambda: f"quarantined: {stage.status(origin)}")
    assert stage.condition(origin, "Quarantined")
    answer = stage.answer(origin)
    assert {mark for result in answer["results"] for mark in canaries(result["text"])} == {clean}
    assert len(answer["results"]) >= 6
    told = json.dumps(
        [answer, stage.resource(origin), stage.operator.items(f"/v1/sources/{origin.key}/events"), stage.operator.items(f"/v1/sources/{origin.key}/documents")]
    )
    told += stage.installation.log.read_text(errors="replace") + stage.operator.get("/v1/audit")
    for secret in SECRETS:
        part = secret if len(secret) < 60 else secret.split("\n")[1]
        for query in (part, f"login {part}"):
            assert part not in json.dumps(stage.answer(origin, query=query)["results"])
        assert part not in told
    for file in (stage.installation.home / "index").rglob("*"):
        if file.is_file():
            data = file.read_bytes()
            assert not any(secret.split("\n")[-2 if "\n" in secret else 0].encode() in data for secret in SECRETS), file
    assert stage.installation.cli("describe", "source", origin.key.split("/")[1], "-n", stage.name).stdout.count("AKIAZ7QX4") == 0
