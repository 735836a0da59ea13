"""The command lines of the three servers: upstream's flags, and why each is there."""

from __future__ import annotations

from pathlib import Path

AUDIT_POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: Metadata
"""
"""Who did what, once a request, and never a body: bodies hold secrets and tokens."""

CONTROLLERS = (
    "clusterrole-aggregation-controller",
    "garbage-collector-controller",
    "namespace-controller",
    "persistentvolumeclaim-protection-controller",  # or no claim can be deleted
    "resourcequota-controller",
    "root-ca-certificate-publisher-controller",
    "serviceaccount-controller",
    "validatingadmissionpolicy-status-controller",
)
"""What the tests stand on; the other forty controllers would only use memory."""

ISSUER = "https://kubernetes.default.svc.cluster.local"


def etcd(home: Path, client: int, peer: int) -> list[str]:
    """One member, in `home/etcd`. It need not survive a power cut, so it never waits for the disk."""
    return [
        f"--data-dir={home / 'etcd'}",
        f"--listen-client-urls=http://127.0.0.1:{client}",
        f"--advertise-client-urls=http://127.0.0.1:{client}",
        f"--listen-peer-urls=http://127.0.0.1:{peer}",
        f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
        f"--initial-cluster=default=http://127.0.0.1:{peer}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def apiserver(home: Path, port: int, etcd_port: int) -> list[str]:
    """RBAC, TokenRequest, and an audit log that has a request's line before the client has the answer."""
    pki = home / "pki"
    return [
        f"--etcd-servers=http://127.0.0.1:{etcd_port}",
        "--bind-address=127.0.0.1",
        # Else it looks for another interface, and ends on a machine that has none.
        "--advertise-address=127.0.0.1",
        "--external-hostname=127.0.0.1",
        f"--secure-port={port}",
        f"--tls-cert-file={pki / 'apiserver.crt'}",
        f"--tls-private-key-file={pki / 'apiserver.key'}",
        f"--client-ca-file={pki / 'ca.crt'}",
        f"--service-account-issuer={ISSUER}",
        f"--service-account-key-file={pki / 'service-accounts.key'}",
        f"--service-account-signing-key-file={pki / 'service-accounts.key'}",
        "--service-cluster-ip-range=10.0.0.0/24",
        # Loopback is not valid as the endpoint of the service "kubernetes", and nothing here routes to it.
        "--endpoint-reconciler-type=none",
        "--authorization-mode=RBAC",
        f"--audit-policy-file={home / 'audit-policy.yaml'}",
        f"--audit-log-path={home / 'audit.log'}",
        "--audit-log-format=json",
        "--audit-log-mode=blocking",
        "--profiling=false",
    ]


def controller_manager(home: Path) -> list[str]:
    """Each controller under its own service account, as in a real cluster; no port, and no leader to elect."""
    path = home / "controller-manager.kubeconfig"
    return [
        f"--kubeconfig={path}",
        f"--authentication-kubeconfig={path}",
        f"--authorization-kubeconfig={path}",
        f"--controllers={','.join(CONTROLLERS)}",
        f"--root-ca-file={home / 'pki' / 'ca.crt'}",
        "--use-service-account-credentials",
        "--leader-elect=false",
        "--secure-port=0",
        "--profiling=false",
    ]
