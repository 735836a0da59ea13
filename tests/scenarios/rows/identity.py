"""A01-A08, A31, A39: who asks, and what is not theirs."""

from __future__ import annotations

import json
import secrets
import time
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.scenarios.harness.client import Client, Reply
from tests.scenarios.harness.documents import COMMON, canary, prose
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
