"""The control plane that all cluster tests of a run share."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.controlplane import ControlPlane, parts

ROOT = Path(__file__).parents[2]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build before the first test, where no test's timeout counts: the very first build takes minutes."""
    here = __name__.rpartition(".")[0]
    if not session.config.option.collectonly and any(item.module.__name__.startswith(here) for item in session.items if isinstance(item, pytest.Function)):
        parts()


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A running control plane. Whoever stops it starts it again."""
    with ControlPlane(tmp_path_factory.mktemp("control-plane")) as running:
        yield running


@pytest.fixture(scope="session")
def installed(control_plane: ControlPlane) -> ControlPlane:
    """The control plane with the CRDs and `manifests/base` applied, as the installation page says."""
    control_plane.kubectl("apply", "--server-side", "-f", str(ROOT / "crds"))
    control_plane.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=20s")
    control_plane.kubectl("apply", "--server-side", "-k", str(ROOT / "manifests" / "base"))
    return control_plane


@pytest.fixture(scope="module")
def joined(installed: ControlPlane) -> Iterator[ControlPlane]:
    """An installation whose operator answers too, as `overlays/kind` binds it: the operator's account has the gate's role."""
    account = {"kind": "ServiceAccount", "name": "trueup-operator", "namespace": "trueup-system"}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "trueup-gate"}
    kind = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "trueup-operator-answers"}}
    installed.apply(kind | {"roleRef": reference, "subjects": [account]})
    yield installed
    installed.kubectl("delete", "clusterrolebinding", "trueup-operator-answers")


@pytest.fixture
def namespace(control_plane: ControlPlane) -> Iterator[str]:
    """A namespace of the test's own; its deletion afterwards is not waited for."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    control_plane.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    control_plane.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")
