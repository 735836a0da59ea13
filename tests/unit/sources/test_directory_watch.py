"""The Directory connector's hints."""

from __future__ import annotations

import errno
import os
import queue
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.sources.selections import Everything
from trueup.model.listing import Hint, Item, Scope
from trueup.sources.directory import DirectorySource, inotify
from trueup.sources.directory.inotify import Inotifies
from trueup.sources.directory.watch import DirectoryWatch

DEADLINE = 5.0
QUIET = 0.2


class Hints:
    """What was hinted so far, and waiting for a hint."""

    def __init__(self) -> None:
        self.queue: queue.Queue[Hint] = queue.Queue()
        self.seen: set[str] = set()

    def __call__(self, hint: Hint) -> None:
        self.queue.put(hint)

    def wait(self, *prefixes: str) -> None:
        """Until each of `prefixes` was hinted."""
        end = time.monotonic() + DEADLINE
        while not self.seen.issuperset(prefixes):
            self.seen.update(self.queue.get(timeout=end - time.monotonic()).prefixes)

    def rest(self) -> set[str]:
        """What comes until nothing has come for a while."""
        rest: set[str] = set()
        while True:
            try:
                rest.update(self.queue.get(timeout=QUIET).prefixes)
            except queue.Empty:
                return rest


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    (folder / "docs").mkdir(parents=True)
    (folder / "docs" / "a.md").write_text("a")
    return folder


@pytest.fixture
def hints() -> Hints:
    return Hints()


@pytest.fixture
def watched(root: Path, tmp_path: Path, hints: Hints) -> Iterator[DirectoryWatch]:
    running = DirectorySource(root, (root / "home", tmp_path / "home"), 60).watch(hints)
    assert running is not None
    yield running
    running.close()


@pytest.mark.usefixtures("watched")
def test_changes_are_hinted_at_their_place(root: Path, hints: Hints) -> None:
    """Writing, removing and renaming hint at exactly what they touched, a rename at both ends."""
    (root / "docs" / "b%.md").write_text("b")
    hints.wait("docs/b%25.md")
    (root / "docs" / "a.md").unlink()
    hints.wait("docs/a.md")
    (root / "docs" / "b%.md").rename(root / "c.md")
    hints.wait("c.md")
    assert hints.rest() <= {"c.md", "docs/b%25.md"}


@pytest.mark.usefixtures("watched")
def test_folders_that_come_and_go_are_hinted_whole(root: Path, tmp_path: Path, hints: Hints) -> None:
    """A folder moved in, made deep at once, moved out or removed is a place to look at; new ones are watched too."""
    shutil.copytree(root / "docs", tmp_path / "outside")
    (tmp_path / "outside").rename(root / "in")
    hints.wait("in")
    (root / "in" / "late.md").write_text("x")
    hints.wait("in/late.md")
    (root / "x" / "y" / "z").mkdir(parents=True)
    hints.wait("x")
    hints.rest()
    (root / "x" / "y" / "z" / "new.md").write_text("x")
    hints.wait("x/y/z/new.md")
    (root / "in").rename(tmp_path / "out")
    hints.wait("in")
    shutil.rmtree(root / "docs")
    hints.wait("docs", "docs/a.md")


@pytest.mark.usefixtures("watched")
def test_our_own_looking_and_reading_hints_at_nothing(root: Path, tmp_path: Path, hints: Hints) -> None:
    """Listing, reading and checking must not make a source due again, or it would be due for ever."""
    source = DirectorySource(root, (tmp_path / "home",), 60)
    for item in source.observe(Scope(), Everything(), None):
        if isinstance(item, Item):
            source.read(item.uri, item.version, 100)
            source.check(item.uri, item.version)
    assert hints.rest() == set()


@pytest.mark.usefixtures("watched")
def test_the_home_hints_at_nothing(root: Path, hints: Hints) -> None:
    """A catalog that is written below the watched folder does not make it due."""
    (root / "home").mkdir()
    (root / "home" / "catalog.db").write_text("x")
    assert hints.rest() == set()


@pytest.mark.usefixtures("watched")
def test_what_links_point_at_is_not_watched(root: Path, tmp_path: Path, hints: Hints) -> None:
    """A link that appears is a place; what happens where it leads is none of ours."""
    (tmp_path / "outside").mkdir()
    (root / "link").symlink_to(tmp_path / "outside")
    hints.wait("link")
    hints.rest()
    (tmp_path / "outside" / "x.md").write_text("x")
    assert hints.rest() == set()


