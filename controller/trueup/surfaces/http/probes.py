"""Liveness, readiness and metrics on a port of their own: for the kubelet and for Prometheus, not for callers of the gate."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from trueup.errors import TrueupError
from trueup.surfaces.http.metrics import Metrics

Check = Callable[[], None]
"""Raises TrueupError for what is not as it should be."""


class Probes:
    """Answers `/livez`, `/readyz` and `/metrics`."""

    def __init__(self, metrics: Metrics, live: Iterable[Check], ready: Iterable[Check]) -> None:
        self._metrics = metrics.wsgi()
        self._checks = {"/livez": tuple(live), "/readyz": tuple(ready)}

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """One request."""
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            found: Iterable[bytes] = self._metrics(environ, start_response)
            return found
        checks = self._checks.get(path)
        if checks is None:
            return _answer(start_response, "404 Not Found", {"status": "no such page"})
        for check in checks:
            try:
                check()
            except TrueupError as error:
                return _answer(start_response, "503 Service Unavailable", {"status": error.reason, "why": str(error)})
        return _answer(start_response, "200 OK", {"status": "ok"})


def _answer(start_response: Callable[..., Any], status: str, body: dict[str, str]) -> Iterable[bytes]:
    start_response(status, [("Content-Type", "application/json"), ("Cache-Control", "no-store")])
    return [json.dumps(body).encode()]


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Silent(WSGIRequestHandler):
    timeout = 10
    """Seconds for which a connection may say nothing."""

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a probe every few seconds is no news."""


def serve_probes(probes: Probes, host: str, port: int) -> tuple[str, int]:
    """Answer on `host` and `port` (0 takes a free one) until the process ends; returns where.

    Raises:
        OSError: the address cannot be had.
    """
    server = make_server(host, port, probes, server_class=_Server, handler_class=_Silent)
    threading.Thread(target=server.serve_forever, name="probes", daemon=True).start()
    return str(server.server_address[0]), int(server.server_address[1])
