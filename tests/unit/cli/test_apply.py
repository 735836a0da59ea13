"""`apply` and `delete`: what is sent, from where paths are taken, and what is printed."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.conftest import Answer, Call, Ended, Server, at, source
from trueup.surfaces.cli.manifests import read_manifests

Run = Callable[..., Ended]

MANIFEST = """\
apiVersion: trueup.dev/v1alpha1
kind: ContextSource
metadata: {name: NAME}
spec:
  source: {type: Directory, directory: {path: PATH}}
  access: {readers: [{kind: Everyone}]}
"""


def manifest(name: str = "docs", path: str = "./docs") -> str:
    return MANIFEST.replace("NAME", name).replace("PATH", path)


def stores(server: Server, name: str = "docs") -> dict[str, Any]:
    """Let the server keep what is put, and raise the generation when the spec changes."""
    kept: dict[str, Any] = {}

    def put(call: Call) -> Answer:
        metadata = {**call.body["metadata"], "generation": kept["metadata"]["generation"] + (call.body["spec"] != kept["spec"]) if kept else 1}
        kept.clear()
        kept.update({**call.body, "metadata": metadata})
        return 200, kept

    server.on("PUT", at(name), put)
    server.on("GET", at(name), lambda _: (200, kept) if kept else (404, {"detail": "There is nothing here for this caller."}))
    return kept


def test_created_unchanged_configured(server: Server, trueup: Run, tmp_path: Path) -> None:
    """apply says what became of each resource."""
    stores(server)
    file = tmp_path / "s.yaml"
    file.write_text(manifest())
    assert trueup("apply", "-f", "s.yaml") == Ended(0, "contextsource/docs created\n", "")
    assert trueup("apply", "-f", "s.yaml").out == "contextsource/docs unchanged\n"
    file.write_text(manifest(path="./other"))
    assert trueup("apply", "-f", "s.yaml").out == "contextsource/docs configured\n"


def test_annotations_of_commands_survive_an_apply(server: Server, trueup: Run, tmp_path: Path) -> None:
    """What `reconcile` and `confirm` wrote is not undone by a manifest that does not know of it."""
    kept = stores(server)
    (tmp_path / "s.yaml").write_text(manifest())
    trueup("apply", "-f", "s.yaml")
    kept["metadata"]["annotations"] = {"trueup.dev/requestedAt": "r1", "team": "a"}
    assert trueup("apply", "-f", "s.yaml").out == "contextsource/docs configured\n"
    assert kept["metadata"]["annotations"] == {"trueup.dev/requestedAt": "r1"}
    assert trueup("apply", "-f", "s.yaml").out == "contextsource/docs unchanged\n"


@pytest.mark.parametrize(
    ("written", "expected"),
    [("./docs", "BASE/docs"), ("docs", "BASE/docs"), (".", "BASE"), ("../up", "PARENT/up"), ("/abs/docs", "/abs/docs"), ("~/docs", "HOME/docs")],
)
def test_relative_paths_are_taken_from_the_file(written: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path means the folder of the YAML file, wherever the command runs."""
    folder = tmp_path / "deep" / "er"
    folder.mkdir(parents=True)
    (folder / "s.yaml").write_text(manifest(path=written))
    monkeypatch.chdir("/")
    body = read_manifests([str(folder / "s.yaml")], None)[0].body
    expected = expected.replace("BASE", str(folder)).replace("PARENT", str(folder.parent)).replace("HOME", str(Path.home()))
    assert body["spec"]["source"]["directory"]["path"] == expected


def test_relative_paths_of_stdin_are_taken_from_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`-f -` has no file, so the shell's directory counts."""
    monkeypatch.setattr("sys.stdin", io.StringIO(manifest()))
    assert read_manifests(["-"], "team")[0].body["spec"]["source"]["directory"]["path"] == str(tmp_path / "docs")


def test_a_path_to_a_link_stays_the_link(tmp_path: Path) -> None:
    """A link that is pointed elsewhere later moves the source with it, so it is not resolved."""
    (tmp_path / "v1").mkdir()
    (tmp_path / "current").symlink_to("v1")
    (tmp_path / "s.yaml").write_text(manifest(path="./current"))
    assert read_manifests([str(tmp_path / "s.yaml")], None)[0].body["spec"]["source"]["directory"]["path"] == str(tmp_path / "current")


