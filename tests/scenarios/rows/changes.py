"""P01–P11, P13, P14, P16: what people do to documents, and what the gate must make of it."""

from __future__ import annotations

from tests.scenarios.harness.documents import canary, prose
from tests.scenarios.harness.origins import Repo, Tree, git
from tests.scenarios.harness.rows import row
from tests.scenarios.harness.stage import Stage, parsed

BOTH = ("Directory", "Git")


@row("P01", "delete a file", *BOTH)
def p01(stage: Stage, kind: str) -> None:
    """Gone within g; the tombstone names the observation, and for Git the commit, that deleted it."""
    origin = stage.origin(kind)
    uris = stage.fill(origin, 5)
    stage.up(origin)
    stage.serves_truth(origin)
    mark = stage.mark(origin, uris[0])
    with origin.change():
        origin.delete(uris[0])
    stage.gone(mark, origin)
    stone = stage.tombstone(origin, uris[0])
    assert stone["reason"] == "Deleted"
    assert stone["observation"]
    if isinstance(origin, Repo):
        assert origin.head() in stone["observation"], stone
    stage.serves_truth(origin)


@row("P02", "delete a directory of files: all gone, together", *BOTH)
def p02(stage: Stage, kind: str) -> None:
    """All gone; of a source that has revisions, no answer holds a part of them."""
    origin = stage.origin(kind)
    stage.fill(origin, 20, "kept")
    gone = stage.fill(origin, 8, "gone")
    stage.up(origin)
    stage.serves_truth(origin)
    marks = {stage.mark(origin, uri) for uri in gone}
    with origin.change():
        origin.delete_folder("gone")
    parts: set[int] = set()

    def none_left() -> bool:
        left = len(stage.served(origin) & marks)
        parts.add(left)
        return left == 0

    stage.until(none_left, stage.truth.terms(origin.key).g, "all gone")
    if isinstance(origin, Repo):
        assert parts <= {0, 8}, parts
    stones = [t for t in stage.tombstones(origin) if t["uri"] in gone]
    assert len(stones) == 8
    if isinstance(origin, Repo):
        assert len({t["observation"] for t in stones}) == 1
    stage.serves_truth(origin)


@row("P03", "rename: one hit, the new path, its lineage", *BOTH)
def p03(stage: Stage, kind: str) -> None:
    """Exactly one hit with the new path; the old one's tombstone says where it went."""
    origin = stage.origin(kind)
    stage.fill(origin, 4)
    stage.up(origin)
    stage.serves_truth(origin)
    mark = stage.mark(origin, "docs/000.md")
    with origin.change():
        origin.rename("docs/000.md", "moved/there.md")
    stage.until(lambda: [p["uri"] for hit in stage.hits(mark, origin) for p in hit["provenance"]] == ["moved/there.md"], 20, "one hit, at the new path")
    stone = stage.tombstone(origin, "docs/000.md")
    assert (stone["reason"], stone["successor"]) == ("Moved", "moved/there.md"), stone
    stage.serves_truth(origin)


@row("P04", "move from a public to a restricted path", *BOTH)
def p04(stage: Stage, kind: str) -> None:
    """Gone for the old audience before, or at the moment when, it appears for the new one; afterwards never for the old."""
    origin = stage.origin(kind)
    stage.fill(origin, 4, "public")
    everyone, staff = [{"kind": "Everyone"}], [{"kind": "Group", "name": "staff"}]
    stage.up(origin, access={"readers": everyone, "rules": [{"paths": ["secret/**"], "readers": staff}]})
    stage.serves_truth(origin)
    mark = stage.mark(origin, "public/000.md")
    insider = stage.caller("insider", "staff")
    with origin.change():
        origin.rename("public/000.md", "secret/000.md")
    stage.truth.excuse(origin.key)
    stage.until(lambda: [p["uri"] for hit in stage.hits(mark, origin, client=insider) for p in hit["provenance"]] == ["secret/000.md"], 20, "there for staff")
    stage.never(lambda: stage.hits(mark, origin), 1.0, "the old audience reads it")
    listed = stage.reader.items(f"/v1/sources/{origin.key}/documents")
    assert "secret/000.md" not in {d["uri"] for d in listed}
    assert all(t.get("successor") != "secret/000.md" for t in stage.reader.items(f"/v1/sources/{origin.key}/tombstones"))


