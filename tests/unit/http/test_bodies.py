"""What may be sent: everything else is refused by name, and nothing is clamped."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from trueup.surfaces.http.strictjson import loads

GOOD = {"query": "x"}


def _nested(depth: int) -> str:
    return "[" * depth + "]" * depth


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"query": ""},
        {"query": 1},
        {"query": "x" * 8193},
        {**GOOD, "top_k": 0},
        {**GOOD, "top_k": 101},
        {**GOOD, "top_k": -1},
        {**GOOD, "top_k": "8"},
        {**GOOD, "top_k": 8.0},
        {**GOOD, "top_k": True},
        {**GOOD, "max_tokens": 0},
        {**GOOD, "max_tokens": 100_001},
        {**GOOD, "user": "bob"},
        {**GOOD, "roles": ["operator"]},
        {**GOOD, "sources": []},
        {**GOOD, "sources": ["noslash"]},
        {**GOOD, "sources": ["a/b/c"]},
        {**GOOD, "sources": [f"a/{n}" for n in range(101)]},
        {**GOOD, "filter": {"tenant": "b"}},
        {**GOOD, "filter": {"paths": []}},
        {**GOOD, "filter": {"paths": ["#comment"]}},
        {**GOOD, "filter": {"paths": [""]}},
        {**GOOD, "filter": {"paths": [{"$ne": 1}]}},
        {**GOOD, "filter": {"modified_after": "yesterday"}},
        {**GOOD, "filter": {"modified_after": 5}},
        [],
        "x",
    ],
    ids=lambda body: json.dumps(body)[:60],
)
def test_a_query_outside_its_limits_is_refused(someone: TestClient, body: Any) -> None:
    """422 with a problem that names the place."""
    response = someone.post("/v1/retrieve", json=body)
    assert response.status_code == 422, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["title"] == "Invalid"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b'{"query": "x", "query": "y"}',
        b'{"query": NaN}',
        b'{"query": "x", "top_k": Infinity}',
        b'{"query": "x", "top_k": 1e999}',
        b'{"query": "\xff"}',
        b'{"query": "\\ud800"}',
        b'{"query": "x", "\\ud800": 1}',
        b'{"query": "x", "top_k": ' + b"1" * 5000 + b"}",
        b'{"query": ' + _nested(33).encode() + b"}",
        b'{"query": ' + _nested(20000).encode() + b"}",
        b'\xef\xbb\xbf{"query": "x"}',
    ],
    ids=lambda raw: raw[:40],
)
def test_json_that_is_none(someone: TestClient, raw: bytes) -> None:
    """Broken, ambiguous, endless or infinite JSON is 422, never an error inside."""
    response = someone.post("/v1/retrieve", content=raw, headers={"content-type": "application/json"})
    assert response.status_code == 422, response.text


def test_depth_is_counted_to_the_level() -> None:
    """32 levels pass, 33 do not."""
    assert loads(_nested(32).encode())
    with pytest.raises(json.JSONDecodeError, match="deeper than 32"):
        loads(_nested(33).encode())


def test_errors_do_not_repeat_what_was_sent(someone: TestClient) -> None:
    """A refused query stands in no error: errors are logged and shown."""
    canary = "canary-5e1f"
    for body in ({"query": canary, "top_k": 0}, {"query": [canary]}, {"query": "x", "filter": {"modified_after": canary}}, {"query": "x", "sources": [canary]}):
        response = someone.post("/v1/retrieve", json=body)
        assert response.status_code == 422
        assert canary not in response.text


def test_a_body_too_large_is_refused_by_what_arrives(someone: TestClient) -> None:
    """Beyond 64 KiB: 413, whether a header says so or the bytes do; at 64 KiB it is read (A30)."""
    body = json.dumps(GOOD).encode()
    full = body + b" " * (64 * 1024 - len(body))
    headers = {"content-type": "application/json"}

    def pieces(data: bytes) -> Iterator[bytes]:
        yield from (data[at : at + 1000] for at in range(0, len(data), 1000))

    assert someone.post("/v1/retrieve", content=full, headers=headers).status_code == 200
    assert someone.post("/v1/retrieve", content=full + b" ", headers=headers).status_code == 413
    assert someone.post("/v1/retrieve", content=pieces(full + b" "), headers=headers).status_code == 413
    assert someone.post("/v1/retrieve", content=b"x" * (2 << 20), headers=headers).status_code == 413
    assert someone.post("/v1/retrieve", content=pieces(full), headers=headers).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"receipt": "x", "chunks": ["00000000-0000-0000-0000-000000000000"]},
        {"chunks": []},
        {"chunks": ["x"]},
        {"chunks": ["00000000-0000-0000-0000-000000000000"] * 101},
        {"receipt": "forged"},
        {"receipt": "a.b.c"},
    ],
)
def test_verify_takes_a_genuine_receipt_or_ids(someone: TestClient, body: Any) -> None:
    """Anything else is 422, a forged receipt too."""
    assert someone.post("/v1/verify", json=body).status_code == 422


def test_openapi_says_the_limits(anyone: TestClient) -> None:
    """The limits of a query stand in OpenAPI."""
    query = anyone.get("/openapi.json").json()["components"]["schemas"]["RetrieveBody"]
    assert query["additionalProperties"] is False
    assert query["properties"]["query"]["maxLength"] == 8192
    assert (query["properties"]["top_k"]["minimum"], query["properties"]["top_k"]["maximum"]) == (1, 100)
    assert query["properties"]["max_tokens"]["maximum"] == 100_000


def test_other_methods_and_paths_are_problems(someone: TestClient) -> None:
    """With a token: 405 with Allow, 404, both as problems."""
    wrong = someone.get("/v1/retrieve")
    assert (wrong.status_code, wrong.headers["allow"], wrong.json()["title"]) == (405, "POST", "MethodNotAllowed")
    assert (someone.get("/v1/nothing").status_code, someone.get("/v1/nothing").json()["title"]) == (404, "NotFound")
    assert "access-control-allow-origin" not in someone.options("/v1/retrieve", headers={"Origin": "https://evil.example"}).headers
