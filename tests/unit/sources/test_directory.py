"""The Directory connector: what it lists, what it refuses to read, and what it never follows."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

import pytest

from tests.unit.sources.selections import Everything
from trueup.errors import SourceDenied, SourceMisconfigured, SourceTimeout, SourceUnavailable, TooLarge, VersionGone
from trueup.model.listing import Complete, Gap, Item, Kind, Presence, Scope
from trueup.sources.directory import DirectorySource, listing, tree
from trueup.sources.opening import OpenContext, within_roots


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


@pytest.fixture
def source(root: Path, tmp_path: Path) -> DirectorySource:
    return DirectorySource(root, (tmp_path / "home",), 60)


def look(source: DirectorySource, *prefixes: str, selection: Everything | None = None) -> tuple[list[Item], Complete]:
    scope = Scope(prefixes) if prefixes else Scope()
    *items, end = source.observe(scope, selection or Everything(), None)
    assert isinstance(end, Complete)
    return items, end  # type: ignore[return-value]


def uris(source: DirectorySource, *prefixes: str) -> list[str]:
    return [item.uri for item in look(source, *prefixes)[0]]


def write(path: Path, data: bytes = b"text") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_order_is_by_code_point_of_the_uri(root: Path, source: DirectorySource) -> None:
    """A folder sorts as its name and a slash, so a look can be merged with the catalog without sorting."""
    for name in ("a/z", "a.b", "a0", "a-b/c", "A", "é", "z%", "b/c/d", "b/c.d", "\U0001f600", "\uffee"):
        write(root / name)
    found = uris(source)
    assert found == sorted(found)
    assert len(found) == 11


def test_bytes_that_are_not_utf8_can_be_listed_and_read(root: Path, source: DirectorySource) -> None:
    """A name in another encoding is a document like any other."""
    write(root / os.fsdecode(b"caf\xe9\n.md"), b"x")
    item = look(source)[0][0]
    assert item.uri == "caf%E9%0A.md"
    assert source.read(item.uri, item.version, 10).data == b"x"


def test_links_sockets_and_pipes_are_skipped(root: Path, tmp_path: Path, source: DirectorySource) -> None:
    """What is not a regular file is counted and never read, wherever it points (P13)."""
    write(tmp_path / "outside" / "secret.md")
    (root / "out").symlink_to(tmp_path / "outside")
    (root / "loop").symlink_to(root)
    (root / "dangling").symlink_to(root / "nowhere")
    (root / "file").symlink_to(tmp_path / "outside" / "secret.md")
    os.mkfifo(root / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(root / "socket"))
        items, end = look(source)
    assert {item.uri: item.kind for item in items} == dict.fromkeys(("out", "loop", "dangling", "file", "pipe", "socket"), Kind.SKIPPED)
    assert end.gaps == ()
    for uri in ("out/secret.md", "file", "pipe", "loop/file"):
        with pytest.raises(VersionGone):
            source.read(uri, items[0].version, 100)
        assert source.check(uri, items[0].version) is Presence.ABSENT
    assert uris(source, "out", "out/secret.md", "loop/file") == ["out"]


def test_a_folder_swapped_for_a_link_leads_nowhere(root: Path, tmp_path: Path, source: DirectorySource) -> None:
    """Between listing and reading a parent becomes a link to a folder with the very same file: still nothing is read."""
    write(root / "docs" / "a.md")
    item = look(source)[0][0]
    (root / "docs").rename(tmp_path / "moved")
    (root / "docs").symlink_to(tmp_path / "moved")
    with pytest.raises(VersionGone):
        source.read(item.uri, item.version, 100)
    assert source.check(item.uri, item.version) is Presence.ABSENT


def test_hard_links_are_documents_of_their_own(root: Path, source: DirectorySource) -> None:
    """Two names of one file are two documents."""
    write(root / "a.md")
    os.link(root / "a.md", root / "b.md")
    assert [item.kind for item in look(source)[0]] == [Kind.DOCUMENT, Kind.DOCUMENT]


def test_identity_survives_a_rename_and_nothing_else(root: Path, source: DirectorySource) -> None:
    """A renamed file can be recognised as moved; an edited one cannot be taken for it."""
    path = write(root / "a.md")
    before = look(source)[0][0]
    path.rename(root / "b.md")
    moved = look(source)[0][0]
    assert moved.identity == before.identity
    write(root / "b.md", b"texts")
    assert look(source)[0][0].identity != before.identity


def test_an_edit_that_restores_size_and_time_is_a_change(root: Path, source: DirectorySource) -> None:
    """The change time gives away what touch hides."""
    path = write(root / "a.md", b"one")
    before, status = look(source)[0][0], path.stat()
    path.write_bytes(b"two")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert look(source)[0][0].version != before.version
    assert source.check("a.md", before.version) is Presence.CHANGED
    with pytest.raises(VersionGone):
        source.read("a.md", before.version, 100)


def test_a_file_that_moves_while_it_is_read_is_refused(root: Path, source: DirectorySource, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes that changed under the reader are never taken for the listed version."""
    path = write(root / "a.md", b"one")
    item = look(source)[0][0]
    real = os.read

    def read(descriptor: int, size: int) -> bytes:
        data = real(descriptor, size)
        if data:
            path.write_bytes(b"two")
        return data

    monkeypatch.setattr(os, "read", read)
    with pytest.raises(VersionGone):
        source.read("a.md", item.version, 100)


