"""The documents say what is so: links lead somewhere, named files, commands, targets and tests exist."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from trueup.surfaces.cli.program import COMMANDS

ROOT = Path(__file__).parents[3]
LINK = re.compile(r"\[[^\]^\[]*\]\(([^)\s]+)\)")


def pages() -> list[Path]:
    """Every page that is, or is about to be, in the repository."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    return [ROOT / name for name in listed if (ROOT / name).exists()]


def prose(page: Path) -> str:
    """The page without its code, in which brackets mean other things."""
    text = re.sub(r"^(```.*?^```|    [^\n]*$)", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`\n]*`", "", text)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as forges make them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken(page: Path) -> list[str]:
    """The relative links of `page` that lead nowhere."""
    found = []
    for link in LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        place, _, anchor = link.partition("#")
        target = (page.parent / place).resolve() if place else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            found.append(link)
    return found


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    """Every relative link of every page, with its anchor, has a target in the repository."""
    assert broken(page) == []


def test_a_broken_link_is_seen(tmp_path):
    """The check sees a missing file and a missing heading, and lets code alone."""
    page = tmp_path / "a.md"
    page.write_text("# One two\n[a](b.md) [c](#one-two) [d](#three) `[e](f)`\n\n    [g](h)\n", "utf-8")
    assert broken(page) == ["b.md", "#three"]


@pytest.mark.parametrize("page", ["docs/architecture.md", "CONTRIBUTING.md", "README.md"])
def test_named_files_exist(page):
    """A path below one of the repository's folders that a page names is there."""
    text = (ROOT / page).read_text("utf-8")
    named = set(re.findall(r"`?\b((?:controller|tests|manifests|benchmarks|requirements)/[\w./-]*\w\.\w+)", text))
    assert named
    assert sorted(name for name in named if not (ROOT / name).exists()) == []


def test_both_journeys_can_be_followed():
    """The two journeys name the files that make truth change and the one that is the query, so that neither loses its page unnoticed."""
    text = (ROOT / "docs/architecture.md").read_text("utf-8")
    assert {"look.py", "looking.py", "publishing.py", "retrieve.py", "verify.py"} <= set(re.findall(r"/(\w+\.py)", text))


@pytest.mark.parametrize("page", ["README.md", "docs/operations.md", "docs/concepts.md"])
def test_commands_exist(page):
    """Every `trueup COMMAND` of these pages is one."""
    named = re.findall(r"(?:`|^    )trueup ([a-z]+)", (ROOT / page).read_text("utf-8"), flags=re.MULTILINE)
    assert named
    assert [name for name in named if name not in COMMANDS] == []


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "docs/architecture.md", "docs/dependencies.md", "benchmarks/README.md"])
def test_targets_exist(page):
    """Every `make TARGET` of these pages is one."""
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text("utf-8"), flags=re.MULTILINE))
    named = re.findall(r"(?:`|^    )make ([a-z][a-z0-9-]*)", (ROOT / page).read_text("utf-8"), flags=re.MULTILINE)
    assert named
    assert [name for name in named if name not in targets] == []


def test_each_promise_names_tests_that_exist():
    """The table of promises cannot name a test that was renamed or removed."""
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "README.md").read_text("utf-8"))
    assert len(named) >= 10
    for path, function in named:
        tree = ast.parse((ROOT / path).read_text("utf-8"))
        assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, f"{path}::{function}"


def test_each_dependency_has_its_line():
    """What pyproject.toml depends on is accounted for in docs/dependencies.md."""
    text = (ROOT / "docs/dependencies.md").read_text("utf-8").lower()
    names = {requirement.name.lower() for requirement in required("runtime") + required("cluster") + required("dev")}
    spoken = {"qdrant-edge-py": "qdrant-edge-py", "psycopg": "psycopg 3", "types-pyyaml": "pyyaml", "editables": "hatchling"}
    assert sorted(name for name in names if spoken.get(name, name) not in text) == []


def required(lock: str) -> list[Requirement]:
    """What pyproject.toml asks of `requirements/<lock>.txt`."""
    read = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    project, groups = read["project"], read["dependency-groups"]
    extras = project["optional-dependencies"]
    wanted = project["dependencies"] + groups["build"] + extras["model"]
    if lock != "runtime":
        wanted = wanted + [requirement for extra in extras.values() for requirement in extra]
    if lock == "dev":
        wanted = wanted + groups["dev"]
    return [Requirement(text) for text in wanted]


@pytest.mark.parametrize("lock", ["runtime", "cluster", "dev"])
def test_a_lock_holds_what_is_asked_of_it(lock):
    """Whoever adds a dependency runs `make lock`: each lock has a version of everything, and one that is allowed."""
    pins = dict(re.findall(r"^([a-z0-9.-]+)==([^ \n]+)", (ROOT / f"requirements/{lock}.txt").read_text("utf-8"), flags=re.MULTILINE))
    for requirement in required(lock):
        assert requirement.specifier.contains(pins[requirement.name.lower()], prereleases=True), f"{requirement} in {lock}.txt: make lock"


def test_locks_are_pins():
    """A lock names exact versions and nothing else: no URL, no host, no path."""
    for lock in [*ROOT.glob("requirements/*.txt"), ROOT / "benchmarks/peers.txt"]:
        for line in lock.read_text("utf-8").splitlines():
            assert re.fullmatch(r"[a-z0-9.-]+==[0-9][\w.]*( ; [\w .<>='!]+( (and|or) [\w .<>='!]+)*)?", line), f"{lock.name}: {line}"
