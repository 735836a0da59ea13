"""A01–A08, A21, A24, A28–A31, A38–A40: who may ask, what they get, and what is left of those who try."""

from __future__ import annotations

import json
import secrets
import sqlite3
import threading
import time
from collections import Counter
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.scenarios.harness.client import Client, Reply
from tests.scenarios.harness.documents import COMMON, canaries, canary, prose
from tests.scenarios.harness.origins import git
from tests.scenarios.harness.rows import row
from tests.scenarios.harness.stage import SLACK, Stage

OPEN = {"/livez", "/readyz", "/openapi.json", "/.well-known/trueup"}
ROUTED_OPEN = {"/v1/hooks/{namespace}/{name}"}
"""Signed by another secret: no bearer."""


def only(user: str) -> dict[str, Any]:
    """Access of one user alone."""
    return {"readers": [{"kind": "User", "name": user}], "classification": "Confidential"}


@row("A01", "no credential")
def a01(stage: Stage) -> None:
    """401 everywhere but liveness, whatever else is wrong with the call."""
    anonymous, broken = Client(stage.installation.url, None), Client(stage.installation.url, "not.a.token")
    paths = anonymous.get("/openapi.json")["paths"]
    assert len(paths) > 10
    for path, methods in paths.items():
        if path in OPEN or path in ROUTED_OPEN:
            continue
        concrete = path.replace("{", "").replace("}", "")
        for method in methods:
            for caller in (anonymous, broken):
                reply = caller.send(method.upper(), concrete, raw=b"{nonsense" if method in {"post", "put"} else None)
                assert reply.status == 401, f"{method} {path}: {reply.status}"
    for path in ("/livez", "/readyz", "/.well-known/trueup"):
        assert anonymous.send("GET", path).status == 200
    assert anonymous.send("GET", "/v1/no-such-thing").status == 401
    for other in (f"/v1/sources?access_token={stage.reader.token}", f"/v1/sources?token={stage.reader.token}"):
        assert anonymous.send("GET", other).status == 401
    assert anonymous.send("GET", "/v1/sources", headers={"Cookie": f"token={stage.reader.token}"}).status == 401


@row("A02", "role, group or user named in body, header or query (A03)")
def a02(stage: Stage) -> None:
    """Ignored or refused: identity comes from the token alone."""
    origin = stage.tree()
    stage.fill(origin, 2)
    stage.up(origin, access=only("boss"))
    mark = stage.mark(origin, "docs/000.md")
    boss = stage.caller("boss")
    stage.appears(mark, origin, client=boss)
    stage.truth.excuse(origin.key)
    wish = {"query": mark, "top_k": 5}
    claims = ({"user": "boss"}, {"sub": "boss"}, {"groups": ["boss"]}, {"role": "operator"}, {"as": "boss"}, {"filter": {"user": "boss"}})
    for claim in claims:
        reply = stage.reader.send("POST", "/v1/retrieve", {**wish, **claim})
        assert reply.status == 422, f"{claim}: {reply.status}"
    for header in ("X-User", "X-Remote-User", "X-Forwarded-User", "Impersonate-User", "X-Trueup-User", "X-Groups", "Impersonate-Group"):
        reply = stage.reader.send("POST", "/v1/retrieve", wish, headers={header: "boss"})
        assert reply.status == 200, header
        assert not reply.body["results"], header
    reply = stage.reader.send("POST", "/v1/retrieve?user=boss&role=operator", wish)
    assert reply.status in {200, 422}
    assert mark not in json.dumps(reply.body)
    assert stage.reader.send("GET", "/v1/audit").status in {403, 404}
    agent = stage.caller("operator", roles=("operator",), agent="bot")
    assert agent.send("PUT", f"/v1/resources/contextsources/{origin.key}", stage.resource(origin)).status in {403, 404}, "an agent has no role of its user's"


