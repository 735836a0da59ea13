"""What is shipped fits together: Dockerfile, manifests, page and program name the same things."""

from __future__ import annotations

import fnmatch
import inspect
import re
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.e2e import kind
from trueup import cluster_settings

ROOT = Path(__file__).parents[3]
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
STAGES = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)
PAGE = (ROOT / "docs" / "cluster.md").read_text("utf-8")


def instructions(stage: str, word: str) -> list[str]:
    return [" ".join(line.split()[1:]) for line in stage.splitlines() if line.startswith(f"{word} ")]


def test_what_the_image_copies_is_there_and_let_in() -> None:
    """Each source of a COPY exists, and .dockerignore, which leaves everything out, takes it back."""
    let_in = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = [source for line in instructions(STAGES[1], "COPY") for source in line.split()[:-1]]
    assert copied
    for source in copied:
        assert (ROOT / source).exists()
        assert any(fnmatch.fnmatch(source, pattern) for pattern in let_in), source


def test_the_base_can_be_pinned() -> None:
    """Both stages are of one base, which is an argument."""
    assert instructions(STAGES[0], "ARG")[0].startswith("BASE=")
    assert [stage.split()[0] for stage in STAGES[1:]] == ["${BASE}", "${BASE}"]


def test_the_image_runs_as_the_manifests_say() -> None:
    """By number and as nobody: the user that owns the volume, with its home below the mount, on the ports that are probed."""
    last = STAGES[-1]
    (user,) = instructions(last, "USER")
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    for overlay in ("kind/deployment.yaml", "production/operator.yaml", "production/gate.yaml"):
        pod = next(item for item in yaml.safe_load_all((ROOT / "manifests/overlays" / overlay).read_text()) if item["kind"] == "Deployment")
        spec = pod["spec"]["template"]["spec"]
        assert f"{spec['securityContext']['runAsUser']}:{spec['securityContext']['runAsGroup']}" == user
        ports = {str(port["containerPort"]) for port in spec["containers"][0]["ports"]}
        assert ports <= set(instructions(last, "EXPOSE")[0].split())


def test_nothing_is_installed_or_fetched_in_the_last_stage() -> None:
    """What runs has no package manager, and what was needed for building alone stays in the stage before."""
    last = STAGES[-1]
    assert not re.search(r"pip install|apt-get|curl|wget", last)
    assert re.search(r"pip uninstall .*\bpip\b", last)
    assert re.search(r"pip uninstall .*\bpip\b", STAGES[1])


def test_the_tag_is_the_version() -> None:
    """The overlays name the image of this version, and so does `make kind`."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    named = [*(ROOT / "manifests/overlays").rglob("*.yaml"), ROOT / "Makefile", ROOT / "tests/e2e/kind.py"]
    assert {tag for path in named for tag in re.findall(r"\btrueup:(\d[\w.]*)", path.read_text())} == {version}


def test_every_setting_is_on_the_page_and_no_other() -> None:
    """A setting that is added must be described, one that is removed must go; and so for what the manifests set."""
    source = inspect.getsource(cluster_settings)
    read = {f"TRUEUP_{name}" for name in re.findall(r'(?:text|port)\("([A-Z_]+)"', source)} | {"TRUEUP_MODELS"}
    table = {name for line in PAGE.splitlines() if line.startswith("| `") for name in re.findall(r"`(TRUEUP_[A-Z_]+)`", line.split("|")[1])}
    assert table == read
    manifests = "".join(path.read_text() for path in (ROOT / "manifests/overlays").rglob("*.yaml"))
    assert {name.removesuffix("_FILE") for name in re.findall(r"\bTRUEUP_[A-Z_]+\b", manifests)} <= read


def test_every_role_is_on_the_page() -> None:
    """The table of roles names each ClusterRole of the manifests."""
    roles = [item for path in (ROOT / "manifests/base").glob("roles-*.yaml") for item in yaml.safe_load_all(path.read_text()) if item["kind"] == "ClusterRole"]
    assert [role["metadata"]["name"] for role in roles if f"| `{role['metadata']['name']}`" not in PAGE] == []


@pytest.mark.parametrize(
    ("there", "said"),
    [((), "There is no docker on PATH"), (("docker",), "There is no kind on PATH"), (("docker", "kind", "kubectl"), "Docker does not answer")],
)
def test_make_kind_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: tuple[str, ...], said: str) -> None:
    """A sentence, and what can be done instead; nothing is built before all is there."""
    for name in there:
        (tmp_path / name).write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert kind.missing().startswith(said)
    assert "make demo-cluster" in kind.missing()


def test_make_kind_uses_the_files_that_are_there(tmp_path: Path) -> None:
    """The image, then the cluster of kind-config.yaml, then the one into the other."""
    build, create, load = kind.commands("trueup:1", tmp_path / "kubeconfig")
    assert (build[:4], load[:4]) == (["docker", "build", "--tag", "trueup:1"], ["kind", "load", "docker-image", "trueup:1"])
    config = next(word.removeprefix("--config=") for word in create if word.startswith("--config="))
    assert yaml.safe_load(Path(config).read_text())["kind"] == "Cluster"
