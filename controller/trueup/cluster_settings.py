"""How the parts of a cluster installation are set: by their environment, secrets by file."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from trueup.errors import TrueupError

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


class Missettled(TrueupError):
    """The setting {name} is not valid: {why}."""

    reason = "Misconfigured"


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """Everything that `trueup operator` and `trueup gate` are told.

    Attributes:
        home: TRUEUP_HOME: caches, sources' credentials while they are used, and by default all that follows.
        keys: TRUEUP_KEYS: the installation's keys; the same for every gate, or none believes the other's receipts.
        checkpoints: TRUEUP_CHECKPOINTS: where signed checkpoints of the audit log go: not into the database.
        catalog: TRUEUP_CATALOG: `sqlite:///PATH` or `postgresql://…`.
        index: TRUEUP_INDEX: `edge:///PATH`, or the URL of a Qdrant server.
        index_key: TRUEUP_INDEX_KEY: the Qdrant server's API key.
        audience: TRUEUP_AUDIENCE: whom tokens must be meant for.
        issuer, issuer_authority: TRUEUP_OIDC_ISSUER and TRUEUP_OIDC_CA: an OpenID Connect issuer, and a file of
            certificates to trust for it.
        roots: TRUEUP_ALLOW_ROOTS, separated by `:`: folders in which sources may lie; none by default.
        namespaces: TRUEUP_NAMESPACES, separated by commas; all if empty.
        lease: TRUEUP_LEASE as `namespace/name`.
        host, port, metrics_port: TRUEUP_HOST, TRUEUP_PORT, TRUEUP_METRICS_PORT: where gate and probes listen; port 0
            takes a free one.
        instance: this process among its kind: the pod's name, which is its host name.
    """

    home: Path
    keys: Path
    checkpoints: Path
    catalog: str = field(repr=False)
    index: str
    index_key: str | None = field(repr=False)
    audience: str
    issuer: str | None
    issuer_authority: str | None
    roots: tuple[Path, ...]
    namespaces: tuple[str, ...]
    lease: tuple[str, str]
    host: str
    port: int
    metrics_port: int
    instance: str

    @classmethod
    def of(cls, environment: Mapping[str, str] = os.environ) -> ClusterSettings:
        """The settings in `environment`.

        Raises:
            Missettled: one of them is not valid.
        """
        ask = _Asker(environment)
        home = Path(ask.text("HOME") or ".trueup").resolve()
        return cls(
            home=home,
            keys=Path(ask.text("KEYS") or home / "keys"),
            checkpoints=Path(ask.text("CHECKPOINTS") or home / "checkpoints"),
            catalog=ask.catalog(home),
            index=ask.index(home),
            index_key=ask.text("INDEX_KEY"),
            audience=ask.text("AUDIENCE") or "trueup",
            issuer=ask.text("OIDC_ISSUER"),
            issuer_authority=ask.text("OIDC_CA"),
            roots=ask.roots(),
            namespaces=ask.namespaces(),
            lease=ask.lease(),
            host=ask.text("HOST") or "0.0.0.0",  # noqa: S104 - a pod is reached by its own address
            port=ask.port("PORT", 8480),
            metrics_port=ask.port("METRICS_PORT", 9480),
            instance=ask.text("INSTANCE") or socket.gethostname(),
        )


class _Asker:
    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def text(self, name: str) -> str | None:
        """The variable TRUEUP_`name`, or the contents of the file that TRUEUP_`name`_FILE names."""
        file = self._environment.get(f"TRUEUP_{name}_FILE")
        if not file:
            return self._environment.get(f"TRUEUP_{name}") or None
        try:
            return Path(file).read_text().strip() or None
        except (OSError, UnicodeDecodeError) as error:
            raise Missettled(name=f"TRUEUP_{name}_FILE", why=f"{file} cannot be read") from error

    def catalog(self, home: Path) -> str:
        """`sqlite:///srv/x` is /srv/x, as in any URL; SQLAlchemy would have it relative."""
        url = self.text("CATALOG") or f"sqlite:///{home}/catalog.db"
        scheme = urlsplit(url).scheme
        if scheme == "sqlite":
            return f"sqlite:////{url.removeprefix('sqlite://').lstrip('/')}"
        if scheme.partition("+")[0] in {"postgresql", "postgres"}:
            return url
        raise Missettled(name="TRUEUP_CATALOG", why="it must be sqlite:///PATH or postgresql://USER@HOST/DATABASE")

    def index(self, home: Path) -> str:
        url = self.text("INDEX") or f"edge:///{home}/index"
        scheme = urlsplit(url).scheme
        if scheme == "edge":
            return f"edge:///{url.removeprefix('edge://').lstrip('/')}"
        if scheme in {"http", "https"}:
            return url
        raise Missettled(name="TRUEUP_INDEX", why="it must be edge:///PATH or the URL of a Qdrant server")

    def roots(self) -> tuple[Path, ...]:
        found = tuple(Path(part) for part in (self.text("ALLOW_ROOTS") or "").split(":") if part)
        if not all(path.is_absolute() for path in found):
            raise Missettled(name="TRUEUP_ALLOW_ROOTS", why="it must be absolute paths, separated by colons")
        return found

    def namespaces(self) -> tuple[str, ...]:
        found = tuple(part.strip() for part in (self.text("NAMESPACES") or "").split(",") if part.strip())
        if not all(_NAME.fullmatch(name) for name in found):
            raise Missettled(name="TRUEUP_NAMESPACES", why="it must be names of namespaces, separated by commas")
        return found

    def lease(self) -> tuple[str, str]:
        namespace, _, name = (self.text("LEASE") or "trueup-system/trueup-operator").partition("/")
        if not _NAME.fullmatch(namespace) or not _NAME.fullmatch(name):
            raise Missettled(name="TRUEUP_LEASE", why="it must be a namespace and a name, with a slash between")
        return namespace, name

    def port(self, name: str, default: int) -> int:
        text = self.text(name)
        # Beside a Service of this name, Kubernetes sets TRUEUP_PORT to an address: it says nothing to us.
        if text is None or text.startswith("tcp://"):
            return default
        if not text.isascii() or not text.isdigit() or int(text) > 65535:
            raise Missettled(name=f"TRUEUP_{name}", why="it must be a number up to 65535")
        return int(text)
