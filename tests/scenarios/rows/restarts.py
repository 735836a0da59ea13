"""P24b, P27: what a restart, and an index that is lost or old, may cost: recall, never truth."""

from __future__ import annotations

import shutil

from tests.scenarios.harness.documents import canary, prose
from tests.scenarios.harness.origins import Repo, Tree
from tests.scenarios.harness.rows import row
from tests.scenarios.harness.stage import SLACK, Stage
from tests.scenarios.rows.outages import outage, withheld


def two(stage: Stage) -> tuple[Tree, Repo]:
    """A folder and a repository, ready."""
    origins = stage.tree(), stage.repo()
    for origin in origins:
        stage.fill(origin, 12, paragraphs=2)
        stage.up(origin, interval="1s")
        stage.serves_truth(origin)
    return origins


def change_everything(origin: Tree | Repo) -> None:
    """Delete, edit, rename and add."""
    with origin.change():
        origin.delete("docs/000.md")
        origin.write("docs/001.md", prose(canary(), 2))
        origin.rename("docs/002.md", "docs/moved.md")
        origin.write("docs/new.md", prose(canary(), 2))


def _down(stage: Stage, origins: tuple[Tree, Repo]) -> None:
    for origin in origins:
        stage.truth.outage(origin.key)
    stage.installation.stop()


def _up(stage: Stage, origins: tuple[Tree, Repo]) -> None:
    stage.installation.start()
    for origin in origins:
        stage.truth.recovered(origin.key)


@row("P24b", "the index is replaced by an older copy, then removed, while stopped", own=True)
def p24b(stage: Stage) -> None:
    """No phantom from the first answer on, whatever the index proposes; repaired within a pass."""
    origins = two(stage)
    index, old = stage.installation.home / "index", stage.installation.folder / "old-index"
    _down(stage, origins)
    shutil.copytree(index, old)
    _up(stage, origins)
    dead = [stage.mark(origin, uri) for origin in origins for uri in ("docs/000.md", "docs/001.md")]
    for origin in origins:
        change_everything(origin)
        stage.serves_truth(origin)
    _down(stage, origins)
    while_down = stage.mark(origins[0], "docs/003.md")
    origins[0].delete("docs/003.md")
    shutil.rmtree(index)
    shutil.copytree(old, index)
    _up(stage, origins)
    for mark in dead:
        assert not stage.hits(mark), "a phantom out of an old index"
    stage.gone(while_down, origins[0])
    for origin in origins:
        stage.serves_truth(origin, 30 * SLACK)
    _down(stage, origins)
    shutil.rmtree(index)
    _up(stage, origins)
    for origin in origins:
        stage.serves_truth(origin, 30 * SLACK)


@row("P27", "restart while expired", own=True)
def p27(stage: Stage) -> None:
    """Still expired after it; failures and holds survive it too; read again, it is served."""
    tree, repo = stage.tree(), stage.repo()
    for origin in (tree, repo):
        stage.fill(origin, 12)
        stage.up(origin, interval="1s", timeout="1s", freshness={"maxStaleness": "3s"})
        stage.serves_truth(origin)
    held = stage.tree("held")
    stage.fill(held, 12)
    stage.up(held)
    with stage.truth.turning(held.key, {}):
        (held.root / "docs").rename(stage.folder_of("gone"))
    observation = stage.until(lambda: stage.status(held).get("heldDeletion"), 20, "held")["observation"]
    with outage(stage, tree), outage(stage, repo):
        for origin in (tree, repo):
            stage.until(lambda o=origin: withheld(stage, o), 3 + 2 * SLACK, "expired")  # type: ignore[misc]
        stage.installation.stop()
        stage.installation.start()
        for origin in (tree, repo):
            assert withheld(stage, origin)
            assert stage.condition(origin, "FetchFailed")
        stage.never(lambda: stage.served(tree) | stage.served(repo), 2.0, "a restart renewed it")
        assert stage.status(held)["heldDeletion"]["observation"] == observation
        assert not stage.served(held)
    for origin in (tree, repo):
        stage.serves_truth(origin)
        assert stage.tombstones(origin) == []
