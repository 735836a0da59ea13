"""Who may come in, and with how much: before any routing, any parsing and any work.

In this order: a place among the requests in flight, a valid token, a place among the caller's own, a body that fits.
Each ends in the same problem whatever was asked for, so that nothing can be learned from it.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import anyio
import anyio.to_thread
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trueup.errors import Denied, RequestError, TooMany, TooMuch, TrueupError, Unauthenticated
from trueup.gate.deps import Gate
from trueup.gate.refusals import ANONYMOUS, Refusals
from trueup.gate.verify import admitted
from trueup.model.principal import Caller
from trueup.surfaces.http.limits import Flights, Limits
from trueup.surfaces.http.problems import TooSlow, problem

_OPEN = re.compile(r"/livez|/readyz|/openapi\.json|/\.well-known/.*")
_HOOK = re.compile(r"/v1/hooks/[^/]+/[^/]+")
"""Hooks carry a signature of their own instead of a token, and are always answered alike."""


class Admission:
    """The outermost ASGI application."""

    def __init__(self, app: ASGIApp, gate: Gate, limits: Limits, refusals: Refusals, seen: Callable[[str], None]) -> None:
        self._app, self._gate, self._limits, self._refusals, self._seen = app, gate, limits, refusals, seen
        self._flights = Flights(limits)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Admit or refuse one request; the lifespan passes."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._request(scope, receive, _sealed(send))
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        principal = ANONYMOUS
        try:
            async with contextlib.AsyncExitStack() as stack:
                self._flights.begin()
                stack.callback(self._flights.end)
                if not _is_open(scope):
                    caller = await anyio.to_thread.run_sync(self._caller, _bearer(scope))
                    principal = caller.key
                    scope.setdefault("state", {})["caller"] = caller
                    self._flights.begin_of(principal)
                    stack.callback(self._flights.end_of, principal)
                body = await self._body(scope, receive)
                await self._app(scope, _replay(body, receive), send)
        except (Unauthenticated, TooMany) as error:
            self._seen(error.reason)
            self._refusals.count(error.reason, principal, self._gate.clock.now())
            await problem(error)(scope, receive, send)
        except RequestError as error:
            self._seen(error.reason)
            await problem(error)(scope, receive, send)
        except TrueupError as error:
            # Whatever else fails on the way in (the catalog, the cluster's API server) is a denial, and says no more.
            self._seen(error.reason)
            await problem(Denied())(scope, receive, send)

    def _caller(self, token: str) -> Caller:
        """The caller, whose token nobody revoked.

        Raises:
            Unauthenticated: there is none.
            CatalogError: whether it was revoked cannot be known, so it counts as no.
        """
        caller = self._gate.identity.verify(token)
        with self._gate.store.read() as read:
            moment = admitted(read, caller)
            reviewed = self._gate.atlas.at(read, moment.sequence).reviewed if self._gate.reviews is not None else frozenset()
        if self._gate.reviews is None or not reviewed:
            return caller
        # Outside the snapshot: the cluster is asked over the network. A source that names RBAC since then is not granted yet.
        return replace(caller, rbac_sources=self._gate.reviews(caller, reviewed))

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        """The whole body, counted as it comes: what a header says of its length is only believed if it is too much."""
        limit = self._limits.body
        said = Headers(scope=scope).get("content-length", "0")
        if said.isascii() and said.isdigit() and int(said[:20]) > limit:
            raise TooMuch(limit=limit)
        parts: list[bytes] = []
        try:
            with anyio.fail_after(self._limits.body_seconds):
                async for part in _parts(receive):
                    parts.append(part)
                    if sum(map(len, parts)) > limit:
                        raise TooMuch(limit=limit)
        except TimeoutError:
            raise TooSlow(seconds=self._limits.body_seconds) from None
        return b"".join(parts)


def _is_open(scope: Scope) -> bool:
    path, method = scope["path"], scope["method"]
    return (method in {"GET", "HEAD"} and _OPEN.fullmatch(path) is not None) or (method == "POST" and _HOOK.fullmatch(path) is not None)


def _bearer(scope: Scope) -> str:
    """The token of the one Authorization header.

    Raises:
        Unauthenticated: there is none, or more than one.
    """
    values = Headers(scope=scope).getlist("authorization")
    scheme, _, token = values[0].partition(" ") if len(values) == 1 else ("", "", "")
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated
    return token.strip()


async def _parts(receive: Receive) -> AsyncIterator[bytes]:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise TooSlow("The connection closed before the body was whole.")
        part = message.get("body", b"")
        if part:
            yield part
        if not message.get("more_body", False):
            return


def _replay(body: bytes, receive: Receive) -> Receive:
    """What the application receives: the body, then whatever the connection says next (that it closed)."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _sealed(send: Send) -> Send:
    """Headers that every response has: nothing may keep it, guess its type, or show it in a frame."""

    async def sealed(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = {name.lower() for name, _ in message.get("headers", [])}
            extra = [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]
            message = {**message, "headers": [*message.get("headers", []), *(pair for pair in extra if pair[0] not in own)]}
        await send(message)

    return sealed
