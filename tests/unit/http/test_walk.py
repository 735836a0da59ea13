"""From a token to an answer, over HTTP."""

from fastapi.testclient import TestClient

from tests.unit.gate.world import World
from trueup.surfaces.http.shapes import AnswerShape, ListShape, ReplayShape, RetractionsShape


def test_a_token_gets_live_text_and_verify_says_so(world: World, alice: TestClient) -> None:
    """What is live and readable is delivered with provenance and a receipt; once it is dead, verify and retractions say so."""
    source = world.source()
    world.document(source, "docs/a.md", "the quick brown fox", modified=1.0)
    response = alice.post("/v1/retrieve", json={"query": "quick fox"})
    assert response.status_code == 200, response.text
    answer = response.json()
    AnswerShape.model_validate(answer)
    assert [hit["text"] for hit in answer["results"]] == ["the quick brown fox"]
    assert answer["results"][0]["provenance"][0]["uri"] == "docs/a.md"
    chunk = answer["results"][0]["chunk"]
    assert alice.post("/v1/verify", json={"receipt": answer["receipt"]}).json() == {"chunks": [{"chunk": chunk, "live": True}]}
    assert alice.get("/v1/retractions").json()["retractions"] == []
    world.bury(source, "docs/a.md")
    assert alice.post("/v1/verify", json={"receipt": answer["receipt"]}).json() == {"chunks": [{"chunk": chunk, "live": False}]}
    page = alice.get("/v1/retractions").json()
    RetractionsShape.model_validate(page)
    assert [(r["retrieval"], r["chunk"], r["reason"]) for r in page["retractions"]] == [(answer["id"], chunk, "Deleted")]
    assert alice.get("/v1/retractions", params={"after": page["next"]}).json() == {"retractions": [], "next": page["next"]}
    assert alice.post("/v1/retrieve", json={"query": "quick fox"}).json()["results"] == []


def test_the_shape_of_an_answer(world: World, alice: TestClient) -> None:
    """An answer has every member of the contract, in its form."""
    source = world.source(trust="Trusted", access={"readers": [{"kind": "User", "name": "alice"}], "classification": "Confidential"})
    (chunk,) = world.document(source, "docs/a.md", "the quick brown fox")
    world.clock.pass_(3.2)
    answer = alice.post("/v1/retrieve", json={"query": "quick", "max_tokens": 100}).json()
    hit = answer["results"][0]
    assert hit["provenance"] == [
        {
            "source": "default/docs",
            "uri": "docs/a.md",
            "revision": "c0ffee",
            "version": "v1",
            "digest": hit["provenance"][0]["digest"],
            "span": {"bytes": [0, 19], "lines": [1, 1]},
            "heading": ["Guide"],
            "observed_at": "2026-11-21T14:30:09.750Z",
            "freshness": {"state": "Fresh", "verified_at": "2026-11-21T14:30:09.750Z", "age_seconds": 3.2, "expires_at": "2026-11-21T15:30:09.750Z"},
        }
    ]
    assert (hit["chunk"], hit["trust"], hit["classification"], hit["conflicts"]) == (chunk, "Trusted", "Confidential", [])
    assert answer["withheld"] == {"stale": 0, "held": 0, "quarantined": 0}
    assert answer["degraded"] == []
    assert answer["budget"] == {"tokens": {"max": 100, "used": 7}}
    assert answer["id"].startswith("ret_")
    assert answer["at"] == "2026-11-21T14:30:12.950Z"
    assert len(answer["receipt"]) < 32 * 1024


def test_explain_replay_and_lists(world: World, alice: TestClient) -> None:
    """An answer can be explained and replayed, and a source looked through."""
    source = world.source()
    world.document(source, "docs/a.md", "the quick brown fox")
    answer = alice.post("/v1/retrieve", json={"query": "quick"}).json()
    explained = alice.get(f"/v1/retrievals/{answer['id']}").json()
    assert explained["results"] == answer["results"]
    assert [c["why"] for c in explained["candidates"]] == ["Delivered"]
    for mode in ("as-recorded", "re-verify", "re-run"):
        replayed = alice.post(f"/v1/retrievals/{answer['id']}/replay", json={"mode": mode}).json()
        ReplayShape.model_validate(replayed)
        assert [hit["text"] for hit in replayed["results"]] == ["the quick brown fox"]
        assert replayed["diff"] == []
    for path, count in (("", 1), ("/default/docs/documents", 1), ("/default/docs/tombstones", 0)):
        page = alice.get(f"/v1/sources{path}").json()
        ListShape.model_validate(page)
        assert len(page["items"]) == count
    assert alice.get("/v1/sources/default/docs").json()["freshness"]["state"] == "Fresh"
