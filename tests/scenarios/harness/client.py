"""The gate over HTTP, as a caller with one token has it. Safe for threads."""

from __future__ import annotations

import http.client
import json
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: the status, the body (parsed where it is JSON), and when it was sent and received (wall clock)."""

    status: int
    body: Any
    sent: float
    received: float
    headers: dict[str, str]


class Unreachable(Exception):
    """The server did not answer at all: it is down, or was killed while it answered."""


class Client:
    """One caller."""

    def __init__(self, url: str, token: str | None, timeout: float = 60.0) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        self.token = token
        self._timeout = timeout

    def send(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None, *, raw: bytes | None = None) -> Reply:
        """One request on a connection of its own; its failure to be answered is `Unreachable`, every status is a reply."""
        data = raw if raw is not None else None if body is None else json.dumps(body).encode()
        given = {"Connection": "close"} | ({"Content-Type": "application/json"} if data is not None else {})
        if self.token is not None:
            given["Authorization"] = f"Bearer {self.token}"
        sent = time.time()
        connection = http.client.HTTPConnection(self._host, self._port, timeout=self._timeout)
        try:
            connection.request(method, path, body=data, headers=given | (headers or {}))
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(str(error)) from error
        finally:
            connection.close()
        return Reply(response.status, _parsed(response, content), sent, time.time(), {k.lower(): v for k, v in response.getheaders()})

    def ok(self, method: str, path: str, body: Any = None) -> Any:
        """The body of a reply that must be a success."""
        reply = self.send(method, path, body)
        assert 200 <= reply.status < 300, f"{method} {path}: {reply.status} {reply.body}"
        return reply.body

    def get(self, path: str) -> Any:
        return self.ok("GET", path)

    def items(self, path: str) -> list[dict[str, Any]]:
        """A whole list, page after page."""
        found: list[dict[str, Any]] = []
        after = ""
        while True:
            page = self.get(path + (("&" if "?" in path else "?") + "after=" + quote(str(after), safe="") if after else ""))
            found += page["items"]
            if page["next"] is None:
                return found
            after = page["next"]

    def retrieve(self, query: str, sources: list[str] | None = None, top_k: int = 50, **more: Any) -> Reply:
        """Ask. The budget is large: what is missing from an answer is missing for another reason."""
        wish: dict[str, Any] = {"query": query, "top_k": top_k, "max_tokens": 100_000, **more}
        if sources is not None:
            wish["sources"] = sources
        return self.send("POST", "/v1/retrieve", wish)


def _parsed(response: http.client.HTTPResponse, content: bytes) -> Any:
    kind = response.getheader("Content-Type", "")
    return json.loads(content) if "json" in kind and "jsonl" not in kind and content else content.decode(errors="replace")
