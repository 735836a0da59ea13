"""The admission policies of `manifests/base`: what `patch` alone can reach, and who releases a held deletion."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.controlplane import ControlPlane, KubectlError

HOME = "--namespace=admission"
POLICIES = ("trueup-confirm-deletion", "trueup-contextsource-changes")


def source(name: str, **metadata: Any) -> dict[str, Any]:
    spec = {"source": {"type": "Directory", "directory": {"path": "/srv/docs"}}}
    return {"apiVersion": "trueup.dev/v1alpha1", "kind": "ContextSource", "metadata": {"name": name, "namespace": "admission", **metadata}, "spec": spec}


def confirmation(observation: str) -> dict[str, str]:
    return {"trueup.dev/confirmDeletion": observation}


@pytest.fixture(scope="module")
def who(installed: ControlPlane) -> dict[str, Path]:
    """An editor (by aggregation), an approver and the operator, and the policies in force."""
    people = {name: installed.as_service_account("admission", name) for name in ("editor", "approver")}
    for name, role in (("editor", "edit"), ("approver", "trueup-approver")):
        installed.kubectl("create", "rolebinding", name, f"--clusterrole={role}", f"--serviceaccount=admission:{name}", HOME)
    people["operator"] = installed.as_service_account("trueup-system", "trueup-operator")
    installed.wait("the editor may edit", lambda: installed.can("create", "contextsources.trueup.dev", "admission", as_=people["editor"]), 10)
    installed.apply(source("probe"))

    def both_act() -> bool:
        tries = ({"metadata": {"annotations": confirmation("probe")}}, {"metadata": {"labels": {"probe": "1"}}})
        return refused(installed, "probe", tries[0], people["editor"]) and refused(installed, "probe", tries[1], people["operator"])

    installed.wait("the policies act", both_act, 15)
    return people


@pytest.fixture
def held(installed: ControlPlane, who: dict[str, Path]) -> str:
    """The name of a ContextSource of the test's own."""
    name = f"held-{uuid.uuid4().hex[:8]}"
    installed.apply(source(name), as_=who["editor"])
    return name


def patch(plane: ControlPlane, name: str, change: dict[str, Any], as_: Path, *more: str) -> None:
    plane.kubectl("patch", "contextsource", name, HOME, "--type=merge", "-p", json.dumps(change), *more, as_=as_)


def refused(plane: ControlPlane, name: str, change: dict[str, Any], as_: Path) -> bool:
    try:
        patch(plane, name, change, as_, "--dry-run=server")
    except KubectlError as error:
        return "ValidatingAdmissionPolicy" in error.stderr
    return False


def annotations(plane: ControlPlane, name: str) -> dict[str, str]:
    found: dict[str, str] = plane.get("contextsource", name, HOME)["metadata"].get("annotations", {})
    return found


def test_a_confirmation_needs_its_own_verb(installed: ControlPlane, who: dict[str, Path], held: str) -> None:
    """Who may edit a source may not therefore release its held deletion; the refusal says whom to ask."""
    change = {"metadata": {"annotations": confirmation("obs-1")}}
    with pytest.raises(KubectlError, match=r"releases a held deletion and needs the verb confirm on this ContextSource: ask someone"):
        patch(installed, held, change, who["editor"])
    assert "trueup.dev/confirmDeletion" not in annotations(installed, held)
    patch(installed, held, change, who["approver"])
    assert annotations(installed, held)["trueup.dev/confirmDeletion"] == "obs-1"


@pytest.mark.parametrize("path", ["replace", "status", "create"])
def test_there_is_no_way_round_the_verb(installed: ControlPlane, who: dict[str, Path], held: str, path: str) -> None:
    """Neither a whole new object, nor the status subresource, nor a source that is born confirmed."""
    confirmed = source(held, annotations=confirmation("obs-1"))
    if path == "replace":
        with pytest.raises(KubectlError, match="needs the verb confirm"):
            installed.kubectl("replace", "-f", "-", as_=who["editor"], stdin=json.dumps(confirmed))
    elif path == "create":
        with pytest.raises(KubectlError, match="needs the verb confirm"):
            installed.apply(source(f"{held}-born", annotations=confirmation("obs-1")), as_=who["editor"])
    else:
        patch(installed, held, {"metadata": {"annotations": confirmation("obs-1")}}, who["operator"], "--subresource=status")
    assert "trueup.dev/confirmDeletion" not in annotations(installed, held)


