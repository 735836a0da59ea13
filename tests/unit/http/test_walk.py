"""From a token to an answer, over HTTP."""

from fastapi.testclient import TestClient

from tests.unit.gate.world import World
from trueup.surfaces.http.app import Surface, create_app
from trueup.surfaces.http.shapes import AnswerShape


def test_a_token_gets_live_text_and_verify_says_so(world: World) -> None:
    """What is live and readable is delivered with provenance and a receipt; once it is dead, verify and retractions say so."""
    source = world.source()
    world.document(source, "docs/a.md", "the quick brown fox", modified=1.0)
    with TestClient(create_app(Surface(world.gate))) as http:
        http.headers["Authorization"] = f"Bearer {world.token()}"
        response = http.post("/v1/retrieve", json={"query": "quick fox"})
        assert response.status_code == 200, response.text
        answer = response.json()
        AnswerShape.model_validate(answer)
        assert [hit["text"] for hit in answer["results"]] == ["the quick brown fox"]
        assert answer["results"][0]["provenance"][0]["uri"] == "docs/a.md"
        chunk = answer["results"][0]["chunk"]
        assert http.post("/v1/verify", json={"receipt": answer["receipt"]}).json() == {"chunks": [{"chunk": chunk, "live": True}]}
        assert http.get("/v1/retractions").json()["retractions"] == []
        world.bury(source, "docs/a.md")
        assert http.post("/v1/verify", json={"receipt": answer["receipt"]}).json() == {"chunks": [{"chunk": chunk, "live": False}]}
        retraction = http.get("/v1/retractions").json()["retractions"]
        assert [(r["retrieval"], r["chunk"], r["reason"]) for r in retraction] == [(answer["id"], chunk, "Deleted")]
        assert http.post("/v1/retrieve", json={"query": "quick fox"}).json()["results"] == []
