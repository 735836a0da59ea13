"""The end-to-end suite, without a node: its whole course with a process in place of the pod, its rehearsal, and its parts."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.parts import Part
from tests.cluster.test_manifests import as_pod
from tests.controlplane import ControlPlane
from tests.controlplane.local import operator_settings
from tests.e2e import __main__ as program
from tests.e2e.course import course, rehearse
from tests.e2e.kube import Failure, Kubectl, until
from tests.e2e.overlay import overlay, split
from tests.e2e.pods import DEPLOYMENT, NAMESPACE, answers, is_ready, loose
from tests.e2e.removal import leftovers, nothing_left
from tests.e2e.storage import fits, provided, space, volume, worker

IMAGE = "registry.test:5000/somebody/trueup:1.2"


class StandIn:
    """What a kubelet would make of the Deployment: a process of the same command, under the same account, while it has a replica."""

    def __init__(self, plane: ControlPlane, kubectl: Kubectl, home: Path) -> None:
        self._plane, self._kubectl, self._home = plane, kubectl, home
        self._part: Part | None = None

    def start(self) -> None:
        """As the Deployment says it."""
        spec = self._kubectl.get(DEPLOYMENT, f"--namespace={NAMESPACE}")["spec"]
        pod = spec["template"]["spec"]
        (container,) = pod["containers"]
        assert (spec["replicas"], container["image"]) == (1, IMAGE)
        self._part = Part(self._plane, self._home, pod["serviceAccountName"], container["args"], **operator_settings())
        self._part.url()

    def check(self) -> None:
        """There is no pod to look at."""

    def url(self) -> str:
        """The process says it."""
        assert self._part is not None
        return self._part.url()

    def kill(self) -> None:
        """SIGKILL, and another."""
        assert self._part is not None
        self._part.end(signal.SIGKILL)
        self.start()

    def scale(self, replicas: int) -> None:
        """SIGTERM, or a new one."""
        self._kubectl("scale", DEPLOYMENT, f"--namespace={NAMESPACE}", f"--replicas={replicas}")
        if replicas:
            self.start()
        else:
            self.close()

    def close(self) -> None:
        """SIGTERM."""
        if self._part is not None:
            self._part.end()
            self._part = None


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A cluster of its own: it is left as empty as it was."""
    with ControlPlane(tmp_path_factory.mktemp("e2e")) as running:
        yield running


@pytest.fixture(scope="module")
def kubectl(plane: ControlPlane) -> Kubectl:
    return Kubectl(plane.kubeconfig, plane.parts.kubectl)


def test_the_course_ends_with_an_empty_cluster(plane: ControlPlane, kubectl: Kubectl, tmp_path: Path) -> None:
    """Installed, asked, changed, killed, starved and uninstalled in the documented order: everything holds, and nothing is left."""
    steps: list[str] = []
    with overlay(IMAGE) as folder:
        course(kubectl, StandIn(plane, kubectl, tmp_path / "home"), folder, steps.append)
    assert len(steps) == 9
    assert leftovers(kubectl) == []


def test_a_rehearsal_changes_nothing(kubectl: Kubectl, capsys: pytest.CaptureFixture[str]) -> None:
    """`--dry-run` has the API server take everything that the course applies, and leaves no namespace behind."""
    before = kubectl.there("namespaces")
    with overlay(IMAGE) as folder:
        rehearse(kubectl, folder, print)
    assert capsys.readouterr().out.count("would") == 2
    until("the namespaces went", lambda: kubectl.there("namespaces") == before, 30)
    assert leftovers(kubectl) == []


def test_what_is_left_is_named(kubectl: Kubectl) -> None:
    """The last check can fail: an object of ours that stayed is named."""
    kubectl("create", "clusterrole", "trueup-forgotten", "--verb=get", "--resource=configmaps")
    kubectl("label", "clusterrole", "trueup-forgotten", "app.kubernetes.io/part-of=trueup")
    try:
        with pytest.raises(Failure, match="trueup-forgotten"):
            nothing_left(kubectl, 0.1)
    finally:
        kubectl("delete", "clusterrole", "trueup-forgotten")


