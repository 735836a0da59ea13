"""Git's own HTTP server (git http-backend) on a loopback port, with faults that can be switched on."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    owner: GitServer

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that leaves early is what the tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def _answer(self, body: bytes) -> None:
        owner = self.server.owner
        owner.requests.append((self.command, self.path, dict(self.headers)))
        if owner.stall is not None:
            owner.stall.wait(30)
            return
        if owner.redirect is not None and self.command == "GET":
            self.send_response(302)
            self.send_header("Location", owner.redirect + self.path)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        status = owner.status
        if owner.authorization is not None and self.headers.get("Authorization") != owner.authorization:
            status = 401
        if status != 200:
            self.send_error(status)
            return
        headers, data = self._run(body)
        if owner.truncate is not None and self.command == "POST" and b"PACK" in data:
            data = data[: owner.truncate]
        if owner.garble is not None:
            data = owner.garble(self.command, data)
        self.send_response(200)
        for name, value in headers:
            self.send_header(name, owner.content_type or value if name == "Content-Type" else value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if owner.drip:
            for at in range(len(data)):
                self.wfile.write(data[at : at + 1])
                time.sleep(owner.drip)
            return
        self.wfile.write(data)

    def _run(self, body: bytes) -> tuple[list[tuple[str, str]], bytes]:
        owner = self.server.owner
        path, _, query = self.path.partition("?")
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": "/nonexistent",
            "GIT_PROJECT_ROOT": str(owner.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "REMOTE_ADDR": "127.0.0.1",
        }
        protocol = owner.protocol if owner.protocol is not None else self.headers.get("Git-Protocol", "")
        if protocol:
            environment["GIT_PROTOCOL"] = protocol
        configured = [f"{key}={value}" for key, value in owner.configured.items()]
        command = ["git", *(part for pair in configured for part in ("-c", pair)), "http-backend"]
        done = subprocess.run(command, input=body, env=environment, capture_output=True, check=False)
        head, _, data = done.stdout.partition(b"\r\n\r\n")
        headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in head.decode().splitlines())]
        status = next((value for name, value in headers if name == "Status"), "200")
        if not status.startswith("200"):
            return [("Content-Type", "text/plain")], b"not here"
        return headers, data


class GitServer:
    """A server for the repositories below `root`.

    Attributes:
        status: the HTTP status of every answer, 200 for git's own.
        requests: what was asked: method, path, headers.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.root = Path()
        self.status = 200
        self.authorization: str | None = None
        self.redirect: str | None = None
        self.stall: threading.Event | None = None
        self.drip = 0.0
        self.truncate: int | None = None
        self.garble: object = None
        self.protocol: str | None = None
        self.content_type: str | None = None
        self.configured: dict[str, str] = {}
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.owner = self
        self._scheme = "http"
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
            self._scheme = "https"

    @property
    def port(self) -> int:
        port: int = self._server.socket.getsockname()[1]
        return port

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.stall is not None:
            self.stall.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def free_port() -> int:
    """A port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port
