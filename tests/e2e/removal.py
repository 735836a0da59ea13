"""Uninstalling in the documented order, and looking for what is left."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.kube import Failure, Kubectl, until
from tests.e2e.pods import NAMESPACE

_OURS = "--selector=app.kubernetes.io/part-of=trueup"
_WIDE = "clusterroles,clusterrolebindings,customresourcedefinitions,validatingadmissionpolicies,validatingadmissionpolicybindings,namespaces"


def delete_sources(kubectl: Kubectl) -> None:
    """The first step: everything that is declared goes while there is an operator to take its finalizer off."""
    kubectl("delete", "contextsources.trueup.dev", "--all", "--all-namespaces", "--timeout=120s")
    if kubectl.there("contextsources.trueup.dev", "--all-namespaces"):
        raise Failure("ContextSources are left after they were deleted.")


def delete_installation(kubectl: Kubectl, overlay: Path) -> None:
    """The second step: the rest, kinds and namespace included."""
    kubectl("delete", "--ignore-not-found", "--timeout=240s", "-k", str(overlay))


def leftovers(kubectl: Kubectl) -> list[str]:
    """Names of everything of ours that is still in the cluster."""
    found = kubectl.there(_WIDE, _OURS)
    found += [name for name in kubectl.there("customresourcedefinitions") if name.endswith(".trueup.dev")]
    found += kubectl.there("namespace", NAMESPACE)
    volumes = kubectl.get("persistentvolumes")["items"]
    found += [
        f"persistentvolume/{item['metadata']['name']}"
        for item in volumes
        if item["spec"].get("claimRef", {}).get("namespace") == NAMESPACE and item["spec"].get("persistentVolumeReclaimPolicy") == "Delete"
    ]
    # What the cluster's own roles had gathered from ours.
    for role in ("view", "edit", "admin"):
        rules = kubectl.get("clusterrole", role).get("rules") or []
        found += [f"clusterrole/{role}: trueup.dev"] * any("trueup.dev" in rule.get("apiGroups", []) for rule in rules)
    return found


def nothing_left(kubectl: Kubectl, seconds: float = 90.0) -> None:
    """Wait until nothing is left: volumes and gathered roles follow a moment later.

    Raises:
        Failure: something is; the message names it.
    """
    try:
        until("nothing is left", lambda: not leftovers(kubectl), seconds)
    except Failure as error:
        raise Failure(f"Left after the uninstallation: {', '.join(leftovers(kubectl))}.") from error
