"""What the Git connector lists and reads."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from tests.contract.sources.githttp import GitServer
from tests.unit.sources.repositories import SMALL, Hosted, Repository
from trueup.errors import ListingBroken, SourceError, SourceMisconfigured, SourceUnavailable, VersionGone
from trueup.model.listing import Complete, History, Kind, Presence
from trueup.sources.deadline import Deadline
from trueup.sources.git import history
from trueup.sources.git.history import Graph
from trueup.sources.git.remote import Remote, Wish
from trueup.testing.source_origin import contents, documents, look


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


@pytest.fixture
def hosted(tmp_path: Path) -> Iterator[Hosted]:
    with GitServer() as server:
        yield Hosted(tmp_path, server)


def put(repository: Repository, **files: str) -> str:
    """Commit files, `__` standing for a slash and `_` for a dot; returns the commit."""
    for name, text in files.items():
        repository.write(name.replace("__", "/").replace("_", "."), text.encode())
    repository.commit()
    return repository.head()


def test_only_what_is_committed_is_served(repository: Repository) -> None:
    """Uncommitted and untracked files of a checkout are never listed nor read (P14)."""
    put(repository, a_md="committed")
    repository.write("a.md", b"edited, not committed")
    repository.write("b.md", b"untracked")
    repository.git("add", "b.md")
    assert contents(repository.source(str(repository.tree), {"branch": "main"})) == {"a.md": b"committed"}


def test_every_kind_of_reference(hosted: Repository) -> None:
    """A branch moves, a tag is peeled, a commit stays, and without any the remote's HEAD is followed."""
    first = put(hosted, a_md="1")
    hosted.git("tag", "-a", "v1", "-m", "annotated")
    hosted.git("tag", "-a", "v1.signed", "v1", "-m", "a tag of a tag")
    hosted.git("push", "-q", str(hosted.bare), "--tags")
    second = put(hosted, a_md="2")
    for url in (hosted.url, str(hosted.bare)):
        for ref, commit in ((None, second), ({"branch": "main"}, second), ({"tag": "v1"}, first), ({"tag": "v1.signed"}, first), ({"commit": first}, first)):
            source = hosted.source(url, ref)
            assert source.revision() == commit
            assert contents(source) == {"a.md": b"1" if commit == first else b"2"}


def test_a_tag_from_a_server_of_the_old_protocol(hosted: Hosted) -> None:
    """A server that gives only what its refs name is asked for the tag, and the commit is followed all the same."""
    first = put(hosted, a_md="1")
    hosted.git("tag", "-a", "v1", "-m", "annotated")
    hosted.git("push", "-q", str(hosted.bare), "--tags")
    put(hosted, a_md="2")
    hosted.server.protocol = ""
    source = hosted.source(ref={"tag": "v1"})
    assert source.revision() == first
    assert contents(source) == {"a.md": b"1"}


@pytest.mark.parametrize("ref", [{"branch": "gone"}, {"tag": "gone"}, {"commit": "1" * 40}])
def test_a_reference_that_is_gone_is_an_outage(hosted: Hosted, ref: dict[str, str]) -> None:
    """A missing branch is not an empty one: nothing is concluded (P12)."""
    put(hosted, a_md="1")
    for url in (hosted.url, str(hosted.bare)):
        with pytest.raises(SourceUnavailable, match=r"branch gone|tag gone|commit"):
            look(hosted.source(url, ref))


def test_an_empty_repository_is_an_outage(hosted: Hosted) -> None:
    """A repository without a commit, or emptied of its refs, is not one whose files were deleted."""
    shutil.rmtree(hosted.bare)
    hosted.git("init", "-q", "--bare", "-b", "main", str(hosted.bare))
    for url in (hosted.url, str(hosted.bare)):
        for ref in (None, {"branch": "main"}):
            with pytest.raises(SourceUnavailable):
                look(hosted.source(url, ref))


def test_a_folder_of_the_repository(hosted: Hosted) -> None:
    """Uris are relative to the folder; when it vanishes, the listing is empty and complete, and the guard's business."""
    put(hosted, docs__guide__a_md="1", docs__guide2_md="2", other_md="3")
    source = hosted.source(path="docs/guide/")
    assert contents(source) == {"a.md": b"1"}
    with pytest.raises(VersionGone):
        source.read("../guide2.md", documents(hosted.source())["docs/guide2.md"].version, 100)
    hosted.delete("docs/guide/a.md")
    hosted.commit()
    assert look(source) == ([], Complete(hosted.head()))
    with pytest.raises(SourceMisconfigured, match="file"):
        look(hosted.source(path="other.md"))


