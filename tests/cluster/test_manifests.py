"""Every overlay, as the API server takes it, and as pod security wants it."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.controlplane import ControlPlane, KubectlError

ROOT = Path(__file__).parents[2]
OVERLAYS = ROOT / "manifests" / "overlays"
NAMES = sorted(path.name for path in OVERLAYS.iterdir())
PARTS = {"trueup-operator", "trueup-gate"}
"""What speaks to the API server."""

MONITORS: dict[str, Any] = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "podmonitors.monitoring.coreos.com", "annotations": {"api-approved.kubernetes.io": "unapproved, a stub"}},
    "spec": {
        "group": "monitoring.coreos.com",
        "scope": "Namespaced",
        "names": {"kind": "PodMonitor", "listKind": "PodMonitorList", "plural": "podmonitors", "singular": "podmonitor"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}}},
            }
        ],
    },
}
"""As much of the Prometheus operator's kind as a dry run needs."""


@cache
def objects(plane: ControlPlane, name: str) -> list[dict[str, Any]]:
    """What `kubectl kustomize` makes of an overlay."""
    return list(yaml.safe_load_all(plane.kubectl("kustomize", str(OVERLAYS / name))))


@pytest.fixture(params=NAMES)
def overlay(request: pytest.FixtureRequest, installed: ControlPlane) -> list[dict[str, Any]]:
    """The objects of each overlay in turn."""
    return objects(installed, request.param)


@pytest.fixture(scope="module")
def monitored(installed: ControlPlane) -> ControlPlane:
    """A cluster that knows the kind PodMonitor."""
    installed.apply(MONITORS)
    installed.kubectl("wait", "--for=condition=Established", "crd/podmonitors.monitoring.coreos.com", "--timeout=20s")
    return installed


def kinds(found: list[dict[str, Any]], *wanted: str) -> list[dict[str, Any]]:
    return [item for item in found if item["kind"] in wanted]


