"""What was delivered can be explained, replayed and retracted, by the present rights of who looks."""

from typing import Any

import pytest

from tests.unit.gate.world import EVERYONE, World, user
from trueup.catalog.history import Cursor
from trueup.errors import Invalid, NotFound, Unauthenticated
from trueup.gate import retracting
from trueup.gate.explaining import explain
from trueup.gate.replaying import replay
from trueup.gate.retrieve import retrieve
from trueup.gate.wish import Wish
from trueup.model.principal import Caller, Role


def ask(world: World, query: str = "fox", caller: Caller | None = None, **more: Any) -> dict[str, Any]:
    request = {"top_k": 8, "max_tokens": 4000, **more}
    return retrieve(world.gate, caller or world.caller(), Wish.of(query, request), request)


def test_retractions_come_page_by_page_and_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the page size, every delivered chunk that died is told exactly once, in order, and to its receiver alone."""
    monkeypatch.setattr(retracting, "PAGE", 2)
    source = world.source()
    for number in range(5):
        world.document(source, f"{number}.md", f"fox {number}")
    answers = [ask(world), ask(world)]
    ask(world, caller=world.caller("bob"))
    world.bury(source, "0.md")
    world.withdraw(source)
    told, after = [], Cursor(0)
    for _ in range(20):
        page = retracting.page(world.gate, world.caller(), after)
        told += [(one.retrieval, one.chunk) for one in page.items]
        after = Cursor.parse(str(page.next))
    assert sorted(told) == sorted((answer["id"], hit["chunk"]) for answer in answers for hit in answer["results"])
    assert len(set(told)) == 10


def test_what_died_before_it_was_delivered_is_no_retraction(world: World) -> None:
    """Retractions join tombstones later than the verifying snapshot; a re-created document is another revision."""
    source = world.source()
    world.document(source, "a.md", "fox")
    world.bury(source, "a.md")
    world.document(source, "a.md", "fox")
    ask(world)
    assert retracting.page(world.gate, world.caller(), Cursor(0)).items == ()


def test_who_waits_is_told_until_the_token_ends(world: World) -> None:
    """A waiting caller reads nothing while nothing happens, and is let go when the token is revoked or over."""
    caller = world.caller()
    source = world.source()
    world.document(source, "a.md", "fox")
    ask(world)
    page = retracting.since(world.gate, caller, Cursor(0), -1)
    assert (page.items, retracting.since(world.gate, caller, page.next, page.seen).items) == ((), ())
    world.bury(source, "a.md")
    assert len(retracting.since(world.gate, caller, page.next, page.seen).items) == 1
    world.clock.pass_(3600 + 31)
    with pytest.raises(Unauthenticated):
        retracting.since(world.gate, caller, page.next, page.seen)


@pytest.mark.parametrize("text", ["", "x", "1-2", "1-2-3", "-1", "1-2-ret-x", "1-2-ret-3-4", "9" * 30, "\u0661"])
def test_cursors_that_are_none(text: str) -> None:
    """Only what an answer gave."""
    with pytest.raises(ValueError, match="not a cursor"):
        Cursor.parse(text)


def test_explain_says_why_each_was_in_or_out(world: World) -> None:
    """Delivered, over the budget, withheld: each candidate that is the viewer's has its reason."""
    source = world.source()
    world.document(source, "in.md", "fox fox fox")
    world.document(source, "long.md", "fox fox " + "long " * 400)
    world.document(source, "held.md", "fox held", state="held")
    answer = ask(world, max_tokens=100)
    explained = explain(world.gate, world.caller(), answer["id"])
    assert sorted(candidate["why"] for candidate in explained["candidates"]) == ["Delivered", "Held", "TooLong"]
    assert explained["query"] == "fox"
    assert explained["results"][0]["text"] == "fox fox fox"
    assert explained["receipt"] == answer["receipt"]