def test_submodules_and_links(repository: Repository) -> None:
    """A submodule is unsupported, a link is skipped; neither is gone through by a longer path."""
    blob = repository.object("blob", b"text")
    repository.point(repository.folder((b"120000", b"link", blob), (b"160000", b"module", "2" * 40), (b"100755", b"run", blob)))
    source = repository.source(ref={"branch": "main"})
    assert {item.uri: item.kind for item in look(source)[0]} == {"link": Kind.SKIPPED, "module": Kind.UNSUPPORTED, "run": Kind.DOCUMENT}
    for uri in ("link", "module", "link/x", "module/x"):
        with pytest.raises(VersionGone):
            source.read(uri, blob, 100)
        assert source.check(uri, blob) is Presence.ABSENT


@pytest.mark.parametrize("name", [b"..", b".", b"a/b", b""], ids=repr)
def test_names_that_no_folder_can_have_are_refused(hosted: Hosted, name: bytes) -> None:
    """A tree made by hand cannot let one document pass for another, or climb."""
    blob = hosted.object("blob", b"text")
    hosted.point(hosted.folder((b"100644", name, blob)))
    for url in (hosted.url, str(hosted.bare)):
        with pytest.raises(SourceError):
            look(hosted.source(url))


def test_two_entries_of_one_name_are_refused(repository: Repository) -> None:
    """Which of two would be the document is not for us to guess."""
    one, two = repository.object("blob", b"one"), repository.object("blob", b"two")
    repository.point(repository.folder((b"100644", b"a", one), (b"100644", b"a", two)))
    with pytest.raises(SourceUnavailable, match="malformed"):
        look(repository.source())


def test_trees_that_hold_each_other_end(hosted: Hosted) -> None:
    """A few hundred bytes of trees can list as millions of files; the listing is refused, not endured."""
    tree = hosted.folder((b"100644", b"a", hosted.object("blob", b"x")))
    for _ in range(8):
        tree = hosted.folder(*((b"40000", b"%d" % name, tree) for name in range(10)))
    hosted.point(tree)
    with pytest.raises(SourceUnavailable, match="more files"):
        look(hosted.source(bounds=SMALL))
    for _ in range(SMALL.depth):
        tree = hosted.folder((b"40000", b"d", tree))
    hosted.point(tree)
    with pytest.raises(SourceUnavailable, match="deeper folders"):
        look(hosted.source(bounds=SMALL))


def test_the_cache_may_go_at_any_time(hosted: Hosted) -> None:
    """Between listing and reading, wholly or in part: it is fetched again, and what is read is what was listed."""
    put(hosted, a_md="1", b__c_md="2")
    source = hosted.source()
    items = documents(source)
    shutil.rmtree(hosted.place / "cache")
    assert source.read("b/c.md", items["b/c.md"].version, 10).data == b"2"
    for pack in (hosted.place / "cache").rglob("*.pack"):
        pack.unlink()
    assert source.read("a.md", items["a.md"].version, 10).data == b"1"
    shutil.rmtree(hosted.place / "cache" / "objects")
    assert contents(source) == {"a.md": b"1", "b/c.md": b"2"}


def test_a_damaged_cache_mends(hosted: Hosted) -> None:
    """Objects that are missing below a commit that is here break one look at most."""
    put(hosted, a__b_md="1")
    source = hosted.source()
    contents(source)
    objects = hosted.place / "cache" / "objects"
    shutil.rmtree(objects)
    (objects / "pack").mkdir(parents=True)
    commit = hosted.git("cat-file", "commit", "HEAD") + "\n"
    assert hosted.object("commit", commit.encode()) == hosted.head()
    loose = Path(hosted.head()[:2]) / hosted.head()[2:]
    (objects / loose).parent.mkdir()
    shutil.copy(hosted.bare / "objects" / loose, objects / loose)
    with pytest.raises(ListingBroken):
        look(source)
    assert contents(source) == {"a/b.md": b"1"}


