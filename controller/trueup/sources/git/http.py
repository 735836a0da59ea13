"""Git's smart HTTP over pinned connections."""

from __future__ import annotations

import base64
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import urllib3
from dulwich.client import AbstractHttpGitClient
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from trueup.errors import SourceMisconfigured, SourceUnavailable
from trueup.sources.deadline import Deadline
from trueup.sources.git.bounds import Meter
from trueup.sources.git.failures import Status
from trueup.sources.network import Network
from trueup.sources.opening import OpenContext, secret

REDIRECTS = 5
_MOVED = (301, 302, 303, 307, 308)


def _pools(network: Network) -> dict[str, type[HTTPConnectionPool]]:
    """Connection pools that reach every host by way of `network`."""

    class Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return network.connect(self.host, self.port or 80)

    class Secure(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return network.connect(self.host, self.port or 443)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}


def _trust(credentials: Path | None) -> ssl.SSLContext:
    """The system's certificate authorities, or the one of the source's own Secret."""
    context = ssl.create_default_context()
    own = secret(credentials, "ca.crt")
    if own is not None:
        context.load_verify_locations(cadata=own)
    return context


def _authorization(credentials: Path | None) -> str | None:
    password = secret(credentials, "password") or secret(credentials, "token")
    if password is None:
        return None
    user = secret(credentials, "username") or "git"
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"https": 443, "http": 80}.get(parts.scheme)


class HttpClient(AbstractHttpGitClient):
    """One call's worth of smart HTTP: what it resolved, it keeps; credentials go to the declared origin alone."""

    def __init__(self, url: str, context: OpenContext, deadline: Deadline, meter: Meter) -> None:
        super().__init__(url, thin_packs=True)
        self._deadline = deadline
        self._meter = meter
        self._declared = _origin(url)
        self._secret = _authorization(context.credentials)
        self._pool = urllib3.PoolManager(ssl_context=_trust(context.credentials) if self._declared[0] == "https" else None, retries=False)
        self._pool.pool_classes_by_scheme = _pools(Network(deadline, in_cluster=context.in_cluster))

    def _get_url(self, path: str | bytes) -> str:
        del path  # the whole URL is the client's
        return self._base_url

    def _http_request(
        self, url: str, headers: dict[str, str] | None = None, data: bytes | Iterator[bytes] | None = None, raise_for_status: bool = True
    ) -> tuple[Any, Callable[[int], bytes]]:
        """The answer, with members that dulwich looks for, and a reader that stops at the bound."""
        del raise_for_status  # only the dumb protocol reads answers that are no success
        asked = url
        for _ in range(REDIRECTS + 1):
            answer = self._ask(url, headers or {}, data)
            if answer.status not in _MOVED:
                break
            location = answer.headers.get("Location", "")
            answer.close()
            url = self._follow(url, location, posting=data is not None)
        else:
            raise SourceUnavailable(why="its server redirects in a circle")
        if answer.status != 200:
            answer.close()
            raise Status(answer.status)
        kind = answer.headers.get("Content-Type", "")
        if not kind.startswith("application/x-git-") or answer.headers.get("Content-Encoding", "identity") != "identity":
            answer.close()
            raise SourceUnavailable(why="its server answers, but not as a Git server does")
        answer.content_type, answer.redirect_location = kind, url if url != asked else ""
        return answer, self._metered(answer)

    def _ask(self, url: str, headers: dict[str, str], data: bytes | Iterator[bytes] | None) -> Any:
        sent = {"User-Agent": "git/trueup", "Accept-Encoding": "identity", "Pragma": "no-cache", **headers}
        if self._secret is not None and _origin(url) == self._declared:
            sent["Authorization"] = self._secret
        timeout = urllib3.Timeout(total=self._deadline.remaining())
        return self._pool.urlopen(
            "GET" if data is None else "POST",
            url,
            headers=sent,
            body=data,
            preload_content=False,
            decode_content=False,
            redirect=False,
            timeout=timeout,
            retries=False,
        )

    def _follow(self, url: str, location: str, *, posting: bool) -> str:
        """Where a redirect leads, if it may: to http or https, never from https to http, never with a body."""
        target = urljoin(url, location)
        parts = urlsplit(target)
        if posting or not location or parts.username is not None or not parts.hostname:
            raise SourceUnavailable(why="its server redirects in a way that is not followed")
        if parts.scheme != "https" and (parts.scheme != "http" or urlsplit(url).scheme != "http"):
            raise SourceMisconfigured(why="its server redirects to something that is not https, which is not followed")
        return target

    def _metered(self, answer: Any) -> Callable[[int], bytes]:
        def reader(size: int) -> bytes:
            data: bytes = answer.read(size)
            self._meter.read(len(data))
            return data

        return reader

    def close(self) -> None:
        """Let go of the connections."""
        self._pool.clear()