@row("A04", "reading outside the scope; documents without readers (A05)")
def a04(stage: Stage) -> None:
    """Nothing, and no side channel: forbidden and absent are one answer, byte for byte."""
    private, nobody = stage.tree("private"), stage.tree("nobody")
    for origin, access in ((private, only("boss")), (nobody, {"readers": []})):
        stage.fill(origin, 3)
        stage.declare(origin, access=access)
        stage.ready(origin)
        stage.truth.excuse(origin.key)
    boss = stage.caller("boss")
    mark = stage.mark(private, "docs/000.md")
    stage.appears(mark, private, client=boss)
    answer = boss.retrieve(mark, [private.key]).body
    chunk = answer["results"][0]["chunk"]
    assert not stage.operator.retrieve(mark, [private.key]).body.get("results"), "an operator sees operations, not content"
    assert not boss.retrieve(COMMON, [nobody.key]).body.get("results")

    def plain(reply: Reply) -> str:
        body = json.dumps(reply.body, sort_keys=True)
        for name in ("private", "nobody", "absent", answer["id"], "ret_" + "0" * len(answer["id"][4:]), chunk, "00000000-0000-4000-8000-000000000000"):
            body = body.replace(name, "X")
        return f"{reply.status} {body}"

    absent_chunk = "00000000-0000-4000-8000-000000000000"
    absent_retrieval = "ret_" + "0" * len(answer["id"][4:])
    pairs: list[tuple[Reply, Reply]] = []
    for name in ("private", "nobody"):
        pairs += [
            (stage.reader.retrieve(mark, [stage.key(name)]), stage.reader.retrieve(mark, [stage.key("absent")])),
            *(
                (stage.reader.send("GET", f"/v1/sources/{stage.key(name)}{part}"), stage.reader.send("GET", f"/v1/sources/{stage.key('absent')}{part}"))
                for part in ("", "/documents", "/tombstones")
            ),
        ]
    pairs.append((stage.reader.send("GET", f"/v1/retrievals/{answer['id']}"), stage.reader.send("GET", f"/v1/retrievals/{absent_retrieval}")))
    replay = {"mode": "as-recorded"}
    pairs.append(
        (
            stage.reader.send("POST", f"/v1/retrievals/{answer['id']}/replay", replay),
            stage.reader.send("POST", f"/v1/retrievals/{absent_retrieval}/replay", replay),
        )
    )
    pairs.append((stage.reader.send("POST", "/v1/verify", {"chunks": [chunk]}), stage.reader.send("POST", "/v1/verify", {"chunks": [absent_chunk]})))
    for forbidden, absent in pairs:
        assert plain(forbidden) == plain(absent)
    listed = stage.reader.items("/v1/sources")
    assert not {private.key, nobody.key} & {f"{item.get('namespace')}/{item.get('name')}" for item in listed}
    assert mark not in json.dumps(listed)


@row("A07", "revoked in mid-session: token, user, readers, source")
def a07(stage: Stage) -> None:
    """Denied within a second."""
    origin = stage.tree()
    stage.fill(origin, 2)
    stage.up(origin)
    mark = stage.mark(origin, "docs/000.md")
    stage.appears(mark, origin)
    stage.truth.excuse(origin.key)
    name = f"u{secrets.token_hex(4)}"
    first, second = stage.installation.token(name, ttl="1h"), stage.installation.token(name, ttl="2h")
    one, two = Client(stage.installation.url, first), Client(stage.installation.url, second)
    assert {one.retrieve(mark).status, two.retrieve(mark).status} == {200}
    stage.operator.ok("POST", "/v1/revocations", {"token": jwt.decode(first, options={"verify_signature": False})["jti"]})
    began = time.monotonic()
    stage.until(lambda: one.retrieve(mark).status == 401, 1.0 * SLACK, "the token is refused")
    assert two.retrieve(mark).status == 200
    stage.installation.cli("token", "revoke", "--user", name)
    stage.until(lambda: two.retrieve(mark).status == 401, 1.0 * SLACK, "the user is refused")
    assert time.monotonic() - began < 60
    assert Client(stage.installation.url, stage.installation.cli("token", "--user", name).stdout.strip()).retrieve(mark).status == 200, "a later token stands"
    stage.declare(origin, access=only("boss"))
    assert not stage.hits(mark), "narrowing holds when the declaration is accepted"
    assert stage.reader.retrieve(mark, [origin.key]).status == 404


