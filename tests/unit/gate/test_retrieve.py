"""What leaves the gate, against a real catalog: nothing that is not live, readable and fresh."""

import uuid
from typing import Any

import pytest

from tests.unit.gate.world import EVERYONE, NOW, World, user
from trueup.errors import Denied, EmbeddingError, NotFound, Unauthenticated
from trueup.gate import recording
from trueup.gate.deps import Gate
from trueup.gate.retrieve import retrieve
from trueup.gate.wish import Wish
from trueup.model.index import Keys, Point
from trueup.model.listing import Presence
from trueup.model.principal import Caller


def ask(world: World, query: str = "fox", caller: Caller | None = None, **more: Any) -> dict[str, Any]:
    return retrieve(world.gate, caller or world.caller(), Wish(query, **more), {"top_k": 8, "max_tokens": 4000})


def uris(answer: dict[str, Any]) -> list[str]:
    return sorted(where["uri"] for hit in answer["results"] for where in hit["provenance"])


def test_a_stray_point_is_never_served(world: World) -> None:
    """A point that the catalog does not know is dropped, whatever the index says of it (P34)."""
    source = world.source()
    world.document(source, "a.md", "fox")
    acl = world.rows("SELECT id FROM acl")[0].id
    keys = Keys(tenant="default", source=source, document=1, acl=acl)
    world.index.upsert(world.generations[""], [Point(str(uuid.uuid4()), keys, world.words.embed(["fox fox fox"])[0]) for _ in range(40)])
    assert uris(ask(world, top_k=1)) == ["a.md"]


def test_dead_points_do_not_starve_the_living(world: World) -> None:
    """Where the best candidates are dead the gate searches again without them, and stops after its rounds."""
    source = world.source()
    for number in range(60):
        world.document(source, f"dead{number:02}.md", f"fox fox fox {number}")
        world.bury(source, f"dead{number:02}.md")
    world.document(source, "live.md", "fox and much else")
    assert uris(ask(world, top_k=4)) == ["live.md"]


def test_an_old_generation_is_not_mixed_in(world: World) -> None:
    """Chunks of another generation than the one served are dropped (P29)."""
    world.document(world.source(), "a.md", "fox")
    world.run("UPDATE chunk SET generation_id = 99")
    assert uris(ask(world)) == []


def test_narrowed_readers_hold_from_their_transaction(world: World) -> None:
    """The slot a document lies in is speed; what the source declares is truth (P04)."""
    source = world.source()
    world.document(source, "a.md", "fox")
    world.document(source, "secret/b.md", "fox two")
    assert uris(ask(world)) == ["a.md", "secret/b.md"]
    world.source(access={"readers": EVERYONE, "rules": [{"paths": ["secret/**"], "readers": []}]})
    assert uris(ask(world)) == ["a.md"]
    world.source(access={"readers": user("bob")})
    assert uris(ask(world)) == []
    assert uris(ask(world, caller=world.caller("bob"))) == ["a.md", "secret/b.md"]


def test_what_include_leaves_out_is_gone_from_its_transaction(world: World) -> None:
    """A document out of the declared scope is not of the source any more, whatever readers come with that declaration (P16)."""
    source = world.source(access={"readers": []})
    world.document(source, "a.md", "fox")
    world.document(source, "drop/b.md", "fox two")
    world.source(include=["*.md", "!drop/**"])
    assert uris(ask(world)) == ["a.md"]
    world.source(exclude=["a.md"])
    assert uris(ask(world)) == ["drop/b.md"]