def test_a_commit_that_the_server_no_longer_gives(hosted: Hosted) -> None:
    """With the cache gone and history rewritten, what is the same in the present commit is read, and the rest is gone."""
    put(hosted, same_md="same", changed_md="old")
    source = hosted.source()
    items = documents(source)
    hosted.write("changed.md", b"new")
    hosted.git("add", "-A")
    hosted.git("commit", "-q", "--amend", "-m", "other")
    hosted.push()
    hosted.git("reflog", "expire", "--expire=now", "--all", at=hosted.bare)
    hosted.git("gc", "-q", "--prune=now", at=hosted.bare)
    shutil.rmtree(hosted.place / "cache")
    assert source.read("same.md", items["same.md"].version, 10).data == b"same"
    with pytest.raises(VersionGone):
        source.read("changed.md", items["changed.md"].version, 10)


def test_a_blob_is_read_only_where_it_was_listed(repository: Repository) -> None:
    """The id of a blob is no key to it: it must be at that place in that commit."""
    put(repository, public_md="open", secret_md="closed")
    source = repository.source()
    with pytest.raises(VersionGone):
        source.read("public.md", documents(source)["secret.md"].version, 100)


def test_a_push_costs_what_it_brings(hosted: Hosted) -> None:
    """After the first fetch only what is new crosses the wire, and a quiet probe is one question."""
    for number in range(40):
        hosted.write(f"{number}.bin", random.Random(number).randbytes(500))
    hosted.commit()
    source = hosted.source()
    first = look(source)[1].revision
    sizes = [pack.stat().st_size for pack in (hosted.place / "cache").rglob("*.pack")]
    hosted.write("1.bin", b"changed")
    hosted.commit()
    assert look(source, previous=first)[1].history is History.FORWARD
    after = sorted(pack.stat().st_size for pack in (hosted.place / "cache").rglob("*.pack"))
    assert len(after) == 2
    assert after[0] < sizes[0] / 3
    hosted.server.requests.clear()
    source.revision()
    assert all("info/refs" in path or method == "POST" for method, path, _ in hosted.server.requests)
    assert len(hosted.server.requests) <= 2


def test_what_a_killed_fetch_left_is_taken_away(hosted: Hosted) -> None:
    """Packs that were never let in do not fill the disk, crash by crash."""
    put(hosted, a_md="1")
    source = hosted.source()
    look(source)
    (hosted.place / "cache" / "objects" / "pack" / "tmpabc.pack").write_bytes(b"x")
    (hosted.place / "cache" / "history-abc" / "objects").mkdir(parents=True)
    put(hosted, a_md="2")
    look(source)
    assert not [path for path in (hosted.place / "cache").rglob("*") if path.name.startswith(("tmp", "history-"))]