def test_folders_lists_and_several_documents(server: Server, trueup: Run, tmp_path: Path) -> None:
    """A folder gives its YAML files in order; a file may hold several documents, or a List."""
    folder = tmp_path / "all"
    folder.mkdir()
    (folder / "2.yml").write_text(manifest("b") + "---\n---\n" + manifest("c"))
    (folder / "1.yaml").write_text(manifest("a"))
    (folder / "notes.txt").write_text("not ours")
    for name in "abc":
        stores(server, name)
    assert trueup("apply", "-f", "all", "-n", "default").out.splitlines() == [f"contextsource/{n} created" for n in "abc"]


def test_one_invalid_resource_and_nothing_is_sent(server: Server, trueup: Run, tmp_path: Path) -> None:
    """Validation is local and first: exit 1 with the file and the field, and the server is not asked."""
    (tmp_path / "s.yaml").write_text(manifest("good") + "---\n" + manifest("bad").replace("access", "acess"))
    ended = trueup("apply", "-f", "s.yaml")
    assert ended.code == 1
    assert "s.yaml (resource 2)" in ended.err
    assert "acess" in ended.err
    assert ended.err.count("\n") == 1
    assert server.calls == []


@pytest.mark.parametrize(
    "text", ["kind: Pod\nmetadata: {name: a}\n", "- 1\n", "a: [", "kind: ContextSource\n", "", "kind: ContextSource\nmetadata: {name: 5}\n"]
)
def test_what_is_no_resource_fails_in_one_sentence(text: str, server: Server, trueup: Run, tmp_path: Path) -> None:
    """Anything that is no resource of ours is exit 1."""
    (tmp_path / "s.yaml").write_text(text)
    ended = trueup("apply", "-f", "s.yaml")
    assert (ended.code, ended.out, ended.err.count("\n")) == (1, "", 1)
    assert server.calls == []


def test_files_that_are_not_there(server: Server, trueup: Run, tmp_path: Path) -> None:
    """A missing file, or an empty folder, is named."""
    (tmp_path / "empty").mkdir()
    assert trueup("apply", "-f", "nosuch.yaml").err == "error: There is no file nosuch.yaml.\n"
    assert "has no .yaml" in trueup("apply", "-f", "empty").err


def test_a_refusal_of_one_lets_the_others_pass_and_fails(server: Server, trueup: Run, tmp_path: Path) -> None:
    """Where the server refuses one resource of several, the others are applied and the exit code is 1."""
    stores(server, "a")
    server.on("PUT", at("b"), {"detail": "directory.path is outside every allowed root."}, 422)
    (tmp_path / "s.yaml").write_text(manifest("b") + "---\n" + manifest("a"))
    ended = trueup("apply", "-f", "s.yaml")
    assert (ended.code, ended.out) == (1, "contextsource/a created\n")
    assert "allowed root" in ended.err


def test_namespaces(server: Server, trueup: Run, tmp_path: Path) -> None:
    """-n fills in a namespace, and contradicting one is wrong usage."""
    server.on("PUT", at("docs", "team"), source(namespace="team"))
    (tmp_path / "s.yaml").write_text(manifest())
    assert trueup("apply", "-f", "s.yaml", "-n", "team").code == 0
    assert server.sent("PUT")[0].body["metadata"]["namespace"] == "team"
    (tmp_path / "s.yaml").write_text(manifest().replace("{name: docs}", "{name: docs, namespace: other}"))
    assert trueup("apply", "-f", "s.yaml", "-n", "team").code == 2


def test_delete_by_name_and_by_file(server: Server, trueup: Run, tmp_path: Path) -> None:
    """delete takes KIND NAME or -f, says what it deleted, and fails for what is not there unless told otherwise."""
    server.on("DELETE", at(), None, 204)
    (tmp_path / "s.yaml").write_text(manifest())
    assert trueup("delete", "source", "docs").out == "contextsource/docs deleted\n"
    assert trueup("delete", "-f", "s.yaml").out == "contextsource/docs deleted\n"
    assert trueup("delete", "source", "gone").code == 1
    assert trueup("delete", "source", "gone", "--ignore-not-found") == Ended(0, "", "")
    for arguments in ((), ("source",), ("source", "docs", "-f", "s.yaml"), ("pod", "docs")):
        assert trueup("delete", *arguments).code == 2
