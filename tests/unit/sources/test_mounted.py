"""A ConfigMap or Secret mounted into the pod: the kubelet's links, swapped under a directory source."""

from __future__ import annotations

from pathlib import Path

import pytest

from trueup.decide.selection import GlobSelection
from trueup.errors import SourceError, VersionGone
from trueup.model.listing import Complete, Item, Scope
from trueup.sources.directory import DirectorySource


def write(volume: Path, stamp: str, files: dict[str, str]) -> None:
    """What kubelet's AtomicWriter does: a new folder, a new link, renamed over the old one, and links beside it."""
    folder = volume / f"..{stamp}"
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
        if not (volume / name).is_symlink():
            (volume / name).symlink_to(f"..data/{name}")
    (volume / "..data_tmp").symlink_to(folder.name)
    (volume / "..data_tmp").replace(volume / "..data")


def listed(source: DirectorySource) -> dict[str, str]:
    selection = GlobSelection((), (), supported=lambda _: True)
    found = list(source.observe(Scope(), selection, None))
    assert isinstance(found[-1], Complete)
    return {item.uri: item.version for item in found if isinstance(item, Item)}


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    folder = tmp_path / "volume"
    folder.mkdir()
    return folder


def test_the_files_are_documents_of_their_own_names(volume: Path) -> None:
    """The links are the kubelet's: behind them each key is a document, and nothing is listed twice."""
    write(volume, "2026_1", {"a.md": "one", "b.md": "two"})
    source = DirectorySource(volume, (), 5.0)
    found = listed(source)
    assert sorted(found) == ["a.md", "b.md"]
    assert source.read("a.md", found["a.md"], 100).data == b"one"


def test_a_swap_is_seen_by_the_next_listing(volume: Path) -> None:
    """What changed has another version, what was removed is gone, and the old version cannot be read any more."""
    write(volume, "2026_1", {"a.md": "one", "b.md": "two"})
    source = DirectorySource(volume, (), 5.0)
    before = listed(source)
    write(volume, "2026_2", {"a.md": "other"})
    after = listed(source)
    assert list(after) == ["a.md"]
    assert source.read("a.md", after["a.md"], 100).data == b"other"
    with pytest.raises(VersionGone):
        source.read("a.md", before["a.md"], 100)
    with pytest.raises(SourceError):
        source.read("b.md", before["b.md"], 100)


@pytest.mark.parametrize("target", ["../secret", "/etc", "plain", "..", "..x/y"])
def test_no_other_link_is_followed(tmp_path: Path, volume: Path, target: str) -> None:
    """P13: whoever can write into the folder cannot lead the source out of it by a link named `..data`."""
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "a.md").write_text("not for you")
    (volume / "plain").mkdir()
    (volume / "..data").symlink_to(target)
    (volume / "b.md").write_text("mine")
    assert "b.md" in listed(DirectorySource(volume, (), 5.0))
    assert "a.md" not in listed(DirectorySource(volume, (), 5.0))


def test_a_link_to_a_link_is_an_outage(tmp_path: Path, volume: Path) -> None:
    """The folder that `..data` names must be one itself."""
    (tmp_path / "secret").mkdir()
    (volume / "..x").symlink_to(tmp_path / "secret")
    (volume / "..data").symlink_to("..x")
    with pytest.raises(SourceError):
        listed(DirectorySource(volume, (), 5.0))


def test_it_gives_no_hints(volume: Path) -> None:
    """Watching what is swapped away tells nothing: the interval decides."""
    write(volume, "2026_1", {"a.md": "one"})
    assert DirectorySource(volume, (), 5.0).watch(lambda _: None) is None
