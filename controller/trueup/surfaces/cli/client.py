"""The HTTP client of the command line: the only importer of httpx2 here.

Proxies and .netrc are ignored: the server is this machine's, or one that was named on purpose.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import httpx2

from trueup.surfaces.cli.environment import Environment
from trueup.surfaces.cli.failure import Failed
from trueup.surfaces.cli.screen import line

CONNECT_SECONDS = 3.0
"""A loopback connection takes under a millisecond; another machine that needs longer than this is down."""

ANSWER_SECONDS = 60.0
"""The slowest calls (a replay, the first query that loads a model) stay far below."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer: the HTTP status and the decoded body (None where there is none)."""

    status: int
    body: Any


class Api:
    """Calls to one server as one caller."""

    def __init__(self, where: Environment, token: Callable[[], str | None]) -> None:
        self._where = where
        self._token = token
        self._http = httpx2.Client(
            base_url=where.url,
            timeout=httpx2.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS),
            trust_env=False,
            follow_redirects=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def call(
        self, method: str, path: str, *, body: Any = None, params: Mapping[str, str | int] | None = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """One request.

        Args:
            method: the HTTP method.
            path: below the server's URL, quoted by `connection.path`.
            body: what is sent as JSON; None sends nothing.
            params: the query string.
            headers: besides those of every request.

        Raises:
            Failed: no server answered, or it refused; `status` is the HTTP status.
        """
        token = self._token()
        bearer = {} if token is None else {"Authorization": f"Bearer {token}"}
        try:
            response = self._http.request(method, path, json=body, params=params, headers={**bearer, **(headers or {})})
        except httpx2.HTTPError as error:
            raise self._unanswered(error) from error
        if not response.is_success:
            raise Failed(self._refusal(response, token), response.status_code)
        if not response.content:
            return Reply(response.status_code, None)
        try:
            return Reply(response.status_code, response.json())
        except json.JSONDecodeError as error:
            raise Failed(f"What answers at {self._where.url} is no Trueup server; check TRUEUP_URL.") from error

    def get(self, path: str, params: Mapping[str, str | int] | None = None) -> Any:
        """The body of one GET; raises as `call` does."""
        return self.call("GET", path, params=params).body

    def post(self, path: str, body: Any) -> Any:
        """The body of the answer to one POST; raises as `call` does."""
        return self.call("POST", path, body=body).body

    def items(self, path: str, params: Mapping[str, str | int] | None = None) -> Iterator[dict[str, Any]]:
        """Every item of a list, page after page; raises as `call` does."""
        cursor: Mapping[str, str | int] = {}
        while True:
            page = self.get(path, {**(params or {}), **cursor})
            yield from page["items"]
            if page.get("next") is None:
                return
            cursor = {"after": page["next"]}

    def lines(self, path: str, params: Mapping[str, str | int] | None = None) -> Iterator[str]:
        """Every line of an answer that is too long to be held; raises as `call` does."""
        token = self._token()
        try:
            with self._http.stream("GET", path, params=params, headers={"Authorization": f"Bearer {token}"} if token else {}) as response:
                if not response.is_success:
                    response.read()
                    raise Failed(self._refusal(response, token), response.status_code)
                yield from response.iter_lines()
        except httpx2.HTTPError as error:
            raise self._unanswered(error) from error

    def _unanswered(self, error: httpx2.HTTPError) -> Failed:
        """One sentence about a call that no answer came to."""
        if isinstance(error, (httpx2.ConnectError, httpx2.ConnectTimeout)):
            return Failed(f"No server answers at {self._where.url}; start one with `trueup serve`, or set TRUEUP_URL to where it runs.")
        if isinstance(error, httpx2.TimeoutException):
            return Failed(f"The server at {self._where.url} did not answer within {ANSWER_SECONDS:g} s; look at its log.")
        return Failed(f"The connection to {self._where.url} broke ({type(error).__name__}); see whether the server still runs and try again.")

    def _refusal(self, response: httpx2.Response, token: str | None) -> str:
        """One sentence of a problem+json body, and what to do about it where it does not say."""
        if response.status_code == 401:
            if token is None:
                return f"The server wants a token: set TRUEUP_HOME to its home ({self._where.home} holds no keys), or TRUEUP_TOKEN to a token of its."
            return "The server does not accept this token: it expired, was revoked, or is of another home; make a new one with `trueup token`."
        try:
            problem = response.json()
        except json.JSONDecodeError:
            problem = {}
        said = problem.get("detail") or problem.get("title") if isinstance(problem, dict) else None
        if response.status_code == 403 and not said:
            said = "This token may not do that; use one with the role operator."
        return line(said) if said else f"The server answered {response.status_code} to {response.request.method} {response.request.url.path}; look at its log."
