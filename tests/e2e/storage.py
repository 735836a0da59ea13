"""A volume for the claim of `overlays/kind`, on a cluster that would make none: no default StorageClass, and no free volume."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from tests.e2e.kube import Kubectl, until

NAME = "trueup-e2e"
_DEFAULT = "storageclass.kubernetes.io/is-default-class"
_PLACE = "/var/tmp/trueup-e2e"  # on the node


def provided(kubectl: Kubectl) -> bool:
    """Whether a claim without a class gets a volume here."""
    classes = kubectl.get("storageclasses")["items"]
    if any(item["metadata"].get("annotations", {}).get(_DEFAULT) == "true" for item in classes):
        return True
    return any(fits(item) for item in kubectl.get("persistentvolumes")["items"])


def fits(volume: dict[str, Any]) -> bool:
    """Whether an existing volume takes the claim: free, of no class, with room for 5 Gi as such volumes are written."""
    spec = volume["spec"]
    room = spec.get("capacity", {}).get("storage", "0")
    large = room.endswith("Ti") or (room.endswith("Gi") and int(room[:-2]) >= 5)
    return volume.get("status", {}).get("phase") == "Available" and not spec.get("storageClassName") and large


@contextlib.contextmanager
def storage(kubectl: Kubectl, image: str) -> Iterator[None]:
    """A folder of a node as a volume, where none would be made otherwise; gone when all went well."""
    if provided(kubectl):
        yield
        return
    node = kubectl.get("nodes")["items"][0]["metadata"]["name"]
    kubectl.apply([space(), worker("make", node, image, MAKE)])
    until("a folder was made on the node", lambda: succeeded(kubectl, "make"), 300)
    kubectl.apply([volume(node)])
    yield
    # Not after a failure: what is there is left to be looked at.
    kubectl("delete", "persistentvolume", NAME, "--ignore-not-found", "--timeout=120s")
    kubectl.apply([worker("remove", node, image, REMOVE)])
    until("the folder was removed from the node", lambda: succeeded(kubectl, "remove"), 120)
    kubectl("delete", "namespace", NAME, "--ignore-not-found", "--timeout=120s")


MAKE = "import os, shutil; p = '/place/trueup-e2e'; shutil.rmtree(p, True); os.mkdir(p); os.chown(p, 65532, 65532)"
REMOVE = "import shutil; shutil.rmtree('/place/trueup-e2e', True)"


def succeeded(kubectl: Kubectl, pod: str) -> bool:
    """Whether the pod did what it was for."""
    return bool(kubectl.get("pod", pod, f"--namespace={NAME}")["status"].get("phase") == "Succeeded")


def space() -> dict[str, Any]:
    """A namespace of its own: to make a folder for another user takes root, which Trueup's own namespace admits to nobody."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAME, "labels": {"pod-security.kubernetes.io/enforce": "privileged"}}}


def worker(name: str, node: str, image: str, code: str) -> dict[str, Any]:
    """A pod that runs a line of Python as root in the node's /var/tmp."""
    container = {
        "name": "work",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/opt/trueup/bin/python", "-c", code],
        "securityContext": {"runAsUser": 0},
        "volumeMounts": [{"name": "place", "mountPath": "/place"}],
    }
    spec = {
        "nodeName": node,
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "containers": [container],
        "volumes": [{"name": "place", "hostPath": {"path": "/var/tmp"}}],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": NAME}, "spec": spec}


def volume(node: str) -> dict[str, Any]:
    """The folder as a local volume, for the claim of the overlay alone."""
    terms = [{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}]
    spec = {
        "capacity": {"storage": "5Gi"},
        "accessModes": ["ReadWriteOnce"],
        "persistentVolumeReclaimPolicy": "Retain",
        "claimRef": {"namespace": "trueup-system", "name": "trueup-home"},
        "local": {"path": _PLACE},
        "nodeAffinity": {"required": {"nodeSelectorTerms": terms}},
    }
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": NAME}, "spec": spec}
