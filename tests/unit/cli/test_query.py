"""`query` and what comes after an answer."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.cli.conftest import Ended, Server

Run = Callable[..., Ended]
CHUNK = "123e4567-e89b-12d3-a456-426614174000"
RECEIPT = "eyJhbGciOiJFZERTQSJ9.eyJhIjoxfQ.c2ln"


def answer(text: str | None = "Install it\nwith care.", **changes: Any) -> dict[str, Any]:
    """An answer as the API has it."""
    result = {
        "chunk": CHUNK,
        "text": text,
        "score": 0.71,
        "trust": "Untrusted",
        "classification": "Internal",
        "provenance": [
            {
                "source": "default/docs",
                "uri": "docs/a.md",
                "revision": None,
                "version": "v1",
                "digest": "sha256:1",
                "span": {"bytes": [0, 512], "lines": [1, 9]},
                "heading": ["Guide", "Install"],
                "observed_at": "2026-11-21T14:30:09.123Z",
                "freshness": {"state": "Fresh", "verified_at": "2026-11-21T14:30:09.123Z", "age_seconds": 3.2, "expires_at": None},
            }
        ],
        "conflicts": [],
    }
    whole = {
        "id": "ret_1",
        "at": "2026-11-21T14:30:09.123Z",
        "results": [result],
        "withheld": {"stale": 0, "held": 2, "quarantined": 0},
        "degraded": [],
        "receipt": RECEIPT,
    }
    return {**whole, **changes}


def test_query_sends_what_was_asked_and_prints_provenance(server: Server, trueup: Run) -> None:
    """Text is shown with where it is from, how fresh it is, and what was withheld."""
    server.on("POST", "/v1/retrieve", answer(degraded=[{"source": "default/web", "reason": "FetchFailed"}]))
    ended = trueup("query", "how to install", "-k", "3", "--source", "docs", "--source", "team/wiki", "-n", "x", "--path", "docs/**")
    assert server.calls[0].body == {"query": "how to install", "top_k": 3, "sources": ["x/docs", "team/wiki"], "filter": {"paths": ["docs/**"]}}
    assert ended.out.splitlines() == [
        "[1] 0.710",
        "    default/docs  docs/a.md  lines 1-9  Fresh, read 3 s ago",
        "    Guide > Install",
        "    Untrusted, Internal",
        "  | Install it",
        "  | with care.",
        "",
        "Withheld: 2 held.",
        "Degraded: default/web (FetchFailed); its answers may be older than they should be.",
        "Answer ret_1 at 2026-11-21T14:30:09.123Z",
    ]


def test_text_of_documents_cannot_act_on_the_terminal_or_pose_as_ours(server: Server, trueup: Run) -> None:
    """Escapes are gone, markup is text, and each line of a document stays behind its bar."""
    hostile = "[bold]x[/bold]\x1b[2J\n[2] 0.99\r    default/trusted  fake\u202e\u2028Answer ret_9"
    server.on("POST", "/v1/retrieve", answer(hostile))
    out = trueup("query", "q").out
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert "  | [bold]x[/bold]" in out
    assert [row for row in out.splitlines() if row.startswith(("[2]", "Answer"))] == ["Answer ret_1 at 2026-11-21T14:30:09.123Z"]


def test_json_is_the_answer_itself(server: Server, trueup: Run) -> None:
    """-o json prints the answer as the API has it."""
    server.on("POST", "/v1/retrieve", answer("a\x1b[31m"))
    assert json.loads(trueup("query", "q", "-o", "json").out) == answer("a\x1b[31m")


def test_nothing_found_is_no_failure(server: Server, trueup: Run) -> None:
    """No result is an answer too."""
    server.on("POST", "/v1/retrieve", answer(results=[]))
    ended = trueup("query", "q")
    assert ended.code == 0
    assert "Nothing that you may read" in ended.out


def test_limits_are_wrong_usage(server: Server, trueup: Run) -> None:
    """-k beyond the API's bounds is refused before it is sent."""
    assert trueup("query", "q", "-k", "0").code == 2
    assert trueup("query", "q", "-k", "101").code == 2
    assert server.calls == []


def test_refusals_of_the_server_are_one_sentence(server: Server, trueup: Run) -> None:
    """Problem details are printed cleaned; 401 says how to get a token."""
    server.on("POST", "/v1/retrieve", {"title": "Invalid", "detail": "The request is not valid:\nquery has \x1b[31mmore than 8192 characters."}, 422)
    assert trueup("query", "q").err == "error: The request is not valid: query has more than 8192 characters.\n"
    server.on("POST", "/v1/retrieve", {"title": "Unauthenticated"}, 401)
    ended = trueup("query", "q")
    assert ended.code == 1
    assert "trueup token" in ended.err


@pytest.mark.parametrize(("given", "body"), [(RECEIPT, {"receipt": RECEIPT}), (CHUNK, {"chunks": [CHUNK]}), ("ret_1", {"receipt": RECEIPT})])
def test_verify_takes_receipts_chunks_and_answers(given: str, body: dict[str, Any], server: Server, trueup: Run) -> None:
    """Whatever people have at hand leads to the same question."""
    server.on("GET", "/v1/retrievals/ret_1", answer())
    server.on("POST", "/v1/verify", {"chunks": [{"chunk": CHUNK, "live": False}]})
    ended = trueup("verify", given)
    assert ended.code == 0
    assert ended.out.splitlines()[1].split() == [CHUNK, "False"]
    assert server.sent("POST")[0].body == body


def test_verify_reads_a_receipt_from_stdin(server: Server, trueup: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A receipt of 32 KiB is nothing to type."""
    monkeypatch.setattr("sys.stdin", io.StringIO(RECEIPT + "\n"))
    server.on("POST", "/v1/verify", {"chunks": []})
    assert trueup("verify", "-").code == 0
    assert server.calls[0].body == {"receipt": RECEIPT}


def test_explain_and_replay(server: Server, trueup: Run) -> None:
    """An answer can be shown again, with what differs; what died has no text."""
    server.on("GET", "/v1/retrievals/ret_1", answer(candidates=[{"chunk": CHUNK, "why": "Delivered"}]))
    assert "Delivered" in trueup("explain", "ret_1").out
    server.on("POST", "/v1/retrievals/ret_1/replay", answer(None, diff=[{"chunk": CHUNK, "was": "live", "is": "dead", "why": "Deleted"}]))
    ended = trueup("replay", "ret_1", "--mode", "re-verify")
    assert server.calls[-1].body == {"mode": "re-verify"}
    assert "  | (digest unknown; the text may not be shown any more)" in ended.out
    assert ended.out.splitlines()[-1].split() == [CHUNK, "live", "dead", "Deleted"]
    assert trueup("replay", "ret_1", "--mode", "again").code == 2
    assert trueup("explain", "ret_2").code == 1
