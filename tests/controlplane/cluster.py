"""One control plane: its three servers, its clients' kubeconfigs, kubectl, and its audit log."""

from __future__ import annotations

import json
import os
import re
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.controlplane import flags
from tests.controlplane.build import Parts, parts
from tests.controlplane.certificates import Authority, certificate_user, kubeconfig, new_key, private_write
from tests.leash import Child

READY_SECONDS = 30.0
"""For everything to answer; measured 3 to 5 s on two cores that had little else to do."""

_ATTEMPTS = 3
"""Of finding free ports: between looking and listening another process can take one."""


class ControlPlaneError(Exception):
    """A server of the control plane did not come up; the message ends with its log's last lines."""


class ServerEndedError(ControlPlaneError):
    """A server of the control plane ended by itself, as when its port was taken."""


class KubectlError(Exception):
    """kubectl ended with another code than 0; `stderr` is what it said."""

    def __init__(self, arguments: tuple[str, ...], stderr: str) -> None:
        super().__init__(f"kubectl {' '.join(arguments)}: {stderr.strip()}")
        self.stderr = stderr


class ControlPlane:
    """etcd, API server (RBAC, audit log) and controller manager on loopback, with all state in `home`.

    `start()` may be called again after `stop()`: the address, the data, the certificates and the tokens are the same.
    Call both from the main thread (see `tests.leash`).
    """

    def __init__(self, home: Path, programs: Parts | None = None) -> None:
        self.home = home
        self.parts = programs or parts()
        self.audit_log = home / "audit.log"
        self.kubeconfig = home / "admin.kubeconfig"
        self._servers: list[Child] = []
        self._port = 0
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._authority = Authority(home / "pki")
        self._authority.server("apiserver")
        new_key(home / "pki" / "service-accounts.key")
        private_write(home / "audit-policy.yaml", flags.AUDIT_POLICY.encode())

    @property
    def url(self) -> str:
        """The API server's address."""
        return f"https://127.0.0.1:{self._port}"

    @property
    def authority(self) -> Path:
        """The certificate to trust."""
        return self._authority.certificate

    @property
    def pids(self) -> list[int]:
        """The process ids of the servers that were started."""
        return [server.pid for server in self._servers]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        """Start all, and return when the API server and the controllers work.

        Raises:
            ControlPlaneError: if that takes longer than `READY_SECONDS`, or a server ends.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                self._start()
            except ServerEndedError:
                self.stop()
                if attempt == _ATTEMPTS:
                    raise
            except BaseException:
                self.stop()
                raise
            else:
                return

    def stop(self) -> None:
        """End all, the last started first. The data stays."""
        while self._servers:
            self._servers.pop().end()

    def restart(self) -> None:
        """Stop and start: the same address, data and tokens."""
        self.stop()
        self.start()

    def kubectl(self, *arguments: str, as_: Path | None = None, stdin: str | None = None, timeout: float = 60) -> str:
        """Run kubectl with the kubeconfig `as_` (default: admin's) and return its stdout.

        Raises:
            KubectlError: if it ends with another code than 0.
        """
        command, environment = [self.parts.kubectl, *arguments], self.environment(as_)
        result = subprocess.run(command, input=stdin, env=environment, cwd=self.home, capture_output=True, text=True, timeout=timeout, check=False)
        if result.returncode != 0:
            raise KubectlError(arguments, result.stderr or result.stdout)
        return result.stdout

    def apply(self, *objects: dict[str, Any], as_: Path | None = None, dry_run: bool = False) -> None:
        """Apply server-side; the field manager is `tests`."""
        flag = ["--dry-run=server"] if dry_run else []
        listed = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self.kubectl("apply", "--server-side", "--force-conflicts", "--field-manager=tests", *flag, "-f", "-", as_=as_, stdin=json.dumps(listed))

    def get(self, *arguments: str, as_: Path | None = None) -> dict[str, Any]:
        """`kubectl get … -o json`, parsed."""
        found: dict[str, Any] = json.loads(self.kubectl("get", *arguments, "-o", "json", as_=as_))
        return found

    def can(self, verb: str, resource: str, namespace: str, *, name: str = "", as_: Path | None = None) -> bool:
        """Whether RBAC allows it there; the resource is `KIND[.GROUP][/SUBRESOURCE]`, in the namespace "" in all of them.

        What `kubectl auth can-i` asks, without its guesses about kinds that are not installed.
        """
        whole, _, subresource = resource.partition("/")
        kind, _, group = whole.partition(".")
        asked = {"verb": verb, "resource": kind, "group": group, "subresource": subresource, "namespace": namespace, "name": name}
        request = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes": asked}}
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        answer = json.loads(self.kubectl("create", f"--raw={path}", "-f", "-", as_=as_, stdin=json.dumps(request)))
        return bool(answer["status"]["allowed"])

    def environment(self, as_: Path | None = None) -> dict[str, str]:
        """The environment of a client: this kubeconfig, a home of its own, no proxy and no preferences of the machine's user."""
        kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        return kept | {
            "KUBECONFIG": str(as_ or self.kubeconfig),
            "HOME": str(self.home),
            "KUBECACHEDIR": str(self.home / "kubecache"),
            "KUBECTL_KUBERC": "false",
        }

    def token(self, namespace: str, name: str, audience: str | None = None, lifetime: str = "1h") -> str:
        """A service account's token (TokenRequest); without an audience it is for the API server."""
        chosen = [f"--audience={audience}"] if audience else []
        return self.kubectl("create", "token", name, f"--namespace={namespace}", f"--duration={lifetime}", *chosen).strip()

    def as_service_account(self, namespace: str, name: str, lifetime: str = "1h") -> Path:
        """A kubeconfig for a service account, both made if they are not there; it has exactly the rights that bindings give it."""
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        self.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}})
        return self._kubeconfig(f"{namespace}.{name}", {"token": self.token(namespace, name, lifetime=lifetime)}, namespace)

    def as_user(self, user: str, *groups: str) -> Path:
        """A kubeconfig for a person (client certificate)."""
        file = "user-" + re.sub(r"[^a-z0-9]+", "-", user.lower())
        return self._kubeconfig(file, certificate_user(self._authority.client(file, user, groups)))

    def audit(self) -> list[dict[str, Any]]:
        """The audit log's events so far, oldest first."""
        written = self.audit_log.read_text()
        # What follows the last newline is a line still being written.
        return [json.loads(line) for line in written[: written.rfind("\n") + 1].splitlines()]

    def wait(self, what: str, holds: Callable[[], bool], seconds: float = READY_SECONDS) -> None:
        """Poll until `holds()`.

        Raises:
            ControlPlaneError: after `seconds`, or when a server ends; `what` says for what it waited.
        """
        end = time.monotonic() + seconds
        while not holds():
            for server in self._servers:
                if server.exited() is not None:
                    raise ServerEndedError(f"{server.name} ended with code {server.exited()} before {what}:\n{server.tail()}")
            if time.monotonic() > end:
                tails = "\n".join(f"--- {server.name}\n{server.tail(5)}" for server in self._servers)
                raise ControlPlaneError(f"Waited {seconds:g} s in vain for this: {what}.\n{tails}")
            time.sleep(0.05)

    def _port_is_known(self) -> bool:
        """Whether clients already have the address, so that it cannot change any more."""
        return self.kubeconfig.exists()

    def _start(self) -> None:
        etcd, peer = _free_port(), _free_port()
        if not self._port_is_known():
            self._port = _free_port()
        self._run(self.parts.etcd, flags.etcd(self.home, etcd, peer))
        self.wait("etcd listens", lambda: _listens(etcd))
        self._run(self.parts.apiserver, flags.apiserver(self.home, self._port, etcd))
        self.wait("the API server is ready", self._ready)
        if not self._port_is_known():
            manager = self._authority.client("controller-manager", "system:kube-controller-manager")
            self._kubeconfig("controller-manager", certificate_user(manager))
            self._kubeconfig("admin", certificate_user(self._authority.client("admin", "admin", ["system:masters"])))
        self._run(self.parts.controller_manager, flags.controller_manager(self.home))
        self.wait("the controllers made the default service account", self._controlled)

    def _run(self, program: Path, arguments: list[str]) -> None:
        self._servers.append(Child([program, *arguments], self.home / f"{program.name}.log", env=self.environment()))

    def _kubeconfig(self, file: str, user: dict[str, str], namespace: str = "default") -> Path:
        return kubeconfig(self.home / f"{file}.kubeconfig", server=self.url, authority=self.authority, user=user, namespace=namespace)

    def _ready(self) -> bool:
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=str(self.authority)))
        )
        try:
            with opener.open(f"{self.url}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def _controlled(self) -> bool:
        try:
            self.kubectl("get", "serviceaccount/default", "configmap/kube-root-ca.crt", "--namespace=default")
        except KubectlError:
            return False
        return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
