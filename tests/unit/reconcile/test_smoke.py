from pathlib import Path

from tests.unit.reconcile.house import house, until
from trueup.testing.source import MemorySource


def test_a_deleted_file_is_gone(tmp_path: Path) -> None:
    """P01: delete a file → gone, with a tombstone that names the observation."""
    with house(tmp_path) as h:
        h.sources["docs"] = MemorySource({"a.md": b"# A\n\nalpha", "b.md": b"# B\n\nbeta"})
        h.apply()
        h.ready()
        assert set(h.served()) == {"a.md", "b.md"}
        h.sources["docs"].delete("a.md")
        until(lambda: set(h.served()) == {"b.md"}, "gone", 1.0)
        assert [(t.uri, t.reason) for t in h.tombstones()] == [("a.md", "Deleted")]