def test_a_just_written_file_is_read_after_the_clock_moved_on(root: Path, source: DirectorySource, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two changes within one tick share a time stamp, so reading waits until a further change would leave a mark."""
    path = write(root / "a.md")
    item = look(source)[0][0]
    waits: list[float] = []
    monkeypatch.setattr("trueup.sources.directory.source.time.sleep", waits.append)
    monkeypatch.setattr(tree.time, "time", lambda: path.stat().st_ctime_ns / 1e9 + 0.005)
    source.read("a.md", item.version, 100)
    assert waits == [pytest.approx(tree.GRAIN - 0.005, abs=1e-4)]


def test_the_limit_is_checked_before_reading(root: Path, source: DirectorySource, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is too large costs no read at all."""
    write(root / "a.md", b"x" * 11)
    item = look(source)[0][0]
    assert source.read("a.md", item.version, 11).data == b"x" * 11
    monkeypatch.setattr(os, "read", lambda *_: pytest.fail("it was read"))
    with pytest.raises(TooLarge):
        source.read("a.md", item.version, 10)


def test_the_home_is_never_listed(tmp_path: Path) -> None:
    """Neither below a parent, nor as a bind to the same folder, nor by a hard link to a file in it, nor on asking for it."""
    home = tmp_path / "site" / "home"
    key = write(home / "keys" / "owner.key", b"secret")
    write(tmp_path / "site" / "a.md")
    os.link(key, tmp_path / "site" / "innocent.md")
    source = DirectorySource(tmp_path / "site", (home,), 60)
    assert uris(source) == ["a.md"]
    assert uris(source, "home", "home/keys/owner.key", "innocent.md") == []
    for uri in ("home/keys/owner.key", "innocent.md"):
        with pytest.raises(VersionGone):
            source.read(uri, tree.fingerprint(key.stat()), 100)
        assert source.check(uri, tree.fingerprint(key.stat())) is Presence.ABSENT
    # With the control off the same folder gives the key away.
    assert "home/keys/owner.key" in uris(DirectorySource(tmp_path / "site", (), 60))


@pytest.mark.parametrize("kind", ["missing", "file", "loop"])
def test_a_root_that_is_no_folder_is_an_outage(tmp_path: Path, kind: str) -> None:
    """A missing root never looks like an empty one: nothing is concluded, and the message says what to do."""
    place = tmp_path / "root"
    if kind == "file":
        place.write_text("x")
    elif kind == "loop":
        place.symlink_to(place)
    source = DirectorySource(place, (), 60)
    for call in (lambda: look(source), lambda: source.read("a", "v", 1), lambda: source.check("a", "v"), lambda: source.watch(lambda _: None)):
        with pytest.raises(SourceUnavailable, match=r"spec\.source\.directory\.path"):
            call()


def test_a_root_that_goes_while_it_is_listed_is_an_outage(root: Path, source: DirectorySource) -> None:
    """A tree that is being taken away is not a tree that was emptied."""
    write(root / "a.md")
    write(root / "b" / "c.md")
    seen = source.observe(Scope(), Everything(), None)
    next(seen)
    root.rename(root.with_name("gone"))
    root.mkdir()
    with pytest.raises(SourceUnavailable):
        list(seen)


def deny(monkeypatch: pytest.MonkeyPatch, name: str, code: int) -> None:
    """Have the file system refuse the folder `name`, as it does to a user without the right (tests may run as root)."""
    real = listing.open_folder

    def refuse(forbidden: tree.Forbidden, parent: int, entry: bytes | str) -> int:
        if os.fsdecode(entry) == name:
            raise OSError(code, os.strerror(code))
        return real(forbidden, parent, entry)

    monkeypatch.setattr(listing, "open_folder", refuse)


@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO, errno.ESTALE, errno.ENOENT, errno.ELOOP])
def test_a_folder_that_cannot_be_read_is_a_gap(root: Path, source: DirectorySource, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """The gap is that folder and nothing else (P24a)."""
    for name in ("a/1.md", "b/2.md", "b/deep/3.md", "c.md"):
        write(root / name)
    deny(monkeypatch, "deep", code)
    items, end = look(source)
    assert [item.uri for item in items] == ["a/1.md", "b/2.md", "c.md"]
    assert [gap.prefix for gap in end.gaps] == ["b/deep"]
    items, end = look(source, "b/deep")
    assert (items, [gap.prefix for gap in end.gaps]) == ([], ["b/deep"])


def test_a_file_whose_status_cannot_be_had_is_a_gap(root: Path, source: DirectorySource, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is there but cannot be looked at is not absent; one that went meanwhile is."""
    for name in ("a.md", "b.md", "c.md"):
        write(root / name)

    class Entry:
        def __init__(self, entry: os.DirEntry[str]) -> None:
            self._entry = entry

        def stat(self, *, follow_symlinks: bool) -> os.stat_result:
            code = {"a.md": errno.EIO, "b.md": errno.ENOENT}.get(self._entry.name)
            if code:
                raise OSError(code, os.strerror(code))
            return self._entry.stat(follow_symlinks=follow_symlinks)

    real = listing._scan
    monkeypatch.setattr(listing, "_scan", lambda folder: [(key, Entry(entry)) for key, entry in real(folder)])
    items, end = look(source)
    assert [item.uri for item in items] == ["c.md"]
    assert end.gaps == (Gap("a.md", "input/output error"),)


def test_an_entry_missed_by_one_reading_of_a_busy_folder_is_found_by_the_next(root: Path, source: DirectorySource, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file replaced while its folder is read may be missed by that reading; it must not look deleted."""
    write(root / "a.md")
    write(root / "b.md")
    real, calls = os.scandir, iter(range(100))

    class Reading:
        def __init__(self, folder: int) -> None:
            self._entries = real(folder)

        def __enter__(self) -> list[os.DirEntry[str]]:
            with self._entries as entries:
                found = list(entries)
            if next(calls) == 0:
                write(root / "new.md")
                return [entry for entry in found if entry.name != "a.md"]
            return found

        def __exit__(self, *_: object) -> None:
            pass

    os.utime(root, (1, 1))
    monkeypatch.setattr(listing.os, "scandir", Reading)
    assert uris(source) == ["a.md", "b.md", "new.md"]


def test_too_deep_is_a_gap_not_a_silence(root: Path, source: DirectorySource) -> None:
    """What lies deeper than is followed is said to be unread."""
    at = os.open(root, os.O_RDONLY)
    for _ in range(listing.DEPTH + 2):
        os.mkdir("d", dir_fd=at)
        below = os.open("d", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)
    before = len(list(Path("/proc/self/fd").iterdir()))
    items, end = look(source)
    assert items == []
    assert [gap.prefix.count("/") for gap in end.gaps] == [listing.DEPTH - 1]
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_an_abandoned_listing_holds_nothing(root: Path, source: DirectorySource) -> None:
    """A look that stops half way leaves no descriptor open."""
    for name in ("a/1", "b/2/3"):
        write(root / name)
    before = len(list(Path("/proc/self/fd").iterdir()))
    seen = source.observe(Scope(), Everything(), None)
    next(seen)
    seen.close()  # type: ignore[attr-defined]
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_closed_folders_are_not_entered(root: Path, source: DirectorySource, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the selection does not enter costs nothing and can be no gap, by whatever prefix it is asked for."""
    write(root / ".git" / "objects" / "x")
    write(root / "a.md")
    deny(monkeypatch, ".git", errno.EACCES)
    selection = Everything(frozenset({".git"}))
    assert [item.uri for item in look(source, selection=selection)[0]] == ["a.md"]
    assert look(source, ".git", ".git/objects", ".git/objects/x", selection=selection) == ([], Complete())


def test_prefixes(root: Path, source: DirectorySource) -> None:
    """A partial look lists exactly what lies at or below its prefixes, once and in order."""
    for name in ("a/1", "a/b/2", "a.b", "ab", "c/3"):
        write(root / name)
    assert uris(source, "c", "a/b", "a.b", "a", "a/1", "nothing", "a.b/below", "../root", "%61") == ["a.b", "a/1", "a/b/2", "c/3"]


def test_a_slow_file_system_ends_in_a_timeout(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A listing that takes longer than the time set is an outage, whatever was seen of it."""
    write(root / "a" / "b")
    ticks = iter(range(0, 100000, 7))
    monkeypatch.setattr("trueup.sources.directory.listing.time.monotonic", lambda: next(ticks))
    with pytest.raises(SourceTimeout):
        look(DirectorySource(root, (), 10))


def test_a_file_that_may_not_be_read_says_so(root: Path, source: DirectorySource, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the right to read there is a refusal, not an absence."""
    write(root / "a.md")
    item = look(source)[0][0]

    def refuse(*_: object) -> None:
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr("trueup.sources.directory.source.open_file", refuse)
    with pytest.raises(SourceDenied):
        source.read("a.md", item.version, 100)


def test_roots(tmp_path: Path) -> None:
    """A path must lie in an allowed root with its links followed, and never in the home (A24)."""
    context = OpenContext(allowed_roots=(tmp_path / "open",), forbidden=(tmp_path / "open" / "home",), cache_dir=tmp_path / "cache")
    (tmp_path / "open").mkdir()
    (tmp_path / "closed").mkdir()
    (tmp_path / "open" / "link").symlink_to(tmp_path / "closed")
    within_roots(tmp_path / "open" / "docs", context)
    for bad in ("closed", "open/../closed", "open/link", "open/link/x", "open/home", "open/home/keys", "opening"):
        with pytest.raises(SourceMisconfigured):
            within_roots(tmp_path / bad, context)
    with pytest.raises(SourceMisconfigured, match="relative"):
        within_roots(Path("docs"), context)


def test_a_root_that_is_led_elsewhere_later_is_refused(tmp_path: Path) -> None:
    """Where the declared path leads is checked at every look, not only when it was declared."""
    context = OpenContext(allowed_roots=(tmp_path / "open",), forbidden=(), cache_dir=tmp_path / "cache")
    write(tmp_path / "open" / "v1" / "a.md")
    write(tmp_path / "closed" / "secret.md")
    current = tmp_path / "open" / "current"
    current.symlink_to(tmp_path / "open" / "v1")
    source = DirectorySource(current, (), 60, lambda place: within_roots(place, context))
    assert uris(source) == ["a.md"]
    current.unlink()
    current.symlink_to(tmp_path / "closed")
    with pytest.raises(SourceMisconfigured):
        look(source)