def test_the_filter_alone_would_leak(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the predicate off, the misplaced document above leaves: the predicate is what holds it back."""
    source = world.source()
    world.document(source, "secret/b.md", "fox")
    world.source(access={"readers": EVERYONE, "rules": [{"paths": ["secret/**"], "readers": []}]})
    assert uris(ask(world)) == []
    monkeypatch.setattr("trueup.gate.verify.admits", lambda *_: True)
    assert uris(ask(world)) == ["secret/b.md"]


def test_no_readers_is_nobody(world: World) -> None:
    """A document without readers is delivered to nobody (A05)."""
    world.document(world.source(access={}), "a.md", "fox")
    assert uris(ask(world)) == []


def test_stale_content_is_withheld_and_counted(world: World) -> None:
    """When the lease has ended nothing of the source leaves, with the controller gone too; the count says so (P18, P40)."""
    source = world.source(freshness={"maxStaleness": "60s"})
    for number in range(3):
        world.document(source, f"{number}.md", f"fox {number}")
    world.clock.pass_(60)
    assert len(ask(world)["results"]) == 3
    world.clock.pass_(0.1)
    answer = ask(world)
    assert (answer["results"], answer["withheld"]) == ([], {"stale": 3, "held": 0, "quarantined": 0})
    world.run("UPDATE source SET verified_at = :now", now=world.clock.now())
    assert len(ask(world)["results"]) == 3


def test_stale_content_is_flagged_where_the_source_says_so(world: World) -> None:
    """onStale: Flag delivers it, marked (P20)."""
    world.document(world.source(freshness={"maxStaleness": "60s", "onStale": "Flag"}), "a.md", "fox")
    world.clock.pass_(61)
    (hit,) = ask(world)["results"]
    assert hit["provenance"][0]["freshness"]["state"] == "Stale"
    assert hit["provenance"][0]["freshness"]["age_seconds"] == 61


def test_a_stale_source_does_not_hide_another(world: World) -> None:
    """Many withheld documents do not starve a healthy source."""
    stale = world.source("stale", verified=NOW - 7200)
    for number in range(50):
        world.document(stale, f"{number}.md", f"fox fox fox {number}")
    world.document(world.source("good"), "good.md", "fox and other words here")
    answer = ask(world, top_k=4)
    assert uris(answer) == ["good.md"]
    assert answer["withheld"]["stale"] == 4


def test_a_clock_that_goes_back_makes_content_stale(world: World) -> None:
    """Nothing is fresh by a negative age, and the catalog is told (P23)."""
    world.document(world.source(), "a.md", "fox")
    world.clock.wall -= 30 * 86400
    assert ask(world)["results"] == []
    assert world.distrusted


def test_a_mark_in_the_future_is_a_clock_that_went_back(world: World) -> None:
    """After a restart there is no monotonic clock to compare with; the catalog's own mark tells."""
    world.document(world.source(verified=NOW - 3000), "a.md", "fox")
    world.clock.wall -= 600
    world.gate.guard.jumped()
    assert ask(world)["withheld"]["stale"] == 1
    assert world.distrusted == 1


def test_held_documents_are_hidden_and_counted(world: World) -> None:
    """What a suspicious listing misses is not served while it is held (P35)."""
    world.document(world.source(), "a.md", "fox")
    world.run("UPDATE document SET state = 'held'")
    answer = ask(world)
    assert (answer["results"], answer["withheld"]["held"]) == ([], 1)


def test_a_document_expires_although_its_file_is_there(world: World) -> None:
    """documentTTL counts since the version was first seen, and front matter may only shorten it (P37)."""
    source = world.source(freshness={"documentTTL": "100s"})
    world.document(source, "ttl.md", "fox one")
    world.document(source, "own.md", "fox two", expires_at=NOW + 50)
    assert uris(ask(world)) == ["own.md", "ttl.md"]
    world.clock.pass_(50)
    assert uris(ask(world)) == ["ttl.md"]
    world.clock.pass_(50)
    assert uris(ask(world)) == []


def test_superseded_text_lasts_five_seconds(world: World) -> None:
    """Then it is stale, whatever the lease says."""
    world.document(world.source(), "a.md", "fox", stale_at=NOW)
    world.clock.pass_(5)
    assert uris(ask(world)) == ["a.md"]
    world.clock.pass_(0.1)
    assert ask(world)["withheld"]["stale"] == 1


def test_two_sources_with_one_text_give_one_hit(world: World) -> None:
    """One hit with both places, the highest classification of those shown and the lowest trust; hidden ones are not listed (P25)."""
    one = world.source("one", access={"readers": EVERYONE, "classification": "Public"}, trust="Trusted")
    two = world.source("two", access={"readers": EVERYONE, "classification": "Confidential"})
    hidden = world.source("three", access={"readers": user("bob"), "classification": "Restricted"})
    for source in (one, two, hidden):
        world.document(source, "a.md", "fox")
    (hit,) = ask(world)["results"]
    assert sorted(where["source"] for where in hit["provenance"]) == ["default/one", "default/two"]
    assert (hit["classification"], hit["trust"]) == ("Confidential", "Untrusted")
    world.bury(one, "a.md")
    (hit,) = ask(world)["results"]
    assert [where["source"] for where in hit["provenance"]] == ["default/two"]
    world.bury(two, "a.md")
    assert ask(world)["results"] == []


def test_contradicting_sources_are_marked(world: World) -> None:
    """Both name each other; where the caller may not read one of them, nothing shows (P26)."""
    one, two = world.source("one"), world.source("two", access={"readers": user("alice")})
    world.document(one, "a.md", "fox is red", conflict_key="colour")
    world.document(two, "b.md", "fox is blue", conflict_key="colour")
    first, second = ask(world)["results"]
    assert (first["conflicts"], second["conflicts"]) == ([second["chunk"]], [first["chunk"]])
    (alone,) = ask(world, caller=world.caller("bob"))["results"]
    assert alone["conflicts"] == []


@pytest.mark.parametrize(
    ("paths", "found"),
    [
        (("docs/**",), ["docs/a.md", "docs/deep/b.txt"]),
        (("*.md",), ["c.md", "docs/a.md"]),
        (("docs/*.md", "/c.md"), ["c.md", "docs/a.md"]),
        (("docs/",), ["docs/a.md", "docs/deep/b.txt"]),
        (("deep/",), ["docs/deep/b.txt"]),
        (("docs/**", "!docs/deep/**"), ["docs/a.md"]),
        (("DOCS/**",), []),
        (("../**",), []),
    ],
)
def test_paths_narrow_exactly(world: World, paths: tuple[str, ...], found: list[str]) -> None:
    """Patterns mean what they mean in a .gitignore; the index filter made of them loses nothing."""
    source = world.source()
    for uri in ("docs/a.md", "docs/deep/b.txt", "c.md"):
        world.document(source, uri, f"fox {uri}")
    assert uris(ask(world, paths=paths)) == found


def test_modified_after_narrows(world: World) -> None:
    """Later than, and documents without a time are out."""
    source = world.source()
    for uri, modified in (("old.md", 10.0), ("new.md", 20.0), ("none.md", None)):
        world.document(source, uri, f"fox {uri}", modified=modified)
    assert uris(ask(world, modified_after=10.0)) == ["new.md"]


def test_named_sources_only(world: World) -> None:
    """The answer holds nothing else, and one that is not there is an error for the whole."""
    for name in ("one", "two"):
        world.document(world.source(name), f"{name}.md", f"fox {name}")
    assert uris(ask(world, sources=("default/one",))) == ["one.md"]
    with pytest.raises(NotFound):
        ask(world, sources=("default/one", "default/three"))


def test_several_indexes_are_merged_by_rank(world: World) -> None:
    """Sources in different indexes are asked with each index's own vectors and merged."""
    world.serve("default/other")
    world.document(world.source("one"), "one.md", "fox fox fox")
    world.document(world.source("two", index_key="default/other"), "two.md", "fox")
    answer = ask(world)
    assert uris(answer) == ["one.md", "two.md"]
    assert [hit["score"] for hit in answer["results"]] == sorted((hit["score"] for hit in answer["results"]), reverse=True)


def test_a_broken_model_costs_its_own_sources(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another index still answers, and the broken one's sources are degraded; if none is left, the answer is no."""
    broken = world.serve("default/other")
    world.document(world.source("one"), "one.md", "fox")
    world.document(world.source("two", index_key="default/other"), "two.md", "fox two")
    get = world.words.get

    def failing(generation: Any) -> Any:
        if generation.id == broken.id:
            raise EmbeddingError(why="not installed")
        return get(generation)

    monkeypatch.setattr(world.words, "get", failing)
    answer = ask(world)
    assert uris(answer) == ["one.md"]
    assert answer["degraded"] == [{"source": "default/two", "reason": "EmbeddingFailed"}]
    with pytest.raises(Denied):
        ask(world, sources=("default/two",))


def test_degraded_names_visible_sources_only(world: World) -> None:
    """A failing source is named to those who can see it, in the sources asked for."""
    for name, readers in (("mine", user("alice")), ("other", user("bob")), ("well", EVERYONE)):
        world.source(name, access={"readers": readers})
    world.run("UPDATE source SET failure = :f WHERE name <> 'well'", f='{"reason":"FetchFailed","message":"m"}')
    world.run("UPDATE source SET gaps = :g WHERE name = 'well'", g='[{"prefix":"secret/name","reason":"denied"}]')
    answer = ask(world)
    assert answer["degraded"] == [{"source": "default/mine", "reason": "FetchFailed"}, {"source": "default/well", "reason": "Incomplete"}]
    assert ask(world, sources=("default/well",))["degraded"] == [{"source": "default/well", "reason": "Incomplete"}]


@pytest.mark.parametrize(("mode", "age", "asked"), [("Never", 50, 0), ("Always", 0, 1), ("30s", 29, 0), ("30s", 30, 1)])
def test_the_source_is_asked_when_it_wants_to_be(world: World, mode: str, age: float, asked: int) -> None:
    """verifyOnRead: never, always, or when it last vouched that long ago."""
    world.document(world.source(freshness={"verifyOnRead": mode}), "a.md", "fox")
    world.clock.pass_(age)
    assert uris(ask(world)) == ["a.md"]
    assert len(world.controller.asked) == asked


@pytest.mark.parametrize("presence", [Presence.CHANGED, Presence.ABSENT])
def test_what_the_source_no_longer_has_is_not_delivered(world: World, presence: Presence) -> None:
    """It is dropped, the source is due, and the next best takes its place."""
    source = world.source(freshness={"verifyOnRead": "Always"})
    world.document(source, "a.md", "fox fox")
    world.document(world.source("other"), "b.md", "fox and others")
    world.controller.presence = presence
    answer = ask(world, top_k=1)
    assert uris(answer) == ["b.md"]
    assert world.controller.hints == ["default/docs"]


@pytest.mark.parametrize("on_stale", ["Withhold", "Flag"])
def test_a_source_that_does_not_answer_counts_as_stale(world: World, on_stale: str) -> None:
    """No answer in time is no vouching."""
    world.document(world.source(freshness={"verifyOnRead": "Always", "onStale": on_stale}), "a.md", "fox")
    world.controller.presence = None
    answer = ask(world)
    if on_stale == "Withhold":
        assert (answer["results"], answer["withheld"]["stale"]) == ([], 1)
    else:
        assert answer["results"][0]["provenance"][0]["freshness"]["state"] == "Stale"


def test_what_dies_while_the_source_is_asked_is_not_delivered(world: World) -> None:
    """After asking, the catalog is read again: the last snapshot is what counts (P33)."""
    source = world.source(freshness={"verifyOnRead": "Always"})
    world.document(source, "a.md", "fox")

    def check(*_: object) -> Presence:
        world.bury(source, "a.md")
        return Presence.SAME

    world.controller.check = check  # type: ignore[method-assign]
    assert ask(world)["results"] == []


def test_a_token_revoked_during_the_search_gets_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Revocation is checked in the snapshot that verifies."""
    world.document(world.source(), "a.md", "fox")
    caller = world.caller()
    search = world.index.search

    def slow(*args: Any) -> Any:
        world.run("INSERT INTO revocation VALUES ('token', :jti, 0, 0)", jti=caller.token)
        return search(*args)

    monkeypatch.setattr(world.index, "search", slow)
    with pytest.raises(Unauthenticated):
        ask(world, caller=caller)


def test_nothing_leaves_before_it_is_recorded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The record holds who got what, of which revision, at which sequence, and why each candidate was in or out."""
    source = world.source()
    world.document(source, "a.md", "fox one")
    world.document(source, "b.md", "fox two")
    world.bury(source, "b.md")
    answer = ask(world, query="fox canary")
    row = world.rows("SELECT * FROM retrieval")[0]
    assert (row.id, row.principal) == (answer["id"], "user:alice")
    assert row.seq == world.rows("SELECT value FROM sequence")[0].value
    assert "canary" not in f"{row.request}{row.query}{row.scope}{row.answer}"
    assert "fox one" not in row.answer
    assert [r.text for r in world.rows("SELECT text FROM query_text")] == ["fox canary"]
    delivered = world.rows("SELECT point_id, seq FROM delivery")
    assert [(r.point_id, r.seq) for r in delivered] == [(answer["results"][0]["chunk"], row.seq)]

    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(recording.history, "record", refuse)
    with pytest.raises(RuntimeError):
        ask(world)


def test_a_chunk_whose_text_is_gone_is_not_delivered(world: World) -> None:
    """Purged text is no empty hit."""
    world.document(world.source(), "a.md", "fox")
    world.run("DELETE FROM body")
    assert ask(world)["results"] == []


def test_the_gate_keeps_nothing_of_one_caller_for_another(world: World) -> None:
    """What is shared between requests is compiled declarations and the map of slots, keyed by what the catalog holds (A26)."""
    world.document(world.source(access={"readers": user("bob")}), "a.md", "fox")
    assert uris(ask(world, caller=world.caller("bob"))) == ["a.md"]
    assert uris(ask(world)) == []
    assert {
        name
        for name in Gate.__dataclass_fields__
        if name not in {"store", "index", "embedders", "clock", "identity", "keys", "controller", "distrust", "reviews", "hook_secret"}
    } == {
        "policies",
        "atlas",
        "guard",
        "askers",
    }
