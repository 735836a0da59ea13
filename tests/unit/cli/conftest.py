"""A server of a few canned answers on a real socket, and a command line that talks to it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from trueup.surfaces.cli import run


@dataclass(frozen=True)
class Call:
    """One request that the server saw."""

    method: str
    path: str
    query: dict[str, list[str]]
    body: Any
    authorization: str | None


Answer = tuple[int, Any]


@dataclass
class Server:
    """What the fake server answers: a function a (method, path), else 404. It keeps every call."""

    url: str = ""
    answers: dict[tuple[str, str], Callable[[Call], Answer]] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)

    def on(self, method: str, path: str, answer: Callable[[Call], Answer] | Any, status: int = 200) -> None:
        """Answer this call with a value, or with what a function makes of it."""
        self.answers[method, path] = answer if callable(answer) else lambda _: (status, answer)

    def serve(self, call: Call) -> Answer:
        self.calls.append(call)
        answer = self.answers.get((call.method, call.path))
        return answer(call) if answer else (404, {"title": "NotFound", "status": 404, "detail": "There is nothing here for this caller."})

    def sent(self, method: str) -> list[Call]:
        """The calls by one method."""
        return [c for c in self.calls if c.method == method]


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            raw = self.rfile.read(length)
            parts = urlsplit(self.path)
            call = Call(self.command, parts.path, parse_qs(parts.query), json.loads(raw) if raw else None, self.headers.get("Authorization"))
            status, body = server.serve(call)
            data = b"" if body is None else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json" if status < 400 else "application/problem+json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_PUT = do_POST = do_DELETE = _answer  # noqa: N815 - http.server's names

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A running fake server that TRUEUP_URL names, with a token."""
    made = Server()
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(made)) as http:
        http.daemon_threads = True
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        made.url = f"http://127.0.0.1:{http.server_address[1]}"
        monkeypatch.setenv("TRUEUP_URL", made.url)
        monkeypatch.setenv("TRUEUP_TOKEN", "a-token")
        yield made
        http.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test sees the home, the server or the terminal of whoever runs it."""
    for name in ("TRUEUP_URL", "TRUEUP_TOKEN", "TRUEUP_DEBUG", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TRUEUP_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TRUEUP_MODELS", str(tmp_path / "models"))
    monkeypatch.chdir(tmp_path)


@dataclass(frozen=True)
class Ended:
    """How one command ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def trueup(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Run one command in this process."""

    def command(*arguments: str) -> Ended:
        capsys.readouterr()
        code = run(arguments)
        captured = capsys.readouterr()
        return Ended(code, captured.out, captured.err)

    return command


def source(name: str = "docs", namespace: str = "default", *, ready: str = "True", message: str = "3 documents are servable.", **status: Any) -> dict[str, Any]:
    """A ContextSource as the API has it."""
    conditions = [
        {"type": kind, "status": value, "observedGeneration": 1, "lastTransitionTime": "2026-11-21T12:00:00.000Z", "reason": "Reconciled", "message": text}
        for kind, value, text in (("Ready", ready, message), ("Fresh", "True", "The source vouched for it."))
    ]
    return {
        "apiVersion": "trueup.dev/v1alpha1",
        "kind": "ContextSource",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": "u1",
            "generation": 1,
            "resourceVersion": "7",
            "creationTimestamp": "2026-11-21T12:00:00.000Z",
        },
        "spec": {"source": {"type": "Directory", "directory": {"path": "/docs"}}, "access": {"readers": [{"kind": "Everyone"}]}},
        "status": {
            "observedGeneration": 1,
            "conditions": conditions,
            "documents": {"live": 3, "held": 0, "quarantined": 0, "failed": 0, "unsupported": 0, "skipped": 0},
            "chunks": 9,
            "tombstones": 2,
            **status,
        },
    }


def at(name: str = "docs", namespace: str = "default") -> str:
    """Where that source is."""
    return f"/v1/resources/contextsources/{namespace}/{name}"