@row("P05", "edit: only the new text", *BOTH)
def p05(stage: Stage, kind: str) -> None:
    """The new text is there, the old one is not, and never both in one answer."""
    origin = stage.origin(kind)
    stage.fill(origin, 5, paragraphs=3)
    stage.up(origin)
    stage.serves_truth(origin)
    for _ in range(3):
        old, new = stage.mark(origin, "docs/001.md"), canary()
        with origin.change():
            origin.write("docs/001.md", prose(new, 3))
        stage.gone(old, origin)
        stage.appears(new, origin)
    assert stage.tombstone(origin, "docs/001.md")["reason"] == "Superseded"
    stage.serves_truth(origin)


@row("P06", "delete, and create again with other bytes", *BOTH)
def p06(stage: Stage, kind: str) -> None:
    """Only the new one."""
    origin = stage.origin(kind)
    stage.fill(origin, 5)
    stage.up(origin)
    old, new = stage.mark(origin, "docs/001.md"), canary()
    with origin.change():
        origin.delete("docs/001.md")
    stage.gone(old, origin)
    with origin.change():
        origin.write("docs/001.md", prose(new))
    stage.appears(new, origin)
    stage.serves_truth(origin)


@row("P07", "delete, and create again with the same bytes", *BOTH)
def p07(stage: Stage, kind: str) -> None:
    """Served once; the tombstone does not shadow it, and its chunk has an id of its own."""
    origin = stage.origin(kind)
    stage.fill(origin, 5)
    stage.up(origin)
    mark = stage.mark(origin, "docs/001.md")
    stage.appears(mark, origin)
    before = {hit["chunk"] for hit in stage.hits(mark, origin)}
    text = origin.now["docs/001.md"].decode()
    with origin.change():
        origin.delete("docs/001.md")
    stage.gone(mark, origin)
    with origin.change():
        origin.write("docs/001.md", text)
    stage.appears(mark, origin)
    hits = stage.hits(mark, origin)
    assert len(hits) == 1
    assert not before & {hit["chunk"] for hit in hits}, "an id is never used twice"
    stage.serves_truth(origin)


@row("P08", "revert an addition", "Git")
def p08(stage: Stage, kind: str) -> None:
    """What the reverted commit brought is gone."""
    origin = stage.origin(kind)
    stage.fill(origin, 4)
    mark = canary()
    with origin.change():
        origin.write("docs/new.md", prose(mark))
    stage.up(origin)
    stage.appears(mark, origin)
    git(origin.work, "revert", "--no-edit", "HEAD")
    origin.push()
    stage.gone(mark, origin)
    stage.serves_truth(origin)


@row("P09", "revert a deletion", "Git")
def p09(stage: Stage, kind: str) -> None:
    """What the reverted commit took is back."""
    origin = stage.origin(kind)
    stage.fill(origin, 4)
    stage.up(origin)
    mark = stage.mark(origin, "docs/002.md")
    with origin.change():
        origin.delete("docs/002.md")
    stage.gone(mark, origin)
    git(origin.work, "revert", "--no-edit", "HEAD")
    origin.push()
    stage.appears(mark, origin)
    stage.serves_truth(origin)


def _rewrite(stage: Stage, origin: Repo, *, new_commit: bool) -> None:
    stage.fill(origin, 4)
    kept = origin.head()
    dropped, added = canary(), canary()
    with origin.change():
        origin.write("docs/dropped.md", prose(dropped))
    stage.up(origin)
    stage.appears(dropped, origin)
    origin.reset(kept)
    if new_commit:
        origin.write("docs/added.md", prose(added))
        git(origin.work, "add", "-A")
        git(origin.work, "commit", "-q", "-m", "another")
    origin.push(force=True)
    stage.gone(dropped, origin)
    assert stage.tombstone(origin, "docs/dropped.md")["reason"] == "HistoryRewritten"
    stage.until(lambda: "HistoryRewritten" in stage.events(origin), 20, "the event HistoryRewritten")
    stage.until(lambda: stage.status(origin)["revision"] == origin.head(), 20, "the revision in status")
    stage.serves_truth(origin)


@row("P10", "force-push that drops a commit", "Git")
def p10(stage: Stage, kind: str) -> None:
    """Gone; event and tombstone say that history was rewritten."""
    _rewrite(stage, stage.origin(kind), new_commit=False)


@row("P11", "force-push that drops a commit and brings another", "Git")
def p11(stage: Stage, kind: str) -> None:
    """Gone; event and tombstone say that history was rewritten."""
    _rewrite(stage, stage.origin(kind), new_commit=True)