def test_an_outgrown_cache_is_made_anew(hosted: Hosted, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache of a source that is pushed to for years does not grow for years."""
    monkeypatch.setattr("trueup.sources.git.cache._PACKS", 2)
    source = hosted.source()
    for number in range(4):
        put(hosted, a_md=str(number))
        assert contents(source) == {"a.md": str(number).encode()}
        assert len(list((hosted.place / "cache").rglob("*.pack"))) <= 3


@pytest.mark.parametrize(("protocol", "filtering"), [("", "false"), ("version=2", "false"), ("version=2", "true")], ids=["v0", "v2", "v2 with filters"])
def test_history_from_nothing(hosted: Hosted, protocol: str, filtering: str) -> None:
    """A new cache relates commits by asking as deep as it takes, with a server that can leave content out or not."""
    hosted.server.protocol = protocol
    hosted.server.configured = {"uploadpack.allowFilter": filtering}
    commits = [put(hosted, a_md=str(number)) for number in range(4)]
    source = hosted.source()
    assert look(source, previous=commits[0])[1].history is History.FORWARD
    hosted.git("reset", "-q", "--hard", commits[1])
    hosted.push()
    assert look(source, previous=commits[3])[1].history is History.OLDER
    rewritten = put(hosted, b_md="other")
    for opened in (source, hosted.source(cache_dir=hosted.place / "new")):
        assert look(opened, previous=commits[2])[1] == Complete(rewritten, (), History.REWRITTEN)
        assert look(opened, previous="3" * 40)[1].history is History.REWRITTEN


def test_history_is_asked_deeper_while_it_is_unknown() -> None:
    """Depth grows until the relation is known, and ends where there is no more to learn."""
    commits = {f"{number:040x}": (number, (f"{number - 1:040x}",) if number else ()) for number in range(2000)}
    asked: list[int] = []

    def learn(depth: int) -> None:
        asked.append(depth)
        graph.add({sha: commits[sha] for sha in list(commits)[-depth:]})

    graph = Graph()
    assert history.relate(graph, f"{1000:040x}", f"{1999:040x}", learn) is History.FORWARD
    assert asked == [64, 1024]
    assert history.relate(graph, f"{1999:040x}", f"{1500:040x}", learn) is History.OLDER
    assert asked == [64, 1024]
    assert history.relate(Graph(), "a" * 40, "b" * 40, lambda _: None) is History.REWRITTEN


def test_a_remembered_graph_survives_damage(tmp_path: Path) -> None:
    """What was learnt is kept beside the cache; a damaged file is as none."""
    graph = Graph({"a": (1, ("b", "c"))})
    graph.save(tmp_path / "graph.json")
    loaded = Graph()
    loaded.load(tmp_path / "graph.json")
    assert loaded == graph
    for damage in ("{", "[]", '{"a": 1}', '{"a": ["x", 3]}'):
        (tmp_path / "graph.json").write_text(damage)
        fresh = Graph()
        fresh.load(tmp_path / "graph.json")
        assert fresh == Graph()


def test_borrowed_objects_must_lie_in_a_root(repository: Repository, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Alternates, a .git file and links in the store can all lead to another's objects; outside the roots they are refused (A24)."""
    put(repository, a_md="1")
    outside = tmp_path_factory.mktemp("outside")
    repository.git("clone", "-q", "--bare", str(repository.bare), str(outside / "other.git"))
    shared = repository.place / "shared.git"
    repository.git("clone", "-q", "--bare", "--shared", str(outside / "other.git"), str(shared))
    with pytest.raises(SourceMisconfigured, match="outside the allowed roots"):
        look(repository.source(str(shared)))
    pointing = repository.place / "pointing"
    pointing.mkdir()
    (pointing / ".git").write_text(f"gitdir: {outside / 'other.git'}\n")
    with pytest.raises(SourceMisconfigured, match="outside the allowed roots"):
        look(repository.source(str(pointing)))
    linked = repository.place / "linked.git"
    shutil.copytree(repository.bare, linked)
    shutil.rmtree(linked / "objects" / "pack")
    (linked / "objects" / "pack").symlink_to(outside / "other.git" / "objects" / "pack")
    with pytest.raises(SourceMisconfigured, match="outside the allowed roots"):
        look(repository.source(str(linked)))
    # With the other repository's place allowed, the same ones are read.
    assert contents(repository.source(str(shared), allowed_roots=(repository.place, outside))) == {"a.md": b"1"}


def test_a_path_outside_the_roots_is_refused_at_once(repository: Repository, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A URL that is a path obeys the same roots as a folder."""
    outside = tmp_path_factory.mktemp("outside")
    for url in (str(outside), f"file://{outside}"):
        with pytest.raises(SourceMisconfigured, match="outside the allowed roots"):
            repository.source(url)
    put(repository, a_md="1")
    assert contents(repository.source(f"file://{repository.bare}")) == {"a.md": b"1"}


def test_a_history_that_takes_too_long_keeps_no_source_from_being_looked_at(hosted: Hosted, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking how commits relate has half of the time there is; the listing does not wait for it, nor fail with it."""
    first = put(hosted, a_md="1")
    for number in range(3):
        put(hosted, a_md=str(number + 2))
    real = Remote.fetch

    def fetch(self: Remote, wish: Wish, pack: BinaryIO, deadline: Deadline) -> None:
        if wish.bare:
            assert deadline.remaining() <= 5
            raise deadline.error
        real(self, wish, pack, deadline)

    monkeypatch.setattr(Remote, "fetch", fetch)
    source = hosted.source(timeout=10.0)
    items, end = look(source, previous=first)
    assert [item.uri for item in items] == ["a.md"]
    assert end == Complete(hosted.head(), (), History.REWRITTEN)
