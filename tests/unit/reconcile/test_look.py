"""What looks decide: the P rows over twins, through the whole controller."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.reconcile.house import House, house, until
from trueup.catalog import placing
from trueup.errors import SourceUnavailable
from trueup.model.listing import Hint
from trueup.testing.source import MemorySource
from trueup.testing.source_faults import FaultySource


def text(word: str, lines: int = 1) -> bytes:
    return ("# Title\n\n" + "\n\n".join(f"{word} line {n} of this paragraph of text" for n in range(lines))).encode()


@pytest.fixture
def h(tmp_path: Path) -> Iterator[House]:
    with house(tmp_path) as made:
        yield made


def declared(h: House, documents: dict[str, bytes], **spec: object) -> MemorySource:
    source = MemorySource(documents)
    h.sources["docs"] = source
    h.apply(**spec)
    h.ready()
    return source


def test_an_edit_replaces_the_text(h: House) -> None:
    """P05: only the new text; the old revision is tombstoned as superseded."""
    source = declared(h, {"a.md": text("old"), "b.md": text("other")})
    source.put("a.md", text("new"))
    until(lambda: "new line" in h.served().get("a.md", ""), "edited")
    assert "old line" not in h.served()["a.md"]
    assert [(t.uri, t.reason) for t in h.tombstones()] == [("a.md", "Superseded")]


def test_a_rename_re_embeds_nothing(h: House) -> None:
    """P03: one hit under the new path, lineage says renamed, nothing is embedded again."""
    source = declared(h, {"a.md": text("alpha"), "b.md": text("beta")})
    before = len(h.embedded())
    source.rename("a.md", "c.md")
    until(lambda: set(h.served()) == {"b.md", "c.md"}, "renamed")
    assert [(t.uri, t.reason, t.successor) for t in h.tombstones()] == [("a.md", "Moved", "c.md")]
    assert len(h.embedded()) == before


def test_a_rename_told_in_two_hints_is_one_move(h: House) -> None:
    """P03: a watch tells of the new place first where the folder is new; the old place's tombstone still says where it went."""
    h.sources["docs"] = source = MemorySource({"a.md": text("alpha"), "b.md": text("beta")}, hints=False)
    h.apply()
    h.ready()
    source.rename("a.md", "new/c.md")
    h.core.hints.give(1, Hint(("new",)))
    until(lambda: "new/c.md" in h.served(), "seen at its new place")
    h.core.hints.give(1, Hint(("a.md",)))
    until(lambda: set(h.served()) == {"b.md", "new/c.md"}, "gone from its old place")
    assert [(t.uri, t.reason, t.successor) for t in h.tombstones()] == [("a.md", "Moved", "new/c.md")]


def test_a_copy_and_delete_is_known_as_a_move(h: House) -> None:
    """P03: without an identity, the digest tells the lineage when the copy is loaded."""
    source = declared(h, {"a.md": text("alpha"), "b.md": text("beta")})
    before = len(h.embedded())
    with_copy = {**source.documents, "z.md": text("alpha")}
    del with_copy["a.md"]
    source.put_all({"z.md": text("alpha")})
    source.delete("a.md")
    until(lambda: set(h.served()) == {"b.md", "z.md"}, "moved")
    assert len(h.embedded()) == before


def test_re_creation_serves_the_document_once(h: House) -> None:
    """P06, P07: deleted and re-created with the same and with other bytes: only the present one, never shadowed."""
    source = declared(h, {"a.md": text("alpha"), "b.md": text("beta")})
    for words in ("alpha", "gamma", "alpha"):
        source.delete("a.md")
        until(lambda: "a.md" not in h.served(), "deleted")
        source.put("a.md", text(words))
        until(lambda w=words: f"{w} line" in h.served().get("a.md", ""), f"re-created as {words}")  # type: ignore[misc]
    points = h.sql("SELECT count(*), count(DISTINCT point_id) FROM chunk")[0]
    assert points[0] == points[1]


