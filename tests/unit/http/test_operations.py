"""Hooks, resources, events, the audit log, streams and metrics."""

import hashlib
import hmac
import json
import threading
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.unit.gate.world import World
from trueup.catalog import schema
from trueup.model.principal import Role
from trueup.surfaces.http.app import create_app
from trueup.surfaces.http.metrics import Metrics
from trueup.surfaces.http.surface import Surface


@pytest.fixture
def root(world: World, http: TestClient) -> TestClient:
    http.headers["Authorization"] = f"Bearer {world.token('root', roles=[Role.OPERATOR])}"
    return http


def _mac(secret: str, body: bytes) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


SIGNATURES: dict[str, tuple[Callable[[str, bytes], dict[str, str]], bool]] = {
    "ours": (lambda s, b: {"X-Trueup-Signature": "sha256=" + _mac(s, b)}, True),
    "github": (lambda s, b: {"X-Hub-Signature-256": "sha256=" + _mac(s, b)}, True),
    "gitea": (lambda s, b: {"X-Gitea-Signature": _mac(s, b), "X-Hub-Signature-256": "sha256=" + _mac(s, b)}, True),
    "gitlab": (lambda s, _: {"X-Gitlab-Token": s}, True),
    "none": (lambda _, __: {}, False),
    "other-body": (lambda s, b: {"X-Trueup-Signature": "sha256=" + _mac(s, b + b" ")}, False),
    "other-secret": (lambda _, b: {"X-Trueup-Signature": "sha256=" + _mac("guess", b)}, False),
    "empty": (lambda _, __: {"X-Trueup-Signature": "sha256=", "X-Gitlab-Token": ""}, False),
    "one-of-two-wrong": (lambda s, b: {"X-Hub-Signature-256": "sha256=" + _mac(s, b), "X-Gitea-Signature": "0" * 64}, False),
    "not-ascii": (lambda _, __: {"X-Gitlab-Token": "caf\u00e9"}, False),
}


@pytest.mark.parametrize("how", SIGNATURES)
def test_a_hook_is_a_hint_if_it_is_signed(world: World, http: TestClient, how: str) -> None:
    """A good signature makes the source due; the answer is the same for every other call, and for no such source (P36)."""
    world.source()
    sign, good = SIGNATURES[how]
    body = b'{"ref": "refs/heads/main"}'
    headers = {name: value.encode("latin-1") for name, value in sign(world.keys.hook_secret("default", "docs"), body).items()}
    answers = [http.post(path, content=body, headers=headers) for path in ("/v1/hooks/default/docs", "/v1/hooks/default/absent")]
    assert {(answer.status_code, answer.content) for answer in answers} == {(202, b'{"status":"accepted"}')}
    assert world.controller.hints == (["default/docs"] if good else [])
    operator = {"Authorization": f"Bearer {world.token('root', roles=[Role.OPERATOR])}"}
    seen = http.get("/v1/sources/default/docs", headers=operator).json()
    assert (seen["acceptedHooks"], seen["rejectedHooks"]) == ((1, 0) if good else (0, 1))


def test_a_secret_is_good_for_its_source_alone(world: World, http: TestClient) -> None:
    """Each source has a secret of its own."""
    world.source("one")
    world.source("two")
    http.post("/v1/hooks/default/two", headers={"X-Gitlab-Token": world.keys.hook_secret("default", "one")})
    assert world.controller.hints == []


def test_resources_go_through_the_controller(world: World, root: TestClient) -> None:
    """PUT and DELETE are the controller's; lists are as a cluster gives them; kinds that are not here are 404."""
    path = "/v1/resources/contextsources/default/docs"
    manifest = {"kind": "ContextSource", "spec": {}}
    assert root.put(path, json=manifest).json() == manifest
    assert world.controller.stored == {("ContextSource", "default", "docs"): manifest}
    assert root.delete(path).json()["status"] == "Success"
    assert root.delete(path).status_code == 404
    assert root.get("/v1/resources/contextindexes").json() == {"kind": "List", "apiVersion": "trueup.dev/v1alpha1", "items": [], "next": None}
    for other in ("/v1/resources/pods", "/v1/resources/contextsources/default/none"):
        assert root.get(other).status_code == 404
    assert root.put("/v1/resources/contextsources/default/docs", json=[1]).status_code == 422


def test_in_a_cluster_resources_are_not_here(world: World) -> None:
    """kubectl has that part: the paths lead nowhere, for operators too."""
    with TestClient(create_app(Surface(world.gate, resources=False))) as http:
        http.headers["Authorization"] = f"Bearer {world.token('root', roles=[Role.OPERATOR])}"
        for method in ("GET", "PUT", "DELETE"):
            assert http.request(method, "/v1/resources/contextsources/default/docs", json={}).status_code == 404
        assert world.controller.stored == {}


