"""Who may come in, before anything else happens."""

import threading
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from tests.unit.gate.world import World
from trueup.errors import TrueupError
from trueup.gate.identity import LocalIdentity
from trueup.model.principal import Role
from trueup.surfaces.http.app import create_app
from trueup.surfaces.http.limits import Limits
from trueup.surfaces.http.surface import Surface

PATHS = [
    ("POST", "/v1/retrieve"),
    ("POST", "/v1/verify"),
    ("GET", "/v1/retrievals/ret_1"),
    ("POST", "/v1/retrievals/ret_1/replay"),
    ("GET", "/v1/retractions"),
    ("GET", "/v1/sources"),
    ("GET", "/v1/sources/a/b"),
    ("GET", "/v1/sources/a/b/documents"),
    ("GET", "/v1/sources/a/b/tombstones"),
    ("GET", "/v1/sources/a/b/events"),
    ("GET", "/v1/resources/contextsources"),
    ("PUT", "/v1/resources/contextsources/a/b"),
    ("DELETE", "/v1/resources/contextsources/a/b"),
    ("POST", "/v1/revocations"),
    ("GET", "/v1/audit"),
    ("GET", "/v1/hooks/a/b"),
    ("HEAD", "/v1/sources"),
    ("OPTIONS", "/v1/retrieve"),
    ("GET", "/nowhere"),
    ("GET", "/metrics"),
    ("GET", "/docs"),
    ("POST", "/livez"),
    ("GET", "/"),
    ("GET", "//livez"),
    ("GET", "/livez/"),
]


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_without_a_token_there_is_nothing(anyone: TestClient, method: str, path: str) -> None:
    """401, the same whatever is asked for, before 404, 405 and 422 (A01)."""
    response = anyone.request(method, path, content=b"\xff not json")
    assert response.status_code == 401
    assert response.headers["www-authenticate"].startswith("Bearer")
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["cache-control"] == "no-store"
    if method != "HEAD":
        assert response.content == anyone.get("/v1/sources").content


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/.well-known/trueup", "/openapi.json"])
def test_what_is_open(anyone: TestClient, path: str) -> None:
    """Liveness, readiness, the well-known page and OpenAPI need no token."""
    assert anyone.get(path).status_code == 200


@pytest.mark.parametrize(
    ("params", "headers", "cookies"),
    [
        ({"access_token": "T", "token": "T"}, {}, {}),
        ({}, {"Authorization": "T"}, {}),
        ({}, {"Authorization": "Basic T"}, {}),
        ({}, {"X-Forwarded-User": "alice", "X-Remote-User": "alice", "Token": "T"}, {}),
        ({}, {}, {"token": "T", "Authorization": "Bearer T"}),
    ],
    ids=["query", "no-scheme", "basic", "proxy-headers", "cookie"],
)
def test_a_token_is_taken_from_the_bearer_header_alone(
    shared: tuple[World, TestClient], params: dict[str, str], headers: dict[str, str], cookies: dict[str, str]
) -> None:
    """No token in a query, a cookie or another header, and no name of a caller in one (A02)."""
    world, http = shared
    token = world.token()

    def filled(given: dict[str, str]) -> dict[str, str]:
        return {name: value.replace("T", token) if name != "Token" else token for name, value in given.items()}

    cookie = "; ".join(f"{name}={value}" for name, value in filled(cookies).items())
    response = http.get("/v1/sources", params=filled(params), headers={**filled(headers), **({"Cookie": cookie} if cookie else {})})
    assert response.status_code == 401


def test_two_authorization_headers_are_none(world: World, http: TestClient) -> None:
    """Of two tokens neither counts: a proxy and this server might choose differently."""
    pair = ("Authorization", f"Bearer {world.token()}")
    assert http.get("/v1/sources", headers=[pair]).status_code == 200
    assert http.get("/v1/sources", headers=[pair, pair]).status_code == 401


def test_a_revoked_token_is_refused_at_once(world: World, alice: TestClient) -> None:
    """Revoking a token by its id ends it with the next request; other tokens of the user stay (A07)."""
    other = world.token()
    jti = world.gate.identity.verify(alice.headers["authorization"].partition(" ")[2]).token
    operator = {"Authorization": f"Bearer {world.token('root', roles=[Role.OPERATOR])}"}
    assert alice.post("/v1/revocations", json={"token": jti}, headers=operator).status_code == 200
    assert alice.get("/v1/sources").status_code == 401
    assert alice.get("/v1/sources", headers={"Authorization": f"Bearer {other}"}).status_code == 200


def test_a_revoked_user_is_refused_until_a_new_token(world: World, alice: TestClient) -> None:
    """Revoking a user refuses every token issued until then, an agent's too, and none issued later."""
    agent = world.token(agent="bot")
    world.clock.pass_(1)
    operator = {"Authorization": f"Bearer {world.token('root', roles=[Role.OPERATOR])}"}
    alice.post("/v1/revocations", json={"user": "alice"}, headers=operator)
    world.clock.pass_(0.001)
    assert alice.get("/v1/sources").status_code == 401
    assert alice.get("/v1/sources", headers={"Authorization": f"Bearer {agent}"}).status_code == 401
    assert alice.get("/v1/sources", headers={"Authorization": f"Bearer {world.token()}"}).status_code == 200


