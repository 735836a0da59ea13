"""The control plane's own certificate authority, and the kubeconfigs of those who hold its certificates or tokens."""

from __future__ import annotations

import base64
import datetime as dt
import ipaddress
import json
import os
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_LIFE = dt.timedelta(days=2)
"""Longer than any test run; nothing here is kept."""

_SERVER_NAMES: Sequence[x509.GeneralName] = (
    x509.DNSName("localhost"),
    x509.DNSName("kubernetes.default.svc"),
    x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
)


def private_write(path: Path, content: bytes) -> Path:
    """Write a file that only its owner may read, replacing one that is there."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    return path


def new_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """A P-256 key, written to `path` in the form (SEC 1) that the API server reads as a service account key too."""
    key = ec.generate_private_key(ec.SECP256R1())
    private_write(path, key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()))
    return key


class Authority:
    """A certificate authority in `folder`: `ca.crt`, and `NAME.crt` beside `NAME.key` for each issued."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._key = new_key(folder / "ca.key")
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "trueup-tests")])
        self._ski = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        usage = _usage(signs_certificates=True)
        built = _builder(self._name, self._key).issuer_name(self._name).add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        certificate = built.add_extension(self._ski, critical=False).add_extension(usage, critical=True).sign(self._key, hashes.SHA256())
        self.certificate = private_write(folder / "ca.crt", certificate.public_bytes(serialization.Encoding.PEM))

    def server(self, file: str) -> tuple[Path, Path]:
        """A serving certificate for loopback, and its key."""
        return self._issue(file, x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kube-apiserver")]), ExtendedKeyUsageOID.SERVER_AUTH, _SERVER_NAMES)

    def client(self, file: str, user: str, groups: Sequence[str] = ()) -> tuple[Path, Path]:
        """A client certificate, as which the API server sees `user` in `groups`, and its key."""
        attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
        return self._issue(file, x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, user)]), ExtendedKeyUsageOID.CLIENT_AUTH)

    def _issue(self, file: str, subject: x509.Name, purpose: x509.ObjectIdentifier, names: Sequence[x509.GeneralName] = ()) -> tuple[Path, Path]:
        key = new_key(self.folder / f"{file}.key")
        builder = _builder(subject, key).issuer_name(self._name).add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_usage(signs_certificates=False), critical=True).add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(self._ski), critical=False)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        signed = builder.sign(self._key, hashes.SHA256())
        return private_write(self.folder / f"{file}.crt", signed.public_bytes(serialization.Encoding.PEM)), self.folder / f"{file}.key"


def kubeconfig(path: Path, *, server: str, authority: Path, user: dict[str, str], namespace: str = "default") -> Path:
    """A kubeconfig with everything inside it (JSON, which is YAML), so that one file is all a process needs."""
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "tests", "cluster": {"server": server, "certificate-authority-data": _inline(authority)}}],
        "users": [{"name": "tests", "user": user}],
        "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tests", "namespace": namespace}}],
        "current-context": "tests",
    }
    return private_write(path, json.dumps(content, indent=2).encode())


def certificate_user(pair: tuple[Path, Path]) -> dict[str, str]:
    """The kubeconfig's user who holds a client certificate and its key."""
    return {"client-certificate-data": _inline(pair[0]), "client-key-data": _inline(pair[1])}


def _inline(file: Path) -> str:
    return base64.b64encode(file.read_bytes()).decode()


def _builder(subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    # An hour back, for a clock that is set while the tests run.
    builder = x509.CertificateBuilder().subject_name(subject).public_key(key.public_key()).serial_number(x509.random_serial_number())
    return builder.not_valid_before(now - dt.timedelta(hours=1)).not_valid_after(now + _LIFE)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