def test_events_are_for_operators(world: World, root: TestClient) -> None:
    """Newest first, page by page."""
    source = world.source()
    for number in range(3):
        world.insert(schema.event, source_id=source, namespace="default", name="docs", type="Normal", reason="Fetched", message=f"m{number}", at=float(number))
    page = root.get("/v1/sources/default/docs/events", params={"limit": 2}).json()
    assert [item["message"] for item in page["items"]] == ["m2", "m1"]
    rest = root.get("/v1/sources/default/docs/events", params={"after": page["next"]}).json()
    assert (rest["items"], rest["next"]) == ([{"type": "Normal", "reason": "Fetched", "message": "m0", "at": "1970-01-01T00:00:00.000Z"}], None)
    alice = {"Authorization": f"Bearer {world.token()}"}
    assert root.get("/v1/sources/default/docs/events", headers=alice).content == root.get("/v1/sources/x/y/events", headers=alice).content


def test_documents_come_page_by_page(world: World, alice: TestClient) -> None:
    """Every readable document once, whatever the page, and no cursor names a hidden one."""
    source = world.source(access={"readers": [{"kind": "Everyone"}], "rules": [{"paths": ["*2.md"], "readers": []}]})
    for number in range(7):
        world.document(source, f"{number}.md", f"text {number}")
    seen, after = [], ""
    while True:
        page = alice.get("/v1/sources/default/docs/documents", params={"limit": 2, "after": after}).json()
        seen += [item["uri"] for item in page["items"]]
        after = page["next"]
        if after is None:
            break
        assert after == seen[-1]
    assert seen == [f"{number}.md" for number in (0, 1, 3, 4, 5, 6)]


def test_the_audit_log_is_for_auditors(world: World, http: TestClient) -> None:
    """JSON lines for auditors and operators; 403 for others."""
    world.source()
    for roles, status in (([Role.AUDITOR], 200), ([Role.OPERATOR], 200), ([], 403)):
        response = http.get("/v1/audit", headers={"Authorization": f"Bearer {world.token('x', roles=roles)}"})
        assert response.status_code == status
        if status == 200:
            assert "Apply" in {json.loads(line)["kind"] for line in response.text.splitlines()}
            assert response.headers["content-type"].startswith("application/jsonl")


def test_retractions_stream(world: World, surface: Surface, alice: TestClient) -> None:
    """With Accept: text/event-stream a retraction arrives as an event, with the cursor as its id, and the stream ends at shutdown."""
    source = world.source()
    world.document(source, "a.md", "fox")
    answer = alice.post("/v1/retrieve", json={"query": "fox"}).json()
    world.bury(source, "a.md")
    threading.Timer(1.0, surface.closing.set).start()
    text = alice.get("/v1/retractions", headers={"Accept": "text/event-stream"}).text
    fields = dict(line.split(": ", 1) for line in text.splitlines() if line and not line.startswith(":"))
    assert fields["event"] == "retraction"
    assert json.loads(fields["data"])["retrieval"] == answer["id"]
    again = alice.get("/v1/retractions", headers={"Accept": "text/event-stream", "Last-Event-ID": fields["id"]}).text
    assert "retraction\n" not in again.replace(": retractions", "")


def test_the_well_known_page_has_the_keys(world: World, http: TestClient) -> None:
    """Receipts can be verified without us."""
    page = http.get("/.well-known/trueup").json()
    assert page["receipts"]["keys"] == [world.keys.receipt.jwk]
    assert world.keys.token.jwk["x"] not in json.dumps(page)


def test_metrics_are_on_a_port_of_their_own(world: World, surface: Surface, alice: TestClient) -> None:
    """Answers, refusals, and how fresh each source is."""
    world.document(world.source(), "a.md", "fox")
    alice.post("/v1/retrieve", json={"query": "fox"})
    alice.get("/v1/sources", headers={"Authorization": "Bearer x"})
    world.clock.pass_(5)
    surface.metrics.watch(world.store, world.clock)
    server, thread = surface.metrics.serve("127.0.0.1", 0)
    with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/metrics") as response:
        text = response.read().decode()
    server.shutdown()
    server.server_close()
    thread.join()
    assert "trueup_answers_total 1.0" in text
    assert 'trueup_refusals_total{reason="Unauthenticated"} 1.0' in text
    assert 'trueup_source_age_seconds{name="docs",namespace="default"} 5.0' in text
    assert alice.get("/metrics").status_code == 404


def test_readiness_asks_everything(world: World, surface: Surface, http: TestClient) -> None:
    """What must hold is asked, and says nothing of why it does not."""
    assert http.get("/readyz").status_code == 200
    assert Metrics().registry is not surface.metrics.registry


def test_an_error_nobody_foresaw_denies(world: World, alice: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """503 without a word of the error."""

    def broken(*_: Any) -> None:
        raise ZeroDivisionError("canary")

    monkeypatch.setattr(world.index, "search", broken)
    world.document(world.source(), "a.md", "fox")
    client = TestClient(alice.app, raise_server_exceptions=False, headers=alice.headers)
    response = client.post("/v1/retrieve", json={"query": "fox"})
    assert (response.status_code, response.headers["content-type"]) == (503, "application/problem+json")
    assert "canary" not in response.text
