"""The control plane's build: what is keyed, which Go is taken, whose binaries are honoured."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

import pytest
from tests.controlplane import build


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the sources that the test may change."""
    for file in [*build._HERE.glob("*.go"), build._HERE / "go.mod", build._HERE / "go.sum"]:
        shutil.copy(file, tmp_path)
    monkeypatch.setattr(build, "_HERE", tmp_path)
    return tmp_path


@pytest.mark.parametrize("changed", ["main.go", "go.mod", "go.sum"])
def test_a_change_of_the_sources_is_another_build(sources: Path, changed: str) -> None:
    """No stale binary is run: each source is in the key, and so is the version of Go."""
    before = build._key("1.27.3")
    assert before == build._key("1.27.3")
    assert before != build._key("1.27.4")
    with (sources / changed).open("a") as file:
        file.write("// changed\n")
    assert build._key("1.27.3") != before


@pytest.mark.parametrize(("version", "expected"), [("1.26.8", (1, 26, 8)), ("1.27", (1, 27, 0)), ("1.27rc1", (1, 27, 0)), ("devel", ())])
def test_versions_of_go_compare_as_numbers(version: str, expected: tuple[int, ...]) -> None:
    """1.9 is older than 1.26; what is no version is older than all."""
    assert build._numbers(version) == expected


@pytest.mark.parametrize(("version", "taken"), [("go1.9.7", False), ("go1.26.0", True), ("go1.30.1", True), ("nonsense", False)])
def test_the_machines_go_is_taken_if_it_is_new_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, taken: bool) -> None:
    """An older one is left alone, so that the one from PyPI builds."""
    monkeypatch.setenv("PATH", str(program(tmp_path / "go", version).parent))
    assert (build._own_go() is not None) is taken


def test_without_any_go_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with Python alone is no error yet."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert build._own_go() is None


def test_envtests_binaries_are_taken_where_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """KUBEBUILDER_ASSETS goes first, part by part; what it lacks is ours, and nothing is built if it lacks nothing."""
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    for name in ("etcd", "kube-apiserver", "kubectl"):
        program(tmp_path / name, "")
    monkeypatch.setattr(build, "_built", lambda: Path("/ours"))
    assert build.parts() == build.Parts(tmp_path / "etcd", tmp_path / "kube-apiserver", Path("/ours/kube-controller-manager"), tmp_path / "kubectl")
    program(tmp_path / "kube-controller-manager", "")
    monkeypatch.setattr(build, "_built", lambda: pytest.fail("built although nothing was missing"))
    assert build.parts().controller_manager == tmp_path / "kube-controller-manager"


def program(path: Path, says: str) -> Path:
    """A program that prints `says`."""
    path.write_text(f"#!/bin/sh\necho {says}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path
