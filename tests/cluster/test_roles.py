"""The roles of `manifests/base`, on a real API server."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.controlplane import ControlPlane

GROUPS = {"secrets": "", "events": "", "tokenreviews": "authentication.k8s.io", "subjectaccessreviews": "authorization.k8s.io"}
"""Where a kind is not ours."""

OPERATOR, GATE = "trueup-operator", "trueup-gate"


ROLES = ("trueup-viewer", "view", "edit", "trueup-approver", "trueup-agent")


@pytest.fixture(scope="module")
def bound(installed: ControlPlane) -> dict[str, Path]:
    """Somebody for each role, who has just that role in one namespace."""
    people = {role: installed.as_service_account("roles", role) for role in ROLES}
    for role in ROLES:
        binding = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": role, "namespace": "roles"}}
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
        installed.apply(binding | {"roleRef": reference, "subjects": [{"kind": "ServiceAccount", "name": role, "namespace": "roles"}]})
    # The last one bound, and the one that the aggregating controller writes.
    installed.wait("the bindings are known", lambda: installed.can(*asked("retrieve contextsources"), "roles", as_=people["trueup-agent"]), 10)
    installed.wait("the roles are aggregated", lambda: installed.can(*asked("create contextsources"), "roles", as_=people["edit"]), 10)
    return people


@pytest.fixture(scope="module")
def part(installed: ControlPlane) -> dict[str, Path]:
    """The kubeconfig of each of Trueup's own processes."""
    return {name: installed.as_service_account("trueup-system", name) for name in (OPERATOR, GATE)}


@pytest.mark.parametrize(
    ("who", "what", "expected"),
    [
        (OPERATOR, "watch contextsources", True),
        (OPERATOR, "patch contextsources", True),
        (OPERATOR, "patch contextsources/status", True),
        (OPERATOR, "create events", True),
        (OPERATOR, "update contextsources", False),
        (OPERATOR, "delete contextsources", False),
        (OPERATOR, "confirm contextsources", False),
        (OPERATOR, "retrieve contextsources", False),
        (OPERATOR, "patch accessrequests/status", False),
        (OPERATOR, "get secrets", False),
        (OPERATOR, "list secrets", False),
        (OPERATOR, "create tokenreviews", False),
        (GATE, "create tokenreviews", True),
        (GATE, "create subjectaccessreviews", True),
        (GATE, "create accessrequests", True),
        (GATE, "patch accessrequests/status", False),
        (GATE, "update accessrequests", False),
        (GATE, "patch contextsources", False),
        (GATE, "get secrets", False),
        (GATE, "retrieve contextsources", False),
    ],
)
def test_a_part_has_the_rights_of_its_work_and_no_more(installed: ControlPlane, part: dict[str, Path], who: str, what: str, expected: bool) -> None:
    """The operator and the gate may do what they do, in every namespace, and nothing that decides for people."""
    assert installed.can(*asked(what), "default", as_=part[who]) is expected


@pytest.mark.parametrize(
    ("role", "what", "expected"),
    [
        ("trueup-viewer", "list contextsources", True),
        ("trueup-viewer", "patch contextsources", False),
        ("view", "list contextsources", True),
        ("view", "retrieve contextsources", False),
        ("edit", "create contextsources", True),
        ("edit", "update contextindexes", True),
        ("edit", "list contextsources", True),
        ("edit", "confirm contextsources", False),
        ("edit", "retrieve contextsources", False),
        ("edit", "patch contextsources/status", False),
        ("edit", "update agentclasses", False),
        ("edit", "patch accessrequests/status", False),
        ("trueup-approver", "confirm contextsources", True),
        ("trueup-approver", "patch accessrequests/status", True),
        ("trueup-approver", "update contextsources", False),
        ("trueup-approver", "create accessrequests", False),
        ("trueup-approver", "retrieve contextsources", False),
        ("trueup-agent", "retrieve contextsources", True),
        ("trueup-agent", "get contextsources", False),
        ("trueup-agent", "create accessrequests", False),
    ],
)
def test_a_role_of_people_gives_what_its_name_says(bound: dict[str, Path], installed: ControlPlane, role: str, what: str, expected: bool) -> None:
    """Each role, bound in one namespace, allows just that there, `edit` and `view` by aggregation, and nothing elsewhere."""
    assert installed.can(*asked(what), "roles", as_=bound[role]) is expected
    assert not installed.can(*asked(what), "kube-system", as_=bound[role])


def test_the_lease_is_the_operators_alone(installed: ControlPlane, part: dict[str, Path]) -> None:
    """The operator holds its own Lease in its own namespace, and no other."""
    lease, home = "leases.coordination.k8s.io", "trueup-system"
    assert installed.can("update", lease, home, name="trueup-operator", as_=part[OPERATOR])
    assert not installed.can("update", lease, home, name="another", as_=part[OPERATOR])
    assert not installed.can("create", lease, "default", as_=part[OPERATOR])
    assert not installed.can("update", lease, home, name="trueup-operator", as_=part[GATE])


def test_a_secret_is_readable_where_the_tenant_says_so(installed: ControlPlane, part: dict[str, Path], namespace: str) -> None:
    """The tenant's binding lets the operator get Secrets in that namespace, never list or watch them."""
    subject = f"--serviceaccount=trueup-system:{OPERATOR}"
    installed.kubectl("create", "rolebinding", "trueup-source-reader", "--clusterrole=trueup-source-reader", subject, f"--namespace={namespace}")
    installed.wait("the binding is known", lambda: installed.can("get", "secrets", namespace, as_=part[OPERATOR]), 5)
    assert not installed.can("list", "secrets", namespace, as_=part[OPERATOR])
    assert not installed.can("watch", "secrets", namespace, as_=part[OPERATOR])
    assert not installed.can("get", "secrets", "default", as_=part[OPERATOR])


def test_no_role_of_ours_has_a_wildcard(installed: ControlPlane) -> None:
    """A wildcard would hand out every verb to come, `confirm` and `retrieve` among them."""
    roles = installed.get("clusterroles,roles", "--all-namespaces", "--selector=app.kubernetes.io/part-of=trueup")["items"]
    assert {"trueup-operator", "trueup-gate", "trueup-viewer", "trueup-editor", "trueup-approver", "trueup-agent"} <= {
        role["metadata"]["name"] for role in roles
    }
    assert [role["metadata"]["name"] for role in roles if any("*" in str(rule) for rule in role["rules"])] == []


def asked(what: str) -> tuple[str, str]:
    """`patch contextsources/status` as the verb and the resource with its group."""
    verb, _, resource = what.partition(" ")
    kind, slash, subresource = resource.partition("/")
    return verb, f"{kind}.{GROUPS.get(kind, 'trueup.dev')}".rstrip(".") + slash + subresource
