"""The control plane is a real one: what the cluster tests take for granted, tried on it."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.controlplane import ControlPlane, KubectlError
from tests.controlplane.flags import ISSUER

WIDGETS: dict[str, Any] = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.tests.trueup.dev"},
    "spec": {
        "group": "tests.trueup.dev",
        "scope": "Namespaced",
        "names": {"kind": "Widget", "listKind": "WidgetList", "plural": "widgets", "singular": "widget"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "selectableFields": [{"jsonPath": ".spec.colour"}],
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "properties": {"colour": {"type": "string", "maxLength": 20}, "size": {"type": "integer"}},
                                "x-kubernetes-validations": [
                                    {"rule": "!has(self.size) || self.size < 10", "message": "size must be below 10; make two widgets."}
                                ],
                            }
                        },
                    }
                },
            }
        ],
    },
}


def widget(name: str, namespace: str, *, finalizers: tuple[str, ...] = (), **spec: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace, "finalizers": list(finalizers)}
    return {"apiVersion": "tests.trueup.dev/v1", "kind": "Widget", "metadata": metadata, "spec": spec}


def configmap(name: str, namespace: str, **metadata: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace, **metadata}}


def review(control_plane: ControlPlane, token: str, *audiences: str) -> dict[str, Any]:
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token, "audiences": list(audiences)}}
    answer = json.loads(control_plane.kubectl("create", "-f", "-", "-o", "json", stdin=json.dumps(request)))
    status: dict[str, Any] = answer["status"]
    return status


def is_gone(control_plane: ControlPlane, *what: str) -> bool:
    return not control_plane.kubectl("get", *what, "--ignore-not-found", "-o", "name").strip()


@pytest.fixture(scope="module")
def widgets(control_plane: ControlPlane) -> None:
    control_plane.apply(WIDGETS)
    control_plane.kubectl("wait", "--for=condition=Established", "crd/widgets.tests.trueup.dev", "--timeout=20s")


def test_the_server_says_its_version(control_plane: ControlPlane) -> None:
    """kubectl and the server are of the version that the project names, so that neither warns of skew."""
    version = json.loads(control_plane.kubectl("version", "-o", "json"))
    assert (version["serverVersion"]["major"], version["serverVersion"]["minor"]) == ("1", "36")
    assert version["serverVersion"]["gitVersion"] == version["clientVersion"]["gitVersion"]


def test_a_service_account_has_no_rights_until_they_are_bound(control_plane: ControlPlane, namespace: str) -> None:
    """RBAC is on: an unprivileged service account is denied, and has a right exactly where it is bound."""
    somebody = control_plane.as_service_account(namespace, "somebody")
    with pytest.raises(KubectlError, match=rf'"system:serviceaccount:{namespace}:somebody" cannot list resource "configmaps"'):
        control_plane.kubectl("get", "configmaps", as_=somebody)
    control_plane.kubectl("create", "rolebinding", "reads", "--clusterrole=view", f"--serviceaccount={namespace}:somebody", f"--namespace={namespace}")
    control_plane.wait("the binding is known to the authorizer", lambda: control_plane.can("list", "configmaps", namespace, as_=somebody), 5)
    assert not control_plane.can("list", "configmaps", "kube-system", as_=somebody)
    assert not control_plane.can("list", "secrets", namespace, as_=somebody)


def test_a_person_is_who_the_certificate_says(control_plane: ControlPlane) -> None:
    """`as_user` gives the user and the groups that RBAC subjects name."""
    alice = control_plane.as_user("alice@example.com", "eng", "docs")
    info = json.loads(control_plane.kubectl("auth", "whoami", "-o", "json", as_=alice))["status"]["userInfo"]
    assert info["username"] == "alice@example.com"
    assert {"eng", "docs", "system:authenticated"} <= set(info["groups"])


def test_a_token_is_good_for_its_audience_alone(control_plane: ControlPlane, namespace: str) -> None:
    """TokenRequest → TokenReview: a token for `trueup` passes for that audience, and neither opens nor is opened by the API server's."""
    control_plane.as_service_account(namespace, "agent")
    token = control_plane.token(namespace, "agent", audience="trueup")
    status = review(control_plane, token, "trueup")
    assert (status["authenticated"], status["audiences"]) == (True, ["trueup"])
    assert status["user"]["username"] == f"system:serviceaccount:{namespace}:agent"
    assert not review(control_plane, token).get("authenticated")
    assert not review(control_plane, token, "another").get("authenticated")
    assert not review(control_plane, control_plane.token(namespace, "agent"), "trueup").get("authenticated")
    with pytest.raises(KubectlError, match="must be logged in"):
        control_plane.kubectl("get", "configmaps", f"--token={token}", as_=anonymous(control_plane))


def test_a_token_names_its_issuer(control_plane: ControlPlane, namespace: str) -> None:
    """The issuer in a token is the one that the harness documents."""
    control_plane.as_service_account(namespace, "agent")
    payload = control_plane.token(namespace, "agent", audience="trueup").split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert (claims["iss"], claims["aud"]) == (ISSUER, ["trueup"])


def anonymous(control_plane: ControlPlane) -> Path:
    """A kubeconfig with no credential: kubectl's `--token` does not displace a client certificate."""
    config = json.loads(control_plane.kubeconfig.read_text())
    config["users"] = [{"name": "tests", "user": {}}]
    path = control_plane.home / "anonymous.kubeconfig"
    path.write_text(json.dumps(config))
    return path


@pytest.mark.usefixtures("widgets")
def test_a_rule_of_a_custom_resource_refuses_in_its_own_words(control_plane: ControlPlane, namespace: str) -> None:
    """CEL rules in a CRD are evaluated, and their sentence reaches the person."""
    control_plane.apply(widget("good", namespace, size=9))
    with pytest.raises(KubectlError, match=r"size must be below 10; make two widgets\."):
        control_plane.apply(widget("bad", namespace, size=10), dry_run=True)