def test_another_confirmation_needs_the_verb_again(installed: ControlPlane, who: dict[str, Path], held: str) -> None:
    """A confirmation is for one observation; the editor may go on working beside it and take it away, not redirect it."""
    patch(installed, held, {"metadata": {"annotations": confirmation("obs-1")}}, who["approver"])
    patch(installed, held, {"spec": {"suspend": True}}, who["editor"])
    with pytest.raises(KubectlError, match="needs the verb confirm"):
        patch(installed, held, {"metadata": {"annotations": confirmation("obs-2")}}, who["editor"])
    patch(installed, held, {"metadata": {"annotations": {"trueup.dev/confirmDeletion": None}}}, who["editor"])


@pytest.mark.parametrize("person", ["approver", "operator"])
@pytest.mark.parametrize(
    "change",
    [
        {"spec": {"suspend": True}},
        {"spec": {"access": {"readers": [{"kind": "Everyone"}]}}},
        {"metadata": {"labels": {"team": "other"}}},
        {"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "x"}]}},
    ],
    ids=["suspend", "readers", "labels", "owners"],
)
def test_patch_alone_declares_nothing(installed: ControlPlane, who: dict[str, Path], held: str, person: str, change: dict[str, Any]) -> None:
    """Approver and operator have `patch` for an annotation or a finalizer; neither can widen readers with it, or change what selects."""
    with pytest.raises(KubectlError, match="needs the verb update on it, not patch alone"):
        patch(installed, held, change, who[person])


def test_the_operator_keeps_its_finalizer_and_cannot_confirm(installed: ControlPlane, who: dict[str, Path], held: str) -> None:
    """What the operator's work needs goes through; deciding for people does not. An approver cannot strip the finalizer."""
    patch(installed, held, {"metadata": {"finalizers": ["trueup.dev/finalizer"]}}, who["operator"])
    patch(installed, held, {"status": {"observedGeneration": 1}}, who["operator"], "--subresource=status")
    assert refused(installed, held, {"metadata": {"annotations": confirmation("obs-1")}}, who["operator"])
    assert refused(installed, held, {"metadata": {"finalizers": None}}, who["approver"])
    patch(installed, held, {"metadata": {"finalizers": None}}, who["operator"])


@pytest.mark.parametrize("policy", POLICIES)
def test_a_policy_is_sound_and_fails_closed(installed: ControlPlane, who: dict[str, Path], policy: str) -> None:
    """Its expressions type-check against the CRD, an error in one refuses, and it denies rather than warns."""
    found = installed.get("validatingadmissionpolicy", policy)
    installed.wait("its types are checked", lambda: "typeChecking" in installed.get("validatingadmissionpolicy", policy).get("status", {}), 15)
    assert installed.get("validatingadmissionpolicy", policy)["status"]["typeChecking"] == {}
    assert found["spec"]["failurePolicy"] == "Fail"
    assert installed.get("validatingadmissionpolicybinding", policy)["spec"]["validationActions"] == ["Deny"]


def test_without_the_policy_an_editor_could_confirm(installed: ControlPlane, who: dict[str, Path], held: str) -> None:
    """The control is the policy and nothing else: unbound, the same patch goes through."""
    change = {"metadata": {"annotations": confirmation("obs-1")}}
    binding = installed.get("validatingadmissionpolicybinding", "trueup-confirm-deletion")
    installed.kubectl("delete", "validatingadmissionpolicybinding", "trueup-confirm-deletion")
    try:
        installed.wait("the policy is off", lambda: not refused(installed, held, change, who["editor"]), 15)
    finally:
        kept = {key: binding[key] for key in ("apiVersion", "kind", "spec")} | {"metadata": {"name": "trueup-confirm-deletion"}}
        installed.apply(kept)
        installed.wait("the policy is on", lambda: refused(installed, held, change, who["editor"]), 15)