@row("A08", "tokens that are expired, not yet valid, for another audience, or signed by another (A31)")
def a08(stage: Stage) -> None:
    """Denied, each with the same 401; and no receipt passes for a token."""
    home = stage.installation.home
    stage.installation.token("someone")
    key = Ed25519PrivateKey.from_private_bytes((home / "keys" / "token").read_bytes())
    header, good = jwt.get_unverified_header(stage.reader.token or ""), jwt.decode(stage.reader.token or "", options={"verify_signature": False})
    now = time.time()

    def signed(signer: Ed25519PrivateKey = key, head: dict[str, str] | None = None, **claims: Any) -> str:
        return jwt.encode(good | {"jti": secrets.token_hex(16)} | claims, signer, algorithm="EdDSA", headers=header | (head or {}))

    def status(token: str) -> Reply:
        return Client(stage.installation.url, token).retrieve("anything")

    assert status(signed()).status == 200, "the forger's own work is good"
    bad = {
        "expired": signed(iat=now - 200, nbf=now - 200, exp=now - 60),
        "nbf ahead": signed(nbf=now + 120),
        "iat ahead": signed(iat=now + 120, nbf=now),
        "audience": signed(aud="other"),
        "issuer": signed(iss="other"),
        "type": signed(head={"typ": "JWT"}),
        "too long a life": signed(exp=now + 40 * 24 * 3600),
        "another key": signed(Ed25519PrivateKey.generate()),
        "receipt key": signed(Ed25519PrivateKey.from_private_bytes((home / "keys" / "receipt").read_bytes())),
        "none": jwt.encode(good, "", algorithm="none", headers={"typ": header["typ"]}),
        "hmac of the public half": jwt.encode(good, key.public_key().public_bytes_raw() + b"0" * 32, algorithm="HS256", headers={"typ": header["typ"]}),
        "receipt": stage.reader.retrieve("anything").body["receipt"],
        "empty": "",
        "two": f"{signed()} {signed()}",
    }
    bodies = set()
    for how, token in bad.items():
        reply = status(token)
        assert reply.status == 401, how
        bodies.add(json.dumps(reply.body))
    assert len(bodies) == 1, bodies


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


@row("A31", "bearers in logs, audit and metrics")
def a31(stage: Stage) -> None:
    """Nowhere: neither good ones nor bad ones."""
    bad = "eyJ" + secrets.token_urlsafe(60)
    Client(stage.installation.url, bad).retrieve("x")
    Client(stage.installation.url, None).send("GET", f"/v1/sources?token={bad}")
    stage.reader.retrieve("x")
    log = stage.installation.log.read_text(errors="replace")
    audit = stage.operator.get("/v1/audit")
    for token in (bad, stage.reader.token or "?", stage.operator.token or "?"):
        assert token not in log
        assert token not in audit
        assert token.rpartition(".")[2][:40] not in log + audit


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


@row("A39", "the same text in two tenants")
def a39(stage: Stage) -> None:
    """No hit, provenance or count of another's."""
    mine, other = stage.tree("mine"), stage.tree("other")
    other.key = f"{stage.name}-2/other"
    mark = canary()
    text = prose(mark)
    for origin, user in ((mine, "ann"), (other, "ben")):
        stage.truth.declare(origin.key, 3.0)
        origin.write("same.md", text)
        stage.declare(origin, access=only(user))
        stage.ready(origin)
        stage.truth.excuse(origin.key)
    for user, origin, foreign in (("ann", mine, other), ("ben", other, mine)):
        caller = stage.caller(user)
        hits = stage.hits(mark, client=caller)
        assert [[p["source"] for p in hit["provenance"]] for hit in hits] == [[origin.key]]
        assert caller.retrieve(mark, [foreign.key]).status == 404
        assert not hits[0]["conflicts"]
    other.delete("same.md")
    stage.gone(mark, other, client=stage.caller("ben"))
    assert stage.hits(mark, client=stage.caller("ann"))


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
