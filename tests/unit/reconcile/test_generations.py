"""P29: a changed model, a forced rebuild, changed chunking: no orphans, no mix, no empty window."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.reconcile.house import House, house, until
from trueup.catalog import settling
from trueup.model.index import PointState
from trueup.testing.source import MemorySource


@pytest.fixture
def h(tmp_path: Path) -> Iterator[House]:
    with house(tmp_path) as made:
        yield made


def words(name: str, count: int = 60) -> bytes:
    return "\n\n".join(f"## {name} {n}\n\n" + f"{name}{n} " * 30 for n in range(count)).encode()


def index(h: House, **spec: Any) -> None:
    manifest = {"apiVersion": "trueup.dev/v1alpha1", "kind": "ContextIndex", "metadata": {"name": "default", "namespace": "default"}, "spec": spec}
    h.controller.accept("ContextIndex", "default", "default", manifest, "user:owner")


def serving(h: House) -> list[Any]:
    return h.sql("SELECT id, index_key FROM generation WHERE state = 'serving' ORDER BY id")


def points(h: House, generation: int) -> set[str]:
    with h.store.read() as read:
        spec = settling.generation(read, generation)
    assert spec is not None
    return {id_ for id_, _ in h.index.scroll(spec, None, 10_000)}


def test_a_changed_model_is_built_beside_and_then_switched(h: House) -> None:
    """While the new generation is built the old one holds every document; after the switch the old one is gone."""
    h.sources["docs"] = MemorySource({f"{n}.md": words(f"w{n}", 3) for n in range(10)})
    index(h, embedding={"provider": "Hash", "dimensions": 8})
    h.apply()
    h.ready()
    before = dict(h.served())
    windows: list[int] = []
    index(h, embedding={"provider": "Hash", "dimensions": 16})

    def switched() -> bool:
        windows.append(len(h.served()))
        building = h.sql("SELECT 1 FROM generation WHERE index_key = 'default/default' AND state = 'building'")
        return not building

    until(switched, "switched")
    assert min(windows) == 10
    assert h.served() == before
    new = h.sql("SELECT max(id) FROM generation WHERE state = 'serving'")[0][0]
    until(lambda: len(points(h, new)) == len(h.sql("SELECT 1 FROM chunk WHERE generation_id = :g", g=new)), "points")
    until(lambda: not h.sql("SELECT 1 FROM chunk c JOIN generation g ON g.id = c.generation_id WHERE g.state = 'retired'"), "retired chunks dropped")


def test_a_new_index_takes_over_without_an_empty_window(h: House) -> None:
    """A ContextIndex named default takes the namespace's sources over from the built-in one, once it holds them."""
    h.sources["docs"] = MemorySource({f"{n}.md": words(f"w{n}", 2) for n in range(5)})
    h.apply()
    h.ready()
    assert h.sql("SELECT index_key FROM source")[0][0] == ""
    index(h, mode="Dense")
    counts: list[int] = []

    def moved() -> bool:
        counts.append(len(h.served()))
        return h.sql("SELECT index_key FROM source")[0][0] == "default/default"

    until(moved, "moved")
    assert min(counts) == 5
    assert (
        len(
            h.sql(
                "SELECT 1 FROM document d JOIN chunk c ON c.revision_id = d.revision_id JOIN generation g ON g.id = c.generation_id WHERE g.index_key = 'default/default'"
            )
        )
        > 0
    )


def test_a_forced_rebuild_embeds_nothing_again(h: House) -> None:
    """`index rebuild` makes the collection anew from cached vectors."""
    h.sources["docs"] = MemorySource({f"{n}.md": words(f"w{n}", 2) for n in range(5)})
    h.apply()
    h.ready()
    before, old = len(h.embedded()), serving(h)
    h.controller.rebuild()
    until(lambda: serving(h) != old, "rebuilt")
    assert len(h.embedded()) == before
    assert len(h.served()) == 5


def test_changed_chunking_leaves_no_orphans(h: House) -> None:
    """The old chunks answer until the new ones are there; then they are gone from the index's live points."""
    h.sources["docs"] = MemorySource({"a.md": words("alpha")})
    h.apply()
    h.ready()
    many = h.status()["chunks"]
    h.look(chunking={"maxTokens": 2048})
    h.ready()
    assert h.status()["chunks"] != many or len(h.sql("SELECT DISTINCT settings FROM document")) == 1
    assert h.tombstones() == []
    live = {row[0] for row in h.sql("SELECT point_id FROM chunk c JOIN revision r ON r.id = c.revision_id WHERE r.state = 'live'")}
    generation = serving(h)[0][0]

    def settled() -> bool:
        with h.store.read() as read:
            spec = settling.generation(read, generation)
        assert spec is not None
        return {id_ for id_, keys in h.index.scroll(spec, None, 10_000) if keys.state is PointState.LIVE} == live

    until(settled, "settled")


def test_a_document_that_shrinks_leaves_no_orphans(h: House) -> None:
    """P29: from ten chunks to two."""
    source = MemorySource({"a.md": words("alpha", 10), "b.md": words("beta", 1)})
    h.sources["docs"] = source
    h.apply()
    h.ready()
    source.put("a.md", words("alpha", 2))
    until(lambda: "alpha9" not in h.served().get("a.md", ""), "shrunk")
    assert h.status()["documents"]["live"] == 2
