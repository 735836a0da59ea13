"""The oracle can fail: it sees each kind of lie, and excuses what is excused."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.scenarios.harness.client import Reply
from tests.scenarios.harness.documents import canary, digest, prose
from tests.scenarios.harness.stage import parsed
from tests.scenarios.harness.truth import Truth

SOURCE = "a/b"


def said(*texts: tuple[str, str], later: float = 0.0, spans: list[tuple[int, int]] | None = None, state: str = "Fresh") -> Reply:
    """An answer that delivers these (uri, document), `later` seconds from now."""
    results: list[dict[str, Any]] = []
    for number, (uri, text) in enumerate(texts):
        span = {"bytes": list(spans[number])} if spans else {}
        place = {"source": SOURCE, "uri": uri, "digest": digest(text.encode()), "span": span, "freshness": {"state": state}}
        results.append({"text": text, "provenance": [place]})
    at = time.time() + later
    return Reply(200, {"results": results}, at, at, {})


@pytest.fixture
def truth() -> Truth:
    made = Truth(settled=1.0)
    made.declare(SOURCE, g=1.0, max_staleness=20.0)
    return made


def become(truth: Truth, **documents: str) -> None:
    with truth.turning(SOURCE, {uri: text.encode() for uri, text in documents.items()}):
        pass


def kinds(truth: Truth) -> list[str]:
    return [violation.kind for violation in truth.violations]


def test_what_is_live_is_no_lie(truth: Truth) -> None:
    """Live text is delivered as often as anyone likes."""
    text = prose(canary())
    become(truth, one=text)
    truth.judge(said(("one", text)), SOURCE)
    assert kinds(truth) == []
    assert truth.tally(SOURCE).raw == 0


def test_deleted_text_is_raw_at_once_and_a_phantom_beyond_the_bound(truth: Truth) -> None:
    """Within g it counts as raw, later as a phantom; exposure is what was seen of it."""
    text = prose(canary())
    become(truth, one=text)
    become(truth)
    truth.judge(said(("one", text), later=0.5))
    assert (truth.tally(SOURCE).raw, kinds(truth)) == (1, [])
    truth.judge(said(("one", text), later=1.5))
    assert (truth.tally(SOURCE).raw, kinds(truth)) == (2, ["phantom"])
    assert 1.4 < max(truth.close(SOURCE).exposures) < 1.6


def test_superseded_text_has_five_seconds_more_and_then_must_be_marked(truth: Truth) -> None:
    """Stale, unless the chunk says so itself."""
    old, new = prose(canary()), prose(canary())
    become(truth, one=old)
    become(truth, one=new)
    truth.judge(said(("one", old), later=5.5))
    truth.judge(said(("one", old), later=7.0, state="Stale"))
    assert kinds(truth) == []
    truth.judge(said(("one", old), later=7.0))
    assert kinds(truth) == ["stale"]


def test_an_outage_excuses_until_the_lease_ends(truth: Truth) -> None:
    """What nobody could know is served for the lease, and not longer; once it can be known, for g."""
    text = prose(canary())
    become(truth, one=text)
    truth.outage(SOURCE)
    become(truth)
    truth.judge(said(("one", text), later=19.0))
    assert kinds(truth) == []
    truth.judge(said(("one", text), later=22.0))
    assert kinds(truth) == ["phantom"]
    truth.recovered(SOURCE)
    truth.judge(said(("one", text), later=3.0))
    assert kinds(truth) == ["phantom", "phantom"]


@pytest.mark.parametrize("how", ["two revisions", "another's text", "two cuttings", "never was"])
def test_mixtures_and_inventions(truth: Truth, how: str) -> None:
    """Two revisions in one answer, text under another's provenance, overlapping cuts, and what never was."""
    old, new = prose(canary()), prose(canary())
    become(truth, one=old)
    become(truth, one=new, two=prose(canary()))
    reply = {
        "two revisions": lambda: said(("one", old), ("one", new)),
        "another's text": lambda: said(("one", new)),
        "two cuttings": lambda: said(("one", new), ("one", new), spans=[(0, 50), (40, 90)]),
        "never was": lambda: said(("one", prose(canary()))),
    }[how]()
    if how == "another's text":
        reply.body["results"][0]["text"] += old
    truth.judge(reply)
    wanted = {"two revisions": "mixed revisions", "another's text": "mixed text", "two cuttings": "mixed generations", "never was": "never was"}
    assert kinds(truth) == [wanted[how]]


def test_tombstones_of_what_lives_are_false(truth: Truth) -> None:
    """False only if it was live all the while before it; what died a moment ago is not."""
    alive, dead = prose(canary()), prose(canary())
    become(truth, one=alive, two=dead)
    become(truth, one=alive)

    def stone(uri: str, text: str) -> dict[str, str]:
        return {"uri": uri, "digest": digest(text.encode()), "reason": "Deleted", "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 5))}

    truth.bury(SOURCE, [stone("two", dead)], parsed)
    assert kinds(truth) == []
    truth.bury(SOURCE, [stone("one", alive)], parsed)
    assert kinds(truth) == ["false tombstone"]


def test_availability_counts_what_should_have_been_there(truth: Truth) -> None:
    """A document that is live for long and not in the answer lowers it; one that was just born does not."""
    text = prose(canary())
    become(truth, one=text)
    truth.judge(said(), SOURCE)
    assert truth.tally(SOURCE).availability == 1.0
    truth.judge(said(later=2.0), SOURCE)
    assert truth.tally(SOURCE).availability == 0.0
