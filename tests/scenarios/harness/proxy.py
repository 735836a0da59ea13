"""A proxy before the Git server, with the faults of a network: one a repository, so that each is ill by itself."""

from __future__ import annotations

import enum
import http.client
import socket
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HANG_SECONDS = 60.0


class Fault(enum.StrEnum):
    """What is wrong on the way."""

    NONE = "None"
    REFUSED = "Refused"
    """Nobody listens."""
    RESET = "Reset"
    """The connection is reset at the first byte."""
    HANG = "Hang"
    """The request is read and nothing is said."""
    HALF_HEADER = "HalfHeader"
    """The answer stops within its header, and the connection stays."""
    SERVER_ERROR = "500"
    FORBIDDEN = "403"
    NOT_FOUND = "404"
    UNAVAILABLE = "503"
    HALF_PACK = "HalfPack"
    """Half of what a POST is answered, and then the connection ends."""
    HALF_QUIETLY = "HalfQuietly"
    """Half of what a POST is answered, with a Content-Length that says that this is all."""
    EMPTY = "Empty"
    """200 and nothing."""
    GARBAGE = "Garbage"
    """200 and something else: the page of a captive portal."""


OUTAGES = (Fault.REFUSED, Fault.RESET, Fault.HANG, Fault.HALF_HEADER, Fault.SERVER_ERROR, Fault.FORBIDDEN, Fault.UNAVAILABLE, Fault.EMPTY, Fault.GARBAGE)
"""Those that hit a probe, and not only a fetch."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    proxy: Proxy

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients leave early here."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._pass(None)

    def do_POST(self) -> None:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            self._pass(self._unchunked())
        else:
            self._pass(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def _unchunked(self) -> bytes:
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _pass(self, body: bytes | None) -> None:
        proxy = self.server.proxy
        proxy.requests += 1
        fault = proxy.fault
        if fault is Fault.RESET:
            self._reset()
        elif fault is Fault.HANG:
            proxy.healed.wait(HANG_SECONDS)
            self._reset()
        elif fault is Fault.HALF_HEADER:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Le")
            self.wfile.flush()
            proxy.healed.wait(HANG_SECONDS)
            self._reset()
        elif fault.isdigit():
            self._answer(int(fault), b"no", "text/plain")
        elif fault is Fault.EMPTY:
            self._answer(200, b"", "text/plain")
        elif fault is Fault.GARBAGE:
            self._answer(200, b"<html>Please sign in to this network.</html>", "text/html")
        else:
            self._forward(body, fault)

    def _forward(self, body: bytes | None, fault: Fault) -> None:
        upstream = http.client.HTTPConnection("127.0.0.1", self.server.proxy.upstream, timeout=60)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in {"host", "connection", "transfer-encoding", "content-length"}}
        upstream.request(self.command, self.path, body=body, headers=headers)
        response = upstream.getresponse()
        data, kind = response.read(), response.getheader("Content-Type", "application/octet-stream")
        upstream.close()
        half = self.command == "POST" and len(data) > 64
        if half and fault is Fault.HALF_PACK:
            self._answer(response.status, data[: len(data) // 2], kind, length=len(data))
            self._reset()
        elif half and fault is Fault.HALF_QUIETLY:
            self._answer(response.status, data[: len(data) // 2], kind)
        else:
            self._answer(response.status, data, kind)

    def _answer(self, status: int, data: bytes, kind: str, length: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data) if length is None else length))
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()

    def _reset(self) -> None:
        """Close with RST, as a peer does that is gone."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class Proxy:
    """One listening port in front of the Git server on the port `upstream`."""

    def __init__(self, upstream: int) -> None:
        self.upstream = upstream
        self.fault = Fault.NONE
        self.healed = threading.Event()
        self.requests = 0
        self._server: _Server | None = None
        self.port = 0
        self._listen()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def suffer(self, fault: Fault) -> None:
        """From now on."""
        self.healed.clear()
        self.fault = fault
        if fault is Fault.REFUSED:
            self._deafen()

    def heal(self) -> None:
        """All is well; calls that hang are let go."""
        self.fault = Fault.NONE
        self.healed.set()
        if self._server is None:
            self._listen()

    def close(self) -> None:
        """Stop."""
        self.heal()
        self._deafen()

    def _listen(self) -> None:
        self._server = _Server(("127.0.0.1", self.port), _Handler)
        self._server.proxy = self
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def _deafen(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()