def test_no_hint_comes_after_close(root: Path, watched: DirectoryWatch, hints: Hints) -> None:
    """Once close has returned there is silence, and closing again does nothing."""
    watched.close()
    watched.close()
    threads = {thread.name for thread in threading.enumerate()}
    assert not any("Inotify" in name or "Observer" in name for name in threads)
    (root / "b.md").write_text("b")
    assert hints.rest() == set()
    assert not watched.alive


@pytest.mark.parametrize("how", ["removed", "moved", "replaced"])
def test_a_root_that_goes_ends_the_watch(root: Path, watched: DirectoryWatch, how: str) -> None:
    """Whoever looks next is told that the watch must be opened again."""
    assert watched.alive
    if how == "removed":
        shutil.rmtree(root)
    else:
        root.rename(root.with_name("elsewhere"))
    if how == "replaced":
        root.mkdir()
    assert not watched.alive


def test_lost_events_hint_at_everything(root: Path, hints: Hints) -> None:
    """When the kernel's queue runs over, only a look at everything makes up for what was lost."""
    running = DirectoryWatch.start(root, (), hints)
    assert running is not None
    instance = running._observer._inotify
    overflow = inotify.InotifyEvent(inotify.WatchDescriptor(-1), inotify.Mask(0x4000), 0, b"")
    instance.handle_event(overflow)
    hints.wait("")
    assert not running.alive
    running.close()


def test_without_watches_to_be_had_there_is_none(root: Path, hints: Hints, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system's limit leaves a folder unwatched, the source is said to be unwatched, not half watched in silence."""
    real = inotify.InotifyFD._get_or_create_watch

    def exhausted(self: inotify.InotifyFD, path: bytes, mask: inotify.Mask) -> object:
        if path.endswith(b"/docs"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(self, path, mask)

    monkeypatch.setattr(inotify.InotifyFD, "_get_or_create_watch", exhausted)
    assert DirectoryWatch.start(root, (), hints) is None

    def refused(_: object) -> int:
        raise OSError(errno.EMFILE, "inotify instance limit reached")

    monkeypatch.setattr(inotify.InotifyFD, "_create_inotify_fd", refused)
    assert DirectoryWatch.start(root, (), hints) is None


def test_watching_holds_nothing_once_closed(root: Path, hints: Hints) -> None:
    """Opening and closing watches for years leaves no descriptor and no thread behind."""
    before = len(list(Path("/proc/self/fd").iterdir())), threading.active_count()
    for _ in range(5):
        running = DirectoryWatch.start(root, (), hints)
        assert running is not None
        running.close()
    assert (len(list(Path("/proc/self/fd").iterdir())), threading.active_count()) == before


def test_many_roots_share_few_instances(tmp_path: Path) -> None:
    """A system gives a user 128 inotify instances: however many sources there are, each is watched, and each hears its own."""
    inotifies, heard, roots = Inotifies(most=2), [Hints() for _ in range(5)], [tmp_path / f"r{n}" for n in range(5)]
    before = sum(1 for fd in Path("/proc/self/fd").iterdir() if "inotify" in _target(fd))
    for root in roots:
        root.mkdir()
    running = [DirectoryWatch.start(root, (), hints, inotifies) for root, hints in zip(roots, heard, strict=True)]
    assert sum(1 for fd in Path("/proc/self/fd").iterdir() if "inotify" in _target(fd)) == before + 2
    for n, root in enumerate(roots):
        (root / f"{n}.md").write_text("x")
        heard[n].wait(f"{n}.md")
    first, *others = running
    assert first is not None
    first.close()
    for n, other in enumerate(others, 1):
        assert other is not None
        assert other.alive
        (roots[n] / "more.md").write_text("x")
        heard[n].wait("more.md")
        other.close()
    assert sum(1 for fd in Path("/proc/self/fd").iterdir() if "inotify" in _target(fd)) == before


def test_a_limit_met_by_one_root_leaves_the_others_watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shared instances, not shared trouble: only the root that could not be watched whole is told so."""
    inotifies, (one, other) = Inotifies(most=1), (tmp_path / "one", tmp_path / "other")
    (one / "docs").mkdir(parents=True)
    other.mkdir()
    fine = DirectoryWatch.start(other, (), Hints(), inotifies)
    real = inotify.InotifyFD._get_or_create_watch

    def exhausted(self: inotify.InotifyFD, path: bytes, mask: inotify.Mask) -> object:
        if path.endswith(b"/docs"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(self, path, mask)

    monkeypatch.setattr(inotify.InotifyFD, "_get_or_create_watch", exhausted)
    assert DirectoryWatch.start(one, (), Hints(), inotifies) is None
    assert fine is not None
    assert fine.alive
    fine.close()


def _target(fd: Path) -> str:
    try:
        return os.readlink(fd)  # noqa: PTH115 - no path, a kind
    except FileNotFoundError:
        return ""
