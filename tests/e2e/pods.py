"""The pod of `overlays/kind`: when it is there, where it answers, and how it is made to go."""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
from typing import Any

from tests.cluster.parts import call
from tests.e2e.kube import Failure, Kubectl, until

NAMESPACE = "trueup-system"
DEPLOYMENT = "deployment/trueup-operator"
_SELECTOR = "--selector=app.kubernetes.io/name=trueup"
_START = 300.0
"""Seconds for a pod to be Ready: an image may have to be unpacked first."""


class Pods:
    """What runs in the cluster."""

    def __init__(self, kubectl: Kubectl) -> None:
        self._kubectl = kubectl
        self._forward: subprocess.Popen[str] | None = None
        self._address = ""

    def start(self) -> None:
        """Wait until one pod is Ready, and reach it."""
        self.close()
        self._kubectl("rollout", "status", DEPLOYMENT, f"--namespace={NAMESPACE}", f"--timeout={_START:g}s", timeout=_START + 30)
        until("one pod is there, and it is Ready", lambda: len(self._found()) == 1 and is_ready(self._found()[0]), _START)

    def check(self) -> None:
        """The pod is what the manifest says, and as little as that.

        Raises:
            Failure: it is more.
        """
        (pod,) = self._found()
        problems = loose(pod)
        if problems:
            raise Failure(f"The pod has more than it needs: {', '.join(problems)}.")

    def url(self) -> str:
        """Where the gate answers for this process: the pod's own address on a node's own machine, else forwarded by kubectl."""
        if self._address and answers(self._address):
            return self._address
        self.close()
        (pod,) = self._found()
        address = pod["status"]["podIP"]
        direct = f"http://{f'[{address}]' if ':' in address else address}:8480"
        self._address = direct if answers(direct) else self._forwarded(pod["metadata"]["name"])
        return self._address

    def kill(self) -> None:
        """End the pod at once, as a node that dies would, and wait for the next one."""
        (pod,) = self._found()
        self.close()
        self._kubectl("delete", "pod", pod["metadata"]["name"], f"--namespace={NAMESPACE}", "--grace-period=0", "--force")
        until("the pod was replaced", lambda: self._found() and self._found()[0]["metadata"]["uid"] != pod["metadata"]["uid"], _START)
        self.start()

    def scale(self, replicas: int) -> None:
        """Have so many pods, and wait until it is so."""
        self._kubectl("scale", DEPLOYMENT, f"--namespace={NAMESPACE}", f"--replicas={replicas}")
        if replicas:
            self.start()
        else:
            self.close()
            until("no pod is left", lambda: not self._found(every=True), 120)

    def close(self) -> None:
        """Let go of the connection."""
        self._address = ""
        if self._forward is not None:
            self._forward.kill()
            self._forward.wait()
            self._forward = None

    def _found(self, *, every: bool = False) -> list[dict[str, Any]]:
        found = self._kubectl.get("pods", _SELECTOR, f"--namespace={NAMESPACE}")["items"]
        return [pod for pod in found if every or "deletionTimestamp" not in pod["metadata"]]

    def _forwarded(self, pod: str) -> str:
        self._forward = self._kubectl.begin("port-forward", f"pod/{pod}", f"--namespace={NAMESPACE}", "--address=127.0.0.1", ":8480")
        assert self._forward.stdout is not None
        line = self._forward.stdout.readline()
        found = re.search(r"127\.0\.0\.1:(\d+)", line)
        if found is None:
            raise Failure(f"The pod cannot be reached: {line.strip() or 'kubectl port-forward ended'}")
        return f"http://127.0.0.1:{found[1]}"


def answers(url: str) -> bool:
    """Whether a gate is at that address. Two seconds are enough where there is a route."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    with contextlib.suppress(OSError), socket.create_connection((host.strip("[]"), int(port)), timeout=2):
        status, body = call(f"{url}/livez")
        return (status, body) == (200, {"status": "ok"})
    return False


def is_ready(pod: dict[str, Any]) -> bool:
    """Its condition Ready."""
    return any(found["type"] == "Ready" and found["status"] == "True" for found in pod.get("status", {}).get("conditions", []))


def loose(pod: dict[str, Any]) -> list[str]:
    """What the pod has that it should not have: as it was admitted, and where the kubelet tells, as it runs."""
    spec = pod["spec"]
    found = [name for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name)]
    if not spec.get("securityContext", {}).get("runAsNonRoot"):
        found.append("root")
    for container in spec["containers"]:
        context = container.get("securityContext", {})
        if not context.get("readOnlyRootFilesystem"):
            found.append("a root filesystem that can be written")
        if context.get("capabilities", {}).get("drop") != ["ALL"] or context.get("capabilities", {}).get("add"):
            found.append("capabilities")
    users = [status.get("user", {}).get("linux", {}).get("uid") for status in pod.get("status", {}).get("containerStatuses", [])]
    return [*found, *("user 0" for user in users if user == 0)]