def test_who_may_look_at_an_answer(world: World) -> None:
    """Its receiver, the user for their agents, operators and auditors; an agent sees its own alone, others nothing."""
    world.document(world.source(), "a.md", "fox")
    mine, agents = ask(world)["id"], ask(world, caller=world.caller(agent="bot"))["id"]
    allowed = {
        mine: [world.caller(), world.caller("root", roles=[Role.OPERATOR]), world.caller("au", roles=[Role.AUDITOR])],
        agents: [world.caller(), world.caller(agent="bot"), world.caller("root", roles=[Role.OPERATOR])],
    }
    denied = {
        mine: [world.caller("bob"), world.caller(agent="bot")],
        agents: [world.caller("bob"), world.caller(agent="other"), world.caller("bob", agent="bot")],
    }
    for name, callers in allowed.items():
        for caller in callers:
            assert explain(world.gate, caller, name)["id"] == name
    for name, callers in denied.items():
        for caller in callers:
            with pytest.raises(NotFound):
                explain(world.gate, caller, name)


@pytest.mark.parametrize("mode", ["as-recorded", "re-verify", "re-run"])
def test_a_replay_shows_what_died(world: World, mode: str) -> None:
    """Text that has died is a digest as recorded and absent otherwise; the diff says what became of it."""
    source = world.source()
    world.document(source, "a.md", "fox one canary")
    world.document(source, "b.md", "fox two")
    answer = ask(world)
    chunk = next(hit["chunk"] for hit in answer["results"] if "canary" in hit["text"])
    world.bury(source, "a.md")
    again = replay(world.gate, world.caller(), answer["id"], mode)
    assert again["diff"] == [{"chunk": chunk, "was": "live", "is": "dead", "why": "Deleted"}]
    assert [hit["text"] for hit in again["results"] if "text" in hit] == ["fox two"]
    digests = [hit["digest"] for hit in again["results"] if "digest" in hit]
    assert len(digests) == (1 if mode == "as-recorded" else 0)


@pytest.mark.parametrize("mode", ["as-recorded", "re-verify", "re-run"])
def test_a_replay_goes_by_present_rights(world: World, mode: str) -> None:
    """What the viewer may no longer read leaves no text, no name and no state but absent."""
    source = world.source()
    world.document(source, "a.md", "fox canary")
    answer = ask(world)
    world.source(access={"readers": user("bob")})
    again = replay(world.gate, world.caller(), answer["id"], mode)
    assert [(row["is"], row["why"]) for row in again["diff"]] == [("absent", "NotAvailable")]
    assert all(hit.keys() == {"chunk", "digest", "provenance"} and not hit["provenance"] for hit in again["results"])


def test_a_replay_of_another_viewer_is_recorded_as_theirs(world: World) -> None:
    """An auditor who may read the text gets it, and hears of its death like any receiver; the query stays the caller's."""
    source = world.source(access={"readers": EVERYONE})
    (chunk,) = world.document(source, "a.md", "fox")
    answer = ask(world)
    auditor = world.caller("au", roles=[Role.AUDITOR])
    assert replay(world.gate, auditor, answer["id"], "as-recorded")["results"][0]["text"] == "fox"
    with pytest.raises(Invalid, match="query"):
        replay(world.gate, auditor, answer["id"], "re-run")
    world.bury(source, "a.md")
    assert [one.chunk for one in retracting.page(world.gate, auditor, Cursor(0)).items] == [chunk]


def test_an_erased_query_cannot_be_run_again(world: World) -> None:
    """Query text lies apart and may be erased; the record stays."""
    world.document(world.source(), "a.md", "fox")
    name = ask(world)["id"]
    world.run("DELETE FROM query_text")
    with pytest.raises(Invalid, match="not kept"):
        replay(world.gate, world.caller(), name, "re-run")
    assert "query" not in explain(world.gate, world.caller(), name)


def test_running_again_finds_what_is_new(world: World) -> None:
    """The diff names what was not there then."""
    source = world.source()
    world.document(source, "a.md", "fox")
    name = ask(world, sources=["default/docs"])["id"]
    (chunk,) = world.document(source, "b.md", "fox fox")
    again = replay(world.gate, world.caller(), name, "re-run")
    assert again["diff"] == [{"chunk": chunk, "was": "absent", "is": "live", "why": "FoundNow"}]
    assert again["id"] != name