@row("P13", "symlinks out of the root, in a loop, dangling")
def p13(stage: Stage) -> None:
    """Never followed; nothing else is disturbed, and they are counted."""
    origin = stage.tree()
    stage.fill(origin, 3)
    outside, secret = stage.folder_of("outside"), canary()
    (outside / "deep").mkdir(parents=True)
    (outside / "secret.md").write_text(prose(secret))
    (outside / "deep" / "secret.md").write_text(prose(secret))
    (origin.root / "out.md").symlink_to(outside / "secret.md")
    (origin.root / "outdir").symlink_to(outside)
    (origin.root / "loop").symlink_to(origin.root)
    (origin.root / "dangling.md").symlink_to(origin.root / "nothing.md")
    stage.up(origin)
    stage.serves_truth(origin)
    assert not stage.hits(secret)
    assert stage.status(origin)["documents"]["skipped"] == 4
    # A real folder that becomes a link to the same documents elsewhere has left the root.
    mark = stage.mark(origin, "docs/000.md")
    elsewhere = stage.folder_of("elsewhere")
    after = {uri: data for uri, data in origin.now.items() if not uri.startswith("docs/")}
    with stage.truth.turning(origin.key, after):
        (origin.root / "docs").rename(elsewhere)
        (origin.root / "docs").symlink_to(elsewhere)
    stage.gone(mark, origin)


@row("P14", "uncommitted and untracked files in a checkout")
def p14(stage: Stage) -> None:
    """Only what is committed is served, from a bare server and from a checkout on the disk alike."""
    origin = stage.repo()
    stage.fill(origin, 3)
    untracked, edited = canary(), canary()
    (origin.work / "untracked.md").write_text(prose(untracked))
    (origin.work / "docs" / "000.md").write_text(prose(edited))
    git(origin.work, "add", "docs/000.md")  # staged is not committed
    stage.up(origin)
    stage.serves_truth(origin)
    here = Checkout(stage, origin)
    stage.truth.declare(here.key, 5.0)
    with stage.truth.turning(here.key, origin.now):
        pass
    stage.declare(here)
    stage.ready(here)
    stage.serves_truth(here)
    assert not stage.hits(untracked, origin, here)
    assert not stage.hits(edited, origin, here)


class Checkout(Repo):
    """The checkout of another repository, as a source by its path."""

    def __init__(self, stage: Stage, other: Repo) -> None:
        self.truth, self.key, self.now, self.url, self.work, self.bare = stage.truth, stage.key("checkout"), other.now, str(other.work), other.work, other.bare


@row("P16", "include and exclude narrowed", *BOTH)
def p16(stage: Stage, kind: str) -> None:
    """Out-of-scope documents are gone once the declaration is observed; widened again, they are back."""
    origin = stage.origin(kind)
    stage.fill(origin, 3, "a")
    out = stage.fill(origin, 12, "b")
    stage.up(origin)
    stage.serves_truth(origin)
    marks = {stage.mark(origin, uri) for uri in out}
    stored = stage.declare(origin, exclude=["b/**"])
    stage.truth.retract(origin.key, out)
    stage.until(lambda: not stage.served(origin) & marks, stage.truth.terms(origin.key).g, "out of scope gone")
    stage.ready(origin)
    assert stage.status(origin)["observedGeneration"] == stored["metadata"]["generation"]
    stones = {t["uri"]: t["reason"] for t in stage.tombstones(origin)}
    assert {stones[uri] for uri in out} == {"Excluded"}
    stage.serves_truth(origin)
    stage.declare(origin, exclude=[], include=["a/**", "b/00*"])
    with stage.truth.turning(origin.key, {uri: data for uri, data in origin.now.items() if uri.startswith(("a/", "b/00"))}):
        pass
    stage.ready(origin)
    stage.serves_truth(origin)


@row("P03", "a whole folder is renamed: nothing is held, everything moves", "Directory", "Git")
def p03_folder(stage: Stage, kind: str) -> None:
    """A move is no deletion: the guard holds nothing, though every document is missing where it was."""
    origin = stage.origin(kind)
    uris = stage.fill(origin, 15, "old")
    stage.up(origin)
    stage.serves_truth(origin)
    with origin.change():
        if isinstance(origin, Tree):
            after = {uri.replace("old/", "new/"): data for uri, data in origin.now.items()}
            with stage.truth.turning(origin.key, after):
                (origin.root / "old").rename(origin.root / "new")
            origin.now = after
        else:
            origin.rename("old", "new")
    stage.serves_truth(origin)
    assert "heldDeletion" not in stage.status(origin)
    stones = {t["uri"]: t for t in stage.tombstones(origin)}
    assert all(stones[uri]["successor"] == uri.replace("old/", "new/") for uri in uris)
    assert max(parsed(stones[uri]["at"]) for uri in uris)
