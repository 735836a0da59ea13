"""The CRDs on a real API server: it takes and refuses what the command line takes and refuses, and says why."""

from __future__ import annotations

import copy
import json
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml

from tests.controlplane import ControlPlane, KubectlError
from tests.unit.model.manifests import git, source
from tests.unit.model.test_manifest import CASES, URLS
from trueup.model.resources import make_absolute, parse_manifest, parse_stored

SAMPLES = sorted((Path(__file__).parents[2] / "manifests" / "samples").glob("*.yaml"))
NULLS = {"nothing is not an empty list", "nobody must be said", "neither inherit nor nobody"}
"""What the API server cannot refuse on a plain create: it drops a null before validation, and a default takes its place."""

BAD = [
    pytest.param(case.values[0], id=case.id)
    for case in CASES
    if isinstance(case.values[0], dict) and case.values[0]["kind"] == "ContextSource" and case.id not in NULLS
]


def offer(plane: ControlPlane, manifest: dict[str, Any]) -> dict[str, Any]:
    """The object as the API server would store it, unknown fields refused, nothing kept; raises KubectlError with its answer."""
    path = f"/apis/{manifest['apiVersion']}/namespaces/default/{manifest['kind'].lower().replace('index', 'indexe')}s"
    made: dict[str, Any] = json.loads(plane.kubectl("create", f"--raw={path}?dryRun=All&fieldValidation=Strict", "-f", "-", stdin=json.dumps(manifest)))
    return made


def documents(path: Path) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.name)
def test_a_sample_can_be_applied(installed: ControlPlane, sample: Path) -> None:
    """Every sample is a valid object of a cluster, once its relative path is made absolute as `trueup apply` does it."""
    installed.apply(*(make_absolute(document, PurePosixPath("/srv")) for document in documents(sample)), dry_run=True)


def test_a_relative_path_is_refused_with_a_sentence(installed: ControlPlane) -> None:
    """kubectl knows no folder beside the file, and says what the path must be."""
    with pytest.raises(KubectlError, match=r"spec\.source\.directory\S*: Invalid value: .*path must be absolute"):
        installed.apply(source(source={"type": "Directory", "directory": {"path": "docs"}}), dry_run=True)


@pytest.mark.parametrize("manifest", BAD)
def test_the_api_server_refuses_what_the_command_line_refuses(installed: ControlPlane, manifest: dict[str, Any]) -> None:
    """No object gets into a cluster that the operator then cannot read."""
    with pytest.raises(KubectlError):
        offer(installed, manifest)


def test_a_null_never_widens_readers_under_server_side_apply(installed: ControlPlane) -> None:
    """`readers:` without a value is refused in a rule, where its absence would inherit, and is nobody at the top."""
    everyone = [{"kind": "Everyone"}]
    with pytest.raises(KubectlError, match=r"spec\.access\.rules\[0\]\.readers in body must be of type array"):
        installed.apply(source(access={"readers": everyone, "rules": [{"paths": ["a"], "readers": None}]}), dry_run=True)
    assert offer(installed, source(access={"readers": None}))["spec"]["access"]["readers"] == []


@pytest.mark.parametrize(("url", "told"), URLS)
def test_urls_are_refused_at_admission(installed: ControlPlane, url: str, told: str) -> None:
    """Helpers, options, credentials and plain text over a network do not reach the cluster's store, and the reason is the same sentence."""
    with pytest.raises(KubectlError) as refusal:
        offer(installed, git(url=url))
    assert "spec.source.git.url" in str(refusal.value)
    assert told in str(refusal.value) or told == "control characters"


@pytest.mark.parametrize(
    "manifest",
    [
        source(),
        git(ref={"branch": "main"}, path="docs"),
        source(source={"type": "Plugin", "plugin": {"name": "x"}}, access={"rules": [{"paths": ["a"], "readers": []}]}),
        {"apiVersion": "trueup.dev/v1alpha1", "kind": "ContextIndex", "metadata": {"name": "default"}, "spec": {}},
    ],
    ids=["directory", "git", "plugin", "index"],
)
def test_an_object_means_the_same_in_a_cluster(installed: ControlPlane, manifest: dict[str, Any]) -> None:
    """The API server's defaults are ours, and what it stores we read."""
    stored = offer(installed, copy.deepcopy(manifest))
    assert stored["spec"] == parse_manifest(manifest).dump()["spec"]
    assert parse_stored(stored).dump()["spec"] == stored["spec"]
    assert stored["status"]["observedGeneration"] == -1


def test_kubectl_shows_the_columns_and_the_category(installed: ControlPlane, namespace: str) -> None:
    """`kubectl get trueup` lists every kind, `get ctxsrc` shows the table of the design."""
    made = source()
    made["metadata"]["namespace"] = namespace
    installed.apply(made)
    header = installed.kubectl("get", "ctxsrc", "-o", "wide", f"--namespace={namespace}").splitlines()[0].split()
    assert header == ["NAME", "TYPE", "READY", "FRESH", "DOCS", "TOMBSTONES", "STATUS", "AGE", "REVISION", "CHUNKS", "INDEX"]
    assert installed.kubectl("get", "trueup", "-o", "name", f"--namespace={namespace}").split() == ["contextsource.trueup.dev/docs"]
    assert len(installed.get("ctxsrc", "--field-selector=spec.source.type=Directory", f"--namespace={namespace}")["items"]) == 1


def test_status_is_written_only_through_its_subresource(installed: ControlPlane, namespace: str) -> None:
    """An editor who applies a status changes nothing, and the generation moves with the spec alone."""
    made = source()
    made["metadata"]["namespace"] = namespace
    installed.apply(made | {"status": {"observedGeneration": 7}})
    stored = installed.get("ctxsrc", "docs", f"--namespace={namespace}")
    assert (stored["status"]["observedGeneration"], stored["metadata"]["generation"]) == (-1, 1)
    ready = {"type": "Ready", "status": "True", "observedGeneration": 1, "lastTransitionTime": "2026-11-21T14:30:00Z", "reason": "Synced", "message": "ok"}
    status = {"status": {"observedGeneration": 1, "conditions": [ready]}}
    installed.kubectl("patch", "ctxsrc", "docs", f"--namespace={namespace}", "--subresource=status", "--type=merge", "-p", json.dumps(status))
    installed.kubectl("wait", "--for=condition=Ready", "ctxsrc/docs", f"--namespace={namespace}", "--timeout=5s")
    assert installed.get("ctxsrc", "docs", f"--namespace={namespace}")["metadata"]["generation"] == 1