def test_it_does_not_begin_where_something_is(kubectl: Kubectl, plane: ControlPlane, tmp_path: Path) -> None:
    """A cluster in which Trueup is installed is somebody's: the course would uninstall it."""
    kubectl("create", "namespace", NAMESPACE)
    try:
        with overlay(IMAGE) as folder, pytest.raises(Failure, match="is there already"):
            course(kubectl, StandIn(plane, kubectl, tmp_path), folder, print)
    finally:
        kubectl("delete", "namespace", NAMESPACE)


def test_a_cluster_without_nodes_is_a_sentence(plane: ControlPlane, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is installed where no pod could run, nor without a cluster and an image."""
    monkeypatch.setenv("PATH", f"{plane.parts.kubectl.parent}")
    assert program.main(["--kubeconfig", str(plane.kubeconfig), "--image", IMAGE]) == 1
    assert "has no node" in capsys.readouterr().err
    assert program.main(["--image", IMAGE]) == 2
    assert program.main(["--kubeconfig", str(plane.kubeconfig), "--image", "no image"]) == 1


def test_the_volume_of_a_bare_cluster_is_taken(kubectl: Kubectl, plane: ControlPlane) -> None:
    """A cluster that provides none gets a volume for the claim; the API server takes it, and what makes its folder."""
    assert not provided(kubectl)
    kubectl.apply([space()])
    kubectl.apply([worker("make", "node", IMAGE, "pass"), volume("node")], "--dry-run=server", "--validate=strict")
    kubectl("delete", "namespace", space()["metadata"]["name"], "--wait=false")
    sort = {"kind": "StorageClass", "apiVersion": "storage.k8s.io/v1", "provisioner": "tests"}
    kubectl.apply([sort | {"metadata": {"name": "usual", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}}])
    assert provided(kubectl)
    kubectl("delete", "storageclass", "usual")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [({}, True), ({"storageClassName": "slow"}, False), ({"capacity": {"storage": "1Gi"}}, False), ({"capacity": {"storage": "1Ti"}}, True)],
)
def test_a_free_volume_is_seen(changes: dict[str, Any], expected: bool) -> None:
    """One without a class and with room."""
    assert fits({"spec": volume("node")["spec"] | changes, "status": {"phase": "Available"}}) is expected
    assert not fits({"spec": volume("node")["spec"] | changes, "status": {"phase": "Bound"}})


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("trueup", {"newName": "trueup", "newTag": "latest"}),
        ("trueup:0.1.0", {"newName": "trueup", "newTag": "0.1.0"}),
        ("host:5000/a/trueup", {"newName": "host:5000/a/trueup", "newTag": "latest"}),
        ("host:5000/a/trueup:1", {"newName": "host:5000/a/trueup", "newTag": "1"}),
        (f"a/trueup:1@sha256:{'0' * 64}", {"newName": "a/trueup", "digest": f"sha256:{'0' * 64}"}),
    ],
)
def test_a_reference_of_an_image_is_split(image: str, expected: dict[str, str]) -> None:
    """A registry's port is no tag, and a digest counts more than a tag."""
    assert split(image) == expected


def test_a_pod_that_has_more_is_seen(kubectl: Kubectl) -> None:
    """The pod as it ships passes; one that became more, by whatever changed it, does not."""
    with overlay(IMAGE) as folder:
        rendered = kubectl("kustomize", str(folder))
    (workload,) = [item for item in yaml.safe_load_all(rendered) if item["kind"] == "Deployment"]
    pod = as_pod(workload)
    assert loose(pod) == []
    assert loose(pod | {"status": {"containerStatuses": [{"user": {"linux": {"uid": 0}}}]}}) == ["user 0"]
    changed = json.loads(json.dumps(pod))
    changed["spec"]["hostNetwork"] = True
    changed["spec"]["containers"][0]["securityContext"] = {}
    assert loose(changed) == ["hostNetwork", "a root filesystem that can be written", "capabilities"]


def test_a_ready_pod_is_told_from_one_that_is_not() -> None:
    """Ready is the condition of that name."""
    assert is_ready({"status": {"conditions": [{"type": "Ready", "status": "True"}]}})
    assert not is_ready({"status": {"conditions": [{"type": "Ready", "status": "False"}, {"type": "Initialized", "status": "True"}]}})
    assert not is_ready({})


def test_nobody_answers_where_nobody_is() -> None:
    """An address without a gate is not taken for one."""
    assert not answers("http://127.0.0.1:9")