def pods(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each workload with its pod template."""
    return kinds(found, "Deployment", "StatefulSet")


def containers(workload: dict[str, Any]) -> list[dict[str, Any]]:
    spec = workload["spec"]["template"]["spec"]
    return [*spec.get("initContainers", []), *spec["containers"]]


@pytest.mark.parametrize("name", NAMES)
def test_the_api_server_takes_an_overlay(monitored: ControlPlane, name: str) -> None:
    """A dry run on the server passes schema and admission for every object, without a warning."""
    rendered = monitored.kubectl("kustomize", str(OVERLAYS / name))
    answer = monitored.kubectl(
        "apply", "--server-side", "--dry-run=server", "--validate=strict", "--warnings-as-errors", "--force-conflicts", "-f", "-", stdin=rendered
    )
    assert answer.count("serverside-applied (server dry run)") == len(objects(monitored, name))


def test_pod_security_lets_every_pod_in(installed: ControlPlane, overlay: list[dict[str, Any]]) -> None:
    """The namespace enforces `restricted`, and each pod passes as itself, not only as a template, which would be admitted unseen."""
    (space,) = kinds(overlay, "Namespace")
    assert space["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for workload in pods(overlay):
        installed.apply(as_pod(workload), dry_run=True)


def test_pod_security_is_on(installed: ControlPlane) -> None:
    """The dry run above can fail: a pod that may become root is refused."""
    pod = as_pod(pods(objects(installed, "kind"))[0])
    pod["spec"]["securityContext"]["runAsNonRoot"] = False
    with pytest.raises(KubectlError, match="violates PodSecurity"):
        installed.apply(pod, dry_run=True)


def as_pod(workload: dict[str, Any]) -> dict[str, Any]:
    template = json.loads(json.dumps(workload["spec"]["template"]))
    # The claims of a StatefulSet become volumes of the pod when its controller makes it.
    claims = [{"name": claim["metadata"]["name"], "emptyDir": {}} for claim in workload["spec"].get("volumeClaimTemplates", [])]
    spec = template["spec"] | {"volumes": [*template["spec"].get("volumes", []), *claims]}
    metadata = template["metadata"] | {"name": workload["metadata"]["name"], "namespace": workload["metadata"]["namespace"]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def test_a_pod_gets_nothing_that_it_does_not_need(overlay: list[dict[str, Any]]) -> None:
    """Non-root by number, read-only root, no capability, seccomp, no host, and the API server's token only for who speaks to it."""
    for workload in pods(overlay):
        spec = workload["spec"]["template"]["spec"]
        context = spec["securityContext"]
        assert context["runAsNonRoot"] is True
        assert context["runAsUser"] > 0
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["automountServiceAccountToken"] is (workload["metadata"]["name"] in PARTS)
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
        assert not [volume for volume in spec.get("volumes", []) if "hostPath" in volume]
        for container in containers(workload):
            assert container["securityContext"] == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
            assert {"requests", "limits"} <= set(container["resources"])
            assert {"cpu", "memory"} <= set(container["resources"]["requests"]) & set(container["resources"]["limits"])
        for container in spec["containers"]:
            assert {"startupProbe", "livenessProbe", "readinessProbe"} <= set(container)


def test_what_is_written_has_a_volume(overlay: list[dict[str, Any]]) -> None:
    """The root is read-only, so each path that a part is told to write to lies below a mount that can be written."""
    for workload in pods(overlay):
        for container in containers(workload):
            writable = [mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")]
            assert "/tmp" in writable
            told = [entry["value"] for entry in container.get("env", []) if entry["name"] in {"TRUEUP_HOME", "TRUEUP_CHECKPOINTS", "PGDATA"}]
            assert all(any(path.startswith(f"{place}/") for place in writable) for path in told)


def test_every_selector_finds_its_pods(overlay: list[dict[str, Any]]) -> None:
    """Services, budgets, policies and monitors select pods that are there, by labels that these have."""
    labels = [workload["spec"]["template"]["metadata"]["labels"] for workload in pods(overlay)]
    for item in kinds(overlay, "Service", "PodDisruptionBudget", "NetworkPolicy", "PodMonitor"):
        selector = item["spec"].get("podSelector", item["spec"].get("selector", {}))
        wanted = selector.get("matchLabels", {}) if item["kind"] != "Service" else selector
        assert any(wanted.items() <= have.items() for have in labels), item["metadata"]["name"]


def test_no_secret_is_committed(overlay: list[dict[str, Any]]) -> None:
    """Secrets are named, never shipped; none but Qdrant's, which cannot do otherwise, comes by a variable."""
    assert kinds(overlay, "Secret") == []
    for workload in pods(overlay):
        for container in containers(workload):
            if container["name"] != "qdrant":
                assert not [entry for entry in container.get("env", []) if "secretKeyRef" in entry.get("valueFrom", {})]


def test_the_one_pod_is_one(installed: ControlPlane) -> None:
    """The embedded catalog and index are never open twice: one replica, and the old one ends first; it has both roles."""
    found = objects(installed, "kind")
    (pod,) = pods(found)
    assert (pod["spec"]["replicas"], pod["spec"]["strategy"]["type"]) == (1, "Recreate")
    assert pod["spec"]["template"]["spec"]["containers"][0]["args"] == ["operator", "--with-gate"]
    bound = {
        item["roleRef"]["name"]
        for item in kinds(found, "ClusterRoleBinding")
        if {"kind": "ServiceAccount", "name": "trueup-operator", "namespace": "trueup-system"} in item["subjects"]
    }
    assert bound == {"trueup-operator", "trueup-gate"}


def test_production_denies_by_default(installed: ControlPlane) -> None:
    """Both directions are closed for every pod of the namespace; only the operator reaches further than private addresses."""
    policies = {item["metadata"]["name"]: item["spec"] for item in kinds(objects(installed, "production"), "NetworkPolicy")}
    assert policies["trueup-default-deny"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    anywhere = [
        name for name, spec in policies.items() for rule in spec.get("egress", []) for to in rule["to"] if to.get("ipBlock", {}).get("cidr") == "0.0.0.0/0"
    ]
    assert anywhere == ["trueup-sources"]
    assert policies["trueup-sources"]["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "operator"
    assert all(rule.get("ports") for spec in policies.values() for way in ("ingress", "egress") for rule in spec.get(way, []))


def test_production_keeps_the_owner_out_of_what_runs(installed: ControlPlane) -> None:
    """The owner's URL is mounted in the init container alone, and neither part can read the other's."""
    for workload in pods(objects(installed, "production")):
        spec = workload["spec"]["template"]["spec"]
        secrets = {volume["name"]: volume["secret"]["secretName"] for volume in spec["volumes"] if "secret" in volume}
        running = {secrets[mount["name"]] for container in spec["containers"] for mount in container["volumeMounts"] if mount["name"] in secrets}
        assert running == {"trueup-keys", workload["metadata"]["name"]}


def test_production_survives_a_drain(installed: ControlPlane) -> None:
    """Two operators, two to ten gates, a budget for each, and no replica count that would fight the autoscaler."""
    found = objects(installed, "production")
    replicas = {item["metadata"]["name"]: item["spec"].get("replicas") for item in kinds(found, "Deployment")}
    assert replicas == {"trueup-operator": 2, "trueup-gate": None}
    (scaler,) = kinds(found, "HorizontalPodAutoscaler")
    assert (scaler["spec"]["scaleTargetRef"]["name"], scaler["spec"]["minReplicas"], scaler["spec"]["maxReplicas"]) == ("trueup-gate", 2, 10)
    assert {item["metadata"]["name"] for item in kinds(found, "PodDisruptionBudget")} == {"trueup-operator", "trueup-gate"}
