"""Corners of looking: what comes at the same moment as something else, and what is declared anew."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.reconcile.house import House, house, until
from trueup.catalog import placing
from trueup.errors import SourceUnavailable
from trueup.model.listing import Hint
from trueup.reconcile.controller import Controller
from trueup.sources.directory.source import DirectorySource
from trueup.testing.source import MemorySource


def text(word: str) -> bytes:
    return f"# Title\n\n{word} line of this paragraph of text".encode()


@pytest.fixture
def h(tmp_path: Path) -> Iterator[House]:
    with house(tmp_path) as made:
        yield made


def declared(h: House, documents: dict[str, bytes], *, hints: bool = True, probes: bool = True, **spec: object) -> MemorySource:
    h.sources["docs"] = source = MemorySource(documents, hints=hints, probes=probes)
    h.apply(**spec)
    h.ready()
    return source


def directory(path: str) -> dict[str, Any]:
    return {"type": "Directory", "directory": {"path": path}}


def git(branch: str, url: str = "https://git.example.org/docs.git") -> dict[str, Any]:
    return {"type": "Git", "git": {"url": url, "ref": {"branch": branch}}}


# --- what is declared anew ------------------------------------------------------------------------------------------------


def test_another_origin_is_another_source(h: House) -> None:
    """What came from the folder named before is dead with the declaration, also while the new one cannot be read: whoever may
    read the new one was never meant to see it.
    """
    source = declared(h, {"a.md": text("alpha"), "b.md": text("beta")}, source=directory("/hr"))
    source.faults.outage = SourceUnavailable(why="down")
    h.apply(source=directory("/public"))
    assert h.served() == {}
    assert {(t.uri, t.reason) for t in h.tombstones()} == {("a.md", "Excluded"), ("b.md", "Excluded")}
    source.faults.clear()
    h.look()
    assert set(h.served()) == {"a.md", "b.md"}


@pytest.mark.parametrize(
    ("more", "served"),
    [({}, {"a.md"}), ({"access": {"readers": [{"kind": "User", "name": "eve"}]}}, set())],
    ids=["same readers", "other readers"],
)
def test_another_branch_is_compared_unless_its_readers_are_others(h: House, more: dict[str, Any], served: set[str]) -> None:
    """A branch of the same repository leaves no empty window; with other readers nothing of the branch before is theirs."""
    source = declared(h, {"a.md": text("alpha")}, source=git("main"))
    source.faults.outage = SourceUnavailable(why="down")
    h.apply(source=git("next"), **more)
    assert set(h.served()) == served


def test_what_was_too_large_is_loaded_once_it_may_be(h: House) -> None:
    """A raised limit needs no edit of the document."""
    declared(h, {"a.md": text("alpha"), "big.md": text("word " * 600)}, limits={"maxDocumentBytes": "1Ki"})
    assert set(h.served()) == {"a.md"}
    h.apply(limits={"maxDocumentBytes": "1Mi"})
    until(lambda: set(h.served()) == {"a.md", "big.md"}, "the large one is served")


def test_a_declaration_adopted_late_does_not_undo_a_later_one(h: House) -> None:
    """Two applies at once: the controller goes on with what the catalog holds, or it would never look again."""
    declared(h, {"a.md": text("alpha")})
    (origin,) = h.core.origins()
    before = origin.view
    h.apply(include=["*.md"])
    h.core.adopt(origin.id, before)
    assert origin.view.resource.metadata.generation == 2
    h.ready()


def test_the_clock_is_doubted_before_the_first_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """P23, P27: a look renews leases by the present clock, so it must not come before they are doubted."""
    with house(tmp_path) as first:
        declared(first, {"a.md": text("alpha")})
    order: list[str] = []
    adopt, distrust = Controller.adopt, placing.distrust

    def adopting(self: Controller, *args: Any) -> Any:
        order.append("adopt")
        return adopt(self, *args)

    def distrusting(tx: Any) -> None:
        order.append("distrust")
        distrust(tx)

    monkeypatch.setattr(Controller, "adopt", adopting)
    monkeypatch.setattr(placing, "distrust", distrusting)
    second = House(tmp_path)
    second.clock.shift = -30 * 86400.0  # type: ignore[attr-defined]
    second.sources["docs"] = MemorySource({"a.md": text("alpha")})
    second.controller.start()
    try:
        assert order == ["distrust", "adopt"]
    finally:
        second.controller.stop()
        second.store.close()


# --- the guard ------------------------------------------------------------------------------------------------------------


def test_the_only_document_replaced_by_another_is_no_empty_listing(h: House) -> None:
    """Guard: a listing with a new document in it is not empty, so the rule of numbers decides, and one may go."""
    source = declared(h, {"a.md": text("alpha")}, hints=False)
    source.put("b.md", text("beta"))
    source.delete("a.md")
    h.look()
    assert set(h.served()) == {"b.md"}
    assert [(t.uri, t.reason) for t in h.tombstones()] == [("a.md", "Deleted")]


def test_moves_do_not_count_against_a_deletion_that_follows(h: House) -> None:
    """Guard: a moved document is not a missed one, in a burst of looks either."""
    source = declared(h, {f"old/{n:02}.md": text(f"word{n}") for n in range(20)}, hints=False)
    for n in range(15):
        source.rename(f"old/{n:02}.md", f"new/{n:02}.md")
    h.look()
    source.delete("old/19.md")
    h.look()
    assert h.condition("DeletionHeld") is None
    assert "Deleted" in {t.reason for t in h.tombstones()}


def test_what_is_being_loaded_does_not_bring_back_what_is_held(h: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """P35: an edit in flight while everything vanishes is not published, and what returns is what the source has then."""
    documents = {f"{n:02}.md": text(f"word{n}") for n in range(12)}
    source = declared(h, documents, hints=False)
    source.put("00.md", text("edited"))
    monkeypatch.setattr(h.core.loader, "_claim", list)  # nothing is loaded yet
    h.core.hint("default", "docs")
    until(lambda: h.sql("SELECT 1 FROM document WHERE wanted IS NOT NULL") != [], "the edit is seen")
    source.clear()
    h.core.hint("default", "docs")
    until(lambda: h.status()["documents"]["held"] == 12, "held")
    monkeypatch.undo()
    assert h.sql("SELECT uri FROM document WHERE wanted IS NOT NULL") == []
    source.put_all({**documents, "00.md": text("edited")})
    h.core.hint("default", "docs")
    until(lambda: len(h.served()) == 12 and "edited" in h.served()["00.md"], "back as it is now")


def test_a_hold_ends_with_its_last_document(h: House) -> None:
    """P35: documents that return edited are loaded, and with the last of them the hold is over without a further look."""
    documents = {f"{n:02}.md": text(f"word{n}") for n in range(12)}
    source = declared(h, documents, hints=False)
    source.clear()
    h.look()
    assert h.status()["documents"]["held"] == 12
    source.put_all({uri: data + b" again" for uri, data in documents.items()})
    h.core.hint("default", "docs")
    until(lambda: len(h.served()) == 12, "returned")
    until(lambda: h.condition("DeletionHeld") is None and "heldDeletion" not in h.status(), "no hold is told")


# --- moves, gaps, probes --------------------------------------------------------------------------------------------------


def test_the_old_place_dies_with_the_look_that_finds_the_new_one(h: House) -> None:
    """P04: a move into a folder that is not watched yet is hinted at its new place alone; nobody may have both meanwhile."""
    source = declared(h, {"public/a.md": text("alpha"), "b.md": text("beta")}, hints=False)
    source.rename("public/a.md", "secret/a.md")
    h.core.hints.give(h.core.origins()[0].id, Hint(("secret",)))
    until(lambda: "secret/a.md" in h.served(), "moved")
    assert [(t.uri, t.reason, t.successor) for t in h.tombstones()] == [("public/a.md", "Moved", "secret/a.md")]
    assert set(h.served()) == {"secret/a.md", "b.md"}


def test_a_further_hard_link_takes_nothing_away(h: House, tmp_path: Path) -> None:
    """Two links to a file look like a move as long as only the new one is asked about."""
    root = tmp_path / "docs"
    root.mkdir()
    (root / "a.md").write_bytes(text("alpha"))
    h.sources["docs"] = DirectorySource(root, (), 60.0)
    h.apply()
    h.ready()
    os.link(root / "a.md", root / "b.md")
    until(lambda: set(h.served()) == {"a.md", "b.md"}, "both")
    time.sleep(0.3)
    assert set(h.served()) == {"a.md", "b.md"}


def test_a_root_that_is_replaced_is_seen_without_its_interval(h: House, tmp_path: Path) -> None:
    """Watched: another folder in the place of the root gives no event, and is looked at and watched all the same."""
    root = tmp_path / "docs"
    for name, word in (("docs", "alpha"), ("next", "beta")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.md").write_bytes(text(word))
    h.sources["docs"] = DirectorySource(root, (), 60.0)
    h.apply()
    h.ready()
    root.rename(tmp_path / "before")
    (tmp_path / "next").rename(root)
    until(lambda: "beta" in h.served().get("a.md", ""), "the new folder's text")
    (root / "b.md").write_bytes(text("gamma"))
    until(lambda: "b.md" in h.served(), "watched anew")


def test_a_gap_is_not_made_fresh_by_a_clock_that_went_back(h: House) -> None:
    """P23, P24a: nobody vouches for what lies in a gap, so it does not take its source's new lease."""
    source = declared(h, {"in/a.md": text("alpha"), "out/b.md": text("beta")}, probes=False)
    h.store.write(placing.distrust)
    source.faults.gaps = ("in",)
    h.look()
    verified = dict(h.sql("SELECT uri, verified_at FROM document"))
    assert verified["out/b.md"] is None
    assert verified["in/a.md"] == float("-inf")
    source.faults.clear()
    h.look()
    assert dict(h.sql("SELECT uri, verified_at FROM document"))["in/a.md"] is None


def test_a_version_that_vanished_is_found_again_after_a_failure(h: House) -> None:
    """A probe that shows the decided revision says nothing of a document whose version could not be read then."""
    source = declared(h, {"a.md": text("alpha"), "b.md": text("beta")}, hints=False)
    h.store.write(
        lambda tx: tx.run(placing.sa.text("UPDATE document SET version = NULL, wanted = NULL, state = 'pending', revision_id = NULL WHERE uri = 'b.md'"))
    )
    source.faults.outage = SourceUnavailable(why="down")
    h.apply(annotations={"trueup.dev/requestedAt": "1"})
    until(lambda: h.condition("FetchFailed") is not None, "failed")
    source.faults.clear()
    h.look()
    assert set(h.served()) == {"a.md", "b.md"}