def test_everything_vanishing_is_held_and_restored(h: House) -> None:
    """P35: an empty listing hides at once and erases nothing; the documents' return releases the hold without embedding."""
    documents = {f"{n}.md": text(f"word{n}") for n in range(12)}
    source = declared(h, documents)
    before = len(h.embedded())
    source.clear()
    until(lambda: not h.served(), "hidden", 1.5)
    until(lambda: "heldDeletion" in h.status(), "held in status")
    assert h.status()["heldDeletion"]["documents"] == 12
    assert h.tombstones() == []
    source.put_all(documents)
    h.look()
    assert len(h.served()) == 12
    assert len(h.embedded()) == before
    assert "heldDeletion" not in h.status()
    assert h.tombstones() == []


def test_a_hold_is_released_only_by_its_own_id(h: House) -> None:
    """Guard: another id releases nothing; the very id erases what was hidden."""
    source = declared(h, {f"{n}.md": text(f"word{n}") for n in range(20)})
    source.delete(*[f"{n}.md" for n in range(15)])
    until(lambda: "heldDeletion" in h.status(), "held")
    observation = h.status()["heldDeletion"]["observation"]
    h.apply(annotations={"trueup.dev/confirmDeletion": "obs-other"})
    h.look()
    assert "heldDeletion" in h.status()
    h.apply(annotations={"trueup.dev/confirmDeletion": observation})
    until(lambda: "heldDeletion" not in h.status(), "confirmed")
    assert {t.observation for t in h.tombstones()} == {observation}
    assert len(h.tombstones()) == 15
    assert "DeletionConfirmed" in h.events()


def test_one_unrelated_survivor_does_not_release_the_guard(h: House) -> None:
    """P35: twelve of thirteen gone is as suspicious as all."""
    source = declared(h, {f"{n:02}.md": text(f"word{n}") for n in range(13)})
    source.delete(*[f"{n:02}.md" for n in range(12)])
    until(lambda: set(h.served()) == {"12.md"}, "hidden", 1.5)
    until(lambda: "heldDeletion" in h.status(), "held")
    assert h.tombstones() == []


def test_a_renamed_folder_is_not_held(h: House) -> None:
    """Guard: a moved document is not a missed one."""
    source = declared(h, {f"old/{n:02}.md": text(f"word{n}") for n in range(15)})
    source.hints = False
    for n in range(15):
        source.rename(f"old/{n:02}.md", f"new/{n:02}.md")
    h.look()
    assert set(h.served()) == {f"new/{n:02}.md" for n in range(15)}
    assert {t.reason for t in h.tombstones()} == {"Moved"}


def test_a_gap_deletes_and_renews_nothing_inside(h: House) -> None:
    """P24a: outside the gap everything applies; inside nothing is removed and its lease keeps its old time."""
    source = declared(h, {"in/a.md": text("a"), "in/b.md": text("b"), "out/c.md": text("c"), "out/d.md": text("d")})
    source.faults.gaps = ("in",)
    source.delete("out/c.md")
    h.look()
    assert set(h.served()) == {"in/a.md", "in/b.md", "out/d.md"}
    verified = dict(h.sql("SELECT uri, verified_at FROM document WHERE state = 'live'"))
    (renewed,) = h.sql("SELECT verified_at FROM source")[0]
    assert verified["out/d.md"] is None
    assert verified["in/a.md"] is not None
    assert verified["in/a.md"] < renewed
    assert h.condition("FetchFailed") is not None
    source.faults.clear()
    h.look()
    assert dict(h.sql("SELECT uri, verified_at FROM document WHERE state = 'live'"))["in/a.md"] is None
    assert h.condition("FetchFailed") is None


