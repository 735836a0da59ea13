"""One answer for forbidden and absent, byte for byte."""

import re

from fastapi.testclient import TestClient

from tests.unit.gate.world import World, user
from trueup.model.principal import Role

_VARYING = re.compile(rb'"(id|at|receipt|verified_at|age_seconds|expires_at)":("[^"]*"|[0-9.]+)')


def _plain(content: bytes) -> bytes:
    return _VARYING.sub(b"", content)


def test_a_hidden_source_answers_like_an_absent_one(world: World, alice: TestClient) -> None:
    """Sources named in a query, listed, or asked for documents, tombstones and events."""
    source = world.source("hidden", access={"readers": user("bob")})
    (chunk,) = world.document(source, "a.md", "hidden words")
    world.document(source, "b.md", "other words")
    world.bury(source, "b.md")
    absent = "00000000-0000-0000-0000-000000000000"

    def same(method: str, path: str, **kwargs: object) -> None:
        first, second = (alice.request(method, path.format(name), **kwargs) for name in ("hidden", "absent"))  # type: ignore[arg-type]
        assert (first.status_code, first.content, first.headers) == (second.status_code, second.content, second.headers)
        assert first.status_code == 404

    for path in ("/v1/sources/default/{}", "/v1/sources/default/{}/documents", "/v1/sources/default/{}/tombstones", "/v1/sources/default/{}/events"):
        same("GET", path)
    same("GET", "/v1/resources/contextsources/default/{}")
    same("DELETE", "/v1/resources/contextsources/default/{}")
    same("PUT", "/v1/resources/contextsources/default/{}", json={"kind": "ContextSource"})
    named = [alice.post("/v1/retrieve", json={"query": "x", "sources": [f"default/{name}"]}) for name in ("hidden", "absent")]
    assert named[0].content == named[1].content
    assert named[0].status_code == 404
    assert alice.post("/v1/verify", json={"chunks": [chunk, absent]}).json() == {"chunks": [{"chunk": chunk, "live": False}, {"chunk": absent, "live": False}]}
    assert alice.get("/v1/sources").json()["items"] == []


def test_another_callers_answer_is_not_there(world: World, alice: TestClient) -> None:
    """Retrievals and replays of others answer like those that never were; an operator sees them, without content."""
    world.document(world.source("b", access={"readers": user("bob")}), "a.md", "bobs words")
    bob, root = ({"Authorization": f"Bearer {world.token(name, roles=roles)}"} for name, roles in (("bob", []), ("root", [Role.OPERATOR])))
    name = alice.post("/v1/retrieve", json={"query": "bobs"}, headers=bob).json()["id"]
    for path in ("/v1/retrievals/{}", "/v1/retrievals/{}/replay"):
        method = "POST" if path.endswith("replay") else "GET"
        body = {"json": {}} if method == "POST" else {}
        first, second = (alice.request(method, path.format(which), **body) for which in (name, "ret_none"))  # type: ignore[arg-type]
        assert (first.status_code, first.content) == (second.status_code, second.content) == (404, second.content)
    seen = alice.get(f"/v1/retrievals/{name}", headers=root)
    assert seen.status_code == 200
    assert "bobs words" not in seen.text
    assert "a.md" not in seen.text
    assert seen.json()["candidates"] == []


def test_hidden_documents_move_nothing_that_is_visible(world: World, alice: TestClient) -> None:
    """With and without hidden documents, even misplaced ones, answers, lists and counts are byte-equal."""
    source = world.source(access={"readers": [{"kind": "Everyone"}], "rules": [{"paths": ["secret/**"], "readers": user("bob")}]})
    for number in range(3):
        world.document(source, f"docs/{number}.md", f"fox number {number}")

    def look() -> list[bytes]:
        return [
            _plain(alice.post("/v1/retrieve", json={"query": "fox number", "top_k": 2}).content),
            _plain(alice.get("/v1/sources").content),
            _plain(alice.get("/v1/sources/default/docs/documents", params={"limit": 2}).content),
            _plain(alice.get("/v1/sources/default/docs/tombstones").content),
        ]

    before = look()
    hidden = world.source("other", access={"readers": user("bob")})
    world.run("UPDATE source SET failure = :f WHERE id = :id", f='{"reason":"FetchFailed"}', id=hidden)
    for number in range(5):
        world.document(source, f"secret/{number}.md", "fox number fox number", slot=0, state="held" if number == 2 else "live")
        world.document(source, f"secret/misplaced{number}.md", "fox number fox number")  # in a slot that admits everyone
        world.document(hidden, f"{number}.md", "fox number")
    world.bury(source, "secret/1.md")
    assert look() == before


def test_tombstones_are_for_those_who_could_read(world: World, alice: TestClient) -> None:
    """Who could read it when it died sees its tombstone, others do not; operators see all; a successor is for its readers."""
    source = world.source(access={"readers": [{"kind": "Everyone"}], "rules": [{"paths": ["secret/**"], "readers": user("bob")}]})
    for uri, slot, successor in (("a.md", -1, "secret/a.md"), ("b.md", -1, "c.md"), ("secret/x.md", 0, None)):
        world.document(source, uri, uri, slot=slot)
        world.bury(source, uri, "Moved" if successor else "Deleted", successor)

    def seen(name: str, roles: list[Role]) -> list[tuple[str, str | None]]:
        page = alice.get("/v1/sources/default/docs/tombstones", headers={"Authorization": f"Bearer {world.token(name, roles=roles)}"})
        return [(item["uri"], item["successor"]) for item in page.json()["items"]]

    assert seen("alice", []) == [("b.md", "c.md"), ("a.md", None)]
    assert seen("bob", []) == [("secret/x.md", None), ("b.md", "c.md"), ("a.md", "secret/a.md")]
    assert seen("root", [Role.OPERATOR]) == [("secret/x.md", None), ("b.md", "c.md"), ("a.md", "secret/a.md")]


def test_tombstones_outlive_their_source(world: World, alice: TestClient) -> None:
    """After the source is deleted its former readers still see what died, page by page; others see nothing."""
    source = world.source()
    for number in range(5):
        world.document(source, f"{number}.md", f"text {number}")
    world.withdraw(source)
    items, after = [], {}
    while True:
        page = alice.get("/v1/sources/default/docs/tombstones", params={"limit": 2, **after}).json()
        items += page["items"]
        if page["next"] is None:
            break
        after = {"after": page["next"]}
    assert sorted(item["uri"] for item in items) == [f"{number}.md" for number in range(5)]
    assert {item["reason"] for item in items} == {"SourceDeleted"}
    assert alice.get("/v1/sources/default/docs").status_code == 404


def test_operators_do_not_get_content(world: World, alice: TestClient) -> None:
    """A role opens operations, never content; an agent has no role at all."""
    source = world.source(access={"readers": user("bob")})
    world.document(source, "a.md", "words")
    root = {"Authorization": f"Bearer {world.token('root', roles=[Role.OPERATOR, Role.AUDITOR])}"}
    assert alice.post("/v1/retrieve", json={"query": "words"}, headers=root).json()["results"] == []
    assert alice.get("/v1/sources/default/docs/documents", headers=root).status_code == 404
    assert alice.get("/v1/sources/default/docs", headers=root).status_code == 200
    agent = {"Authorization": f"Bearer {world.token('root', roles=[Role.OPERATOR], agent='bot')}"}
    assert alice.get("/v1/audit", headers=agent).status_code == 403
    assert alice.get("/v1/resources/contextsources", headers=agent).status_code == 404
    assert alice.post("/v1/revocations", json={"user": "x"}, headers=agent).status_code == 403