@pytest.mark.usefixtures("widgets")
def test_a_custom_resource_is_selected_by_its_field(control_plane: ControlPlane, namespace: str) -> None:
    """selectableFields work, so that a controller need not list everything."""
    control_plane.apply(widget("a", namespace, colour="red"), widget("b", namespace, colour="blue"))
    found = control_plane.get("widgets", "--field-selector=spec.colour=blue", f"--namespace={namespace}")
    assert [item["metadata"]["name"] for item in found["items"]] == ["b"]


def test_what_is_owned_is_collected(control_plane: ControlPlane, namespace: str) -> None:
    """The garbage collector deletes what an object owned."""
    control_plane.apply(configmap("owner", namespace))
    uid = control_plane.get("configmap", "owner", f"--namespace={namespace}")["metadata"]["uid"]
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid}
    control_plane.apply(configmap("owned", namespace, ownerReferences=[reference]))
    control_plane.kubectl("delete", "configmap", "owner", f"--namespace={namespace}")
    control_plane.wait("the owned object is gone", lambda: is_gone(control_plane, "configmap", "owned", f"--namespace={namespace}"))


@pytest.mark.usefixtures("widgets")
def test_a_namespace_waits_for_a_finalizer(control_plane: ControlPlane, namespace: str) -> None:
    """Deleting a namespace deletes what is in it, and ends only when the last finalizer has gone."""
    control_plane.apply(widget("held", namespace, finalizers=("tests.trueup.dev/hold",)), widget("free", namespace))
    control_plane.kubectl("delete", "namespace", namespace, "--wait=false")
    control_plane.wait("what has no finalizer is gone", lambda: is_gone(control_plane, "widget", "free", f"--namespace={namespace}"))
    assert not is_gone(control_plane, "widget", "held", f"--namespace={namespace}")
    assert not is_gone(control_plane, "namespace", namespace)
    control_plane.kubectl("patch", "widget", "held", f"--namespace={namespace}", "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    control_plane.wait("the namespace is gone", lambda: is_gone(control_plane, "namespace", namespace))


def test_a_quota_counts_custom_objects(control_plane: ControlPlane, namespace: str) -> None:
    """A ResourceQuota is enforced, with a reason."""
    control_plane.kubectl("create", "quota", "few", "--hard=count/configmaps=2", f"--namespace={namespace}")
    control_plane.wait("the quota is counted", lambda: "used" in control_plane.get("quota", "few", f"--namespace={namespace}").get("status", {}))
    with pytest.raises(KubectlError, match="exceeded quota: few"):
        control_plane.apply(*(configmap(f"c{number}", namespace) for number in range(3)))


def test_every_request_is_on_the_audit_log_before_its_answer(control_plane: ControlPlane, namespace: str) -> None:
    """Who did what to which object can be read at once, and no body is kept."""
    somebody = control_plane.as_service_account(namespace, "somebody")
    with pytest.raises(KubectlError):
        control_plane.kubectl("get", "secret", "treasure", as_=somebody)
    (event,) = [
        found for found in control_plane.audit() if found.get("objectRef", {}).get("name") == "treasure" and found["objectRef"]["namespace"] == namespace
    ]
    assert event["user"]["username"] == f"system:serviceaccount:{namespace}:somebody"
    assert (event["level"], event["verb"], event["responseStatus"]["code"]) == ("Metadata", "get", 403)
    assert event["annotations"]["authorization.k8s.io/decision"] == "forbid"
    assert not any("requestObject" in found or "responseObject" in found for found in control_plane.audit())


def test_a_restart_keeps_address_data_and_tokens(control_plane: ControlPlane, namespace: str) -> None:
    """While it is down a client is refused; afterwards the same kubeconfigs and tokens work on the same data."""
    control_plane.apply(configmap("kept", namespace))
    somebody = control_plane.as_service_account(namespace, "somebody")
    token = control_plane.token(namespace, "somebody", audience="trueup")
    url = control_plane.url
    control_plane.stop()
    try:
        with pytest.raises(KubectlError, match="refused"):
            control_plane.kubectl("get", "configmap", "kept", f"--namespace={namespace}")
    finally:
        control_plane.start()
    assert control_plane.url == url
    assert not is_gone(control_plane, "configmap", "kept", f"--namespace={namespace}")
    assert json.loads(control_plane.kubectl("auth", "whoami", "-o", "json", as_=somebody))["status"]["userInfo"]["username"].endswith(":somebody")
    assert review(control_plane, token, "trueup")["authenticated"]


def test_no_server_outlives_the_run_that_started_it(tmp_path: Path) -> None:
    """Killed with SIGKILL, a test run leaves no process behind."""
    code = "import os, signal, sys, pathlib\nfrom tests.controlplane import ControlPlane\nc = ControlPlane(pathlib.Path(sys.argv[1]))\nc.start()\n"
    code += "print(*c.pids, flush=True)\nos.kill(os.getpid(), signal.SIGKILL)"
    root = Path(__file__).parents[2]
    result = subprocess.run([sys.executable, "-c", code, str(tmp_path / "c")], cwd=root, capture_output=True, text=True, timeout=120, check=False)
    pids = [int(pid) for pid in result.stdout.split()]
    assert len(pids) == 3, result.stderr
    end = time.monotonic() + 5
    while any(runs(pid) for pid in pids):
        assert time.monotonic() < end, "a server is still running"
        time.sleep(0.05)


def runs(pid: int) -> bool:
    """Whether the process lives; one that waits for its new parent to read its exit code does not."""
    result = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return bool(result.stdout.strip()) and not result.stdout.startswith("Z")