def test_an_outage_deletes_nothing_and_renews_nothing(h: House) -> None:
    """P17: Ready is False with the reason, Fresh stays True until the lease ends, and nothing is tombstoned."""
    source = declared(h, {"a.md": text("a")})
    (before,) = h.sql("SELECT verified_at FROM source")[0]
    source.faults.outage = SourceUnavailable(why="connection refused")
    h.apply(annotations={"trueup.dev/requestedAt": "1"})
    until(lambda: (h.condition("Ready") or {}).get("status") == "False", "not ready")
    assert (h.condition("Fresh") or {})["status"] == "True"
    assert h.condition("Ready")["reason"] == "FetchFailed"  # type: ignore[index]
    assert set(h.served()) == {"a.md"}
    assert h.sql("SELECT verified_at FROM source")[0][0] == before
    source.faults.clear()
    h.look()
    assert "Recovered" in h.events()
    assert h.tombstones() == []


def test_narrowed_include_excludes_at_once(h: House) -> None:
    """P16: what is out of scope now is gone, guard or not, also while the source is out of reach."""
    source = declared(h, {f"drop/{n}.md": text(f"w{n}") for n in range(20)} | {"keep/a.md": text("keep")})
    source.faults.outage = SourceUnavailable(why="down")
    h.apply(include=["keep/**"])
    until(lambda: set(h.served()) == {"keep/a.md"}, "excluded", 1.5)
    assert {t.reason for t in h.tombstones()} == {"Excluded"}


def test_deleting_the_resource_kills_everything(h: House) -> None:
    """P15: dead when the call returns, whether the source can be reached or not."""
    source = declared(h, {"a.md": text("a"), "b.md": text("b")})
    source.faults.outage = SourceUnavailable(why="down")
    h.withdraw()
    assert h.served() == {}
    assert {t.reason for t in h.tombstones()} == {"SourceDeleted"}


def test_a_poison_document_fails_alone(h: House) -> None:
    """One document that cannot be read is counted and retried; the others are served."""
    h.sources["docs"] = MemorySource({"good.md": text("good"), "bad.md": b"---\nexpires: nonsense\n---\ntext"})
    h.apply()
    h.ready()
    assert set(h.served()) == {"good.md"}
    assert h.status()["documents"]["failed"] == 1
    assert h.status()["examples"][0]["reason"] == "BadExpiry"


def test_a_history_that_goes_back_is_served(h: House) -> None:
    """Origin goes back: the older revision is the truth, the guard does not hold it, and an event tells."""
    source = declared(h, {"a.md": text("a")})
    first = source.head
    source.put_all({f"{n}.md": text(f"later{n}") for n in range(20)})
    h.look()
    source.check_out(first)
    h.look()
    assert set(h.served()) == {"a.md"}
    assert "HistoryRewritten" in h.events()
    assert {t.reason for t in h.tombstones()} == {"HistoryRewritten"}


def test_a_suspended_source_is_not_looked_at(h: House) -> None:
    """Suspend: no looks and no hints, and Ready keeps what it said."""
    source = declared(h, {"a.md": text("a")})
    h.apply(suspend=True)
    until(lambda: h.condition("Suspended") is not None, "suspended")
    source.delete("a.md")
    source.put("b.md", text("b"))
    h.apply(suspend=True, annotations={"trueup.dev/requestedAt": "x"})
    until(lambda: h.status()["conditions"][0]["status"] == "True", "frozen")
    assert set(h.served()) == {"a.md"}


def test_a_quiet_source_costs_one_probe(h: House) -> None:
    """An unchanged revision renews the lease and lists nothing."""
    source = declared(h, {"a.md": text("a")})
    faulty = FaultySource(source)
    listed: list[object] = []
    observe = source.observe
    source.observe = lambda *a: listed.append(a) or observe(*a)  # type: ignore[func-returns-value, method-assign, assignment]
    (before,) = h.sql("SELECT verified_at FROM source")[0]
    h.look()
    assert listed == []
    assert h.sql("SELECT verified_at FROM source")[0][0] > before
    assert faulty is not None


def test_a_clock_that_went_back_makes_everything_stale_until_read(h: House) -> None:
    """P23: nothing is fresh by a negative age or by a lease from the future."""
    declared(h, {"a.md": text("a")})
    h.store.write(placing.distrust)
    assert h.sql("SELECT verified_at FROM source")[0][0] is None
    h.look()
    assert h.sql("SELECT verified_at FROM source")[0][0] is not None
