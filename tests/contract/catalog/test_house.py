"""The whole controller over PostgreSQL: the rows of the phantom suite that its catalog decides."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.reconcile.house import House, house, until
from trueup.errors import SourceUnavailable
from trueup.testing.source import MemorySource


@pytest.fixture
def h(tmp_path: Path, postgres_catalog: str) -> Iterator[House]:
    with house(tmp_path, postgres_catalog) as made:
        yield made


def declared(h: House, documents: dict[str, bytes]) -> MemorySource:
    source = MemorySource(documents)
    h.sources["docs"] = source
    h.apply()
    h.ready()
    return source


def test_a_deleted_file_is_gone(h: House) -> None:
    """P01: gone, with a tombstone that names the observation."""
    source = declared(h, {"a.md": b"# A\n\nalpha", "b.md": b"# B\n\nbeta"})
    source.delete("a.md")
    until(lambda: set(h.served()) == {"b.md"}, "gone")
    (tombstone,) = h.tombstones()
    assert (tombstone.uri, tombstone.reason) == ("a.md", "Deleted")
    assert tombstone.observation.startswith("obs-")


def test_an_edit_replaces_the_text(h: House) -> None:
    """P05: only the new text."""
    source = declared(h, {"a.md": b"the old text", "b.md": b"another text"})
    source.put("a.md", b"the new text")
    until(lambda: "new" in h.served().get("a.md", ""), "edited")
    assert "old" not in h.served()["a.md"]
    assert [(t.uri, t.reason) for t in h.tombstones()] == [("a.md", "Superseded")]


def test_deleting_the_resource_kills_everything(h: House) -> None:
    """P15: dead when the call returns, whether the source can be reached or not."""
    source = declared(h, {"a.md": b"alpha", "b.md": b"beta"})
    source.faults.outage = SourceUnavailable(why="down")
    h.withdraw()
    assert h.served() == {}
    assert {t.reason for t in h.tombstones()} == {"SourceDeleted"}


def test_everything_vanishing_is_held_and_restored(h: House) -> None:
    """P35: hidden at once, erased by nobody, back without embedding anything again."""
    documents = {f"{n}.md": f"text of document {n}".encode() for n in range(12)}
    source = declared(h, documents)
    before = len(h.embedded())
    source.clear()
    until(lambda: not h.served(), "hidden")
    until(lambda: "heldDeletion" in h.status(), "held in status")
    assert h.tombstones() == []
    source.put_all(documents)
    h.look()
    assert len(h.served()) == 12
    assert len(h.embedded()) == before
    assert "heldDeletion" not in h.status()