def test_a_catalog_that_cannot_be_read_denies(world: World, alice: TestClient) -> None:
    """With the catalog gone nobody gets anything, and readiness says so (A38)."""
    world.store.write(lambda tx: tx.run(sa.text("ALTER TABLE sequence RENAME TO gone")))
    assert alice.get("/readyz").status_code == 503
    for response in (alice.post("/v1/retrieve", json={"query": "x"}), alice.get("/v1/sources")):
        assert response.status_code == 503
        assert response.headers["content-type"] == "application/problem+json"
    world.store.write(lambda tx: tx.run(sa.text("ALTER TABLE revocation RENAME TO gone2")))
    assert alice.post("/v1/retrieve", json={"query": "x"}).status_code == 503


def test_an_identity_provider_that_fails_denies(world: World, alice: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks cannot be known, so nobody gets anything; that is not the caller's fault (A38)."""

    def broken(_: object, __: str) -> None:
        raise TrueupError("canary")

    monkeypatch.setattr(LocalIdentity, "verify", broken)
    response = alice.get("/v1/sources")
    assert (response.status_code, response.json()["title"]) == (503, "Denied")
    assert "canary" not in response.text


def test_what_cannot_be_recorded_does_not_leave(world: World, alice: TestClient) -> None:
    """An answer that cannot be written to the audit log is not given."""
    source = world.source()
    world.document(source, "a.md", "secret canary")
    world.store.write(lambda tx: tx.run(sa.text("ALTER TABLE audit RENAME TO gone")))
    for response in (alice.post("/v1/retrieve", json={"query": "canary"}), alice.get("/v1/sources/default/docs/documents")):
        assert response.status_code == 503
        assert "canary" not in response.text
        assert "a.md" not in response.text


def test_a_caller_may_have_so_many_in_flight(world: World) -> None:
    """Beyond the limit of one caller: 429 with Retry-After, and another caller is served (A30)."""
    surface = Surface(world.gate, limits=Limits(in_flight=4, in_flight_each=2))
    inside, go = threading.Barrier(3), threading.Event()

    class Slow:
        def ask(self, query: str) -> Any:
            if query == "slow":
                inside.wait(10)
                go.wait(10)
            return world.words.ask(query)

    world.document(world.source(), "a.md", "text")
    world.words.get = lambda generation: Slow()  # type: ignore[method-assign,assignment]
    with TestClient(create_app(surface)) as http:
        mine, other = ({"Authorization": f"Bearer {world.token(name)}"} for name in ("alice", "bob"))
        threads = [threading.Thread(target=http.post, args=("/v1/retrieve",), kwargs={"json": {"query": "slow"}, "headers": mine}) for _ in range(2)]
        for thread in threads:
            thread.start()
        inside.wait(10)
        refused = http.get("/v1/sources", headers=mine)
        served = http.get("/v1/sources", headers=other)
        go.set()
        for thread in threads:
            thread.join()
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        assert served.status_code == 200
        assert http.get("/v1/sources", headers=mine).status_code == 200
    rows = world.rows("SELECT principal, reason, data FROM audit WHERE kind = 'Denial'")
    assert [(row.principal, row.reason, '"count":1' in row.data) for row in rows] == [("user:alice", "TooManyRequests", True)]


def test_anonymous_refusals_are_counted_by_the_minute(world: World) -> None:
    """Refusals of nobody in particular are one row a minute, not one each (A21)."""
    surface = Surface(world.gate)
    with TestClient(create_app(surface)) as http:
        for _ in range(5):
            http.get("/v1/sources")
        world.clock.pass_(60)
        http.get("/v1/sources")
        surface.refusals.flush(world.store, world.clock.now())
        first = world.rows("SELECT data FROM audit WHERE principal = 'anonymous'")
        assert len(first) == 1
        assert '"count":5' in first[0].data
    assert len(world.rows("SELECT 1 FROM audit WHERE principal = 'anonymous'")) == 2


def test_every_request_is_recorded_once(world: World, alice: TestClient) -> None:
    """Each request of a known caller, and each denial, is one row of the audit log (A21)."""
    source = world.source()
    world.document(source, "a.md", "text")
    answer = alice.post("/v1/retrieve", json={"query": "text"}).json()
    alice.get(f"/v1/retrievals/{answer['id']}")
    alice.get("/v1/retrievals/ret_none")
    alice.post("/v1/verify", json={})
    alice.get("/v1/audit")
    alice.post("/v1/retrieve", json={"query": "text", "sources": ["default/none"]})
    rows = world.rows("SELECT kind, principal, object, decision, reason FROM audit WHERE principal = 'user:alice' ORDER BY seq")
    assert [tuple(row) for row in rows] == [
        ("Request", "user:alice", f"retrieval/{answer['id']}", "Allowed", ""),
        ("Request", "user:alice", f"GET /v1/retrievals/{answer['id']}", "Allowed", ""),
        ("Denial", "user:alice", "GET /v1/retrievals/ret_none", "Denied", "NotFound"),
        ("Denial", "user:alice", "POST /v1/verify", "Denied", "Invalid"),
        ("Denial", "user:alice", "GET /v1/audit", "Denied", "Forbidden"),
        ("Denial", "user:alice", "POST /v1/retrieve", "Denied", "NotFound"),
    ]
