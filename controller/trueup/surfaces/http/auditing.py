"""Every request of a known caller is on the audit log once, before its answer leaves.

What the gate recorded itself (an answer with its retrieval, a revocation) says so in `state.recorded`. Left out are the
pages that show an operation's state and hold no content: they are polled.
"""

from __future__ import annotations

import re

import anyio.to_thread
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trueup.catalog.store import URGENT, Write
from trueup.errors import CatalogError, Denied
from trueup.gate.deps import Gate
from trueup.model.principal import Caller
from trueup.surfaces.http.problems import problem

_POLLED = re.compile(r"/v1/(resources(/.*)?|retractions|sources|sources/[^/]+/[^/]+(/events)?)")
_LONGEST = 256
"""Characters of a path that are kept: longer ones name nothing of ours."""


class Auditing:
    """Writes the row as soon as the status is known."""

    def __init__(self, app: ASGIApp, gate: Gate) -> None:
        self._app, self._gate = app, gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, and its answer once it is recorded."""
        caller = scope.get("state", {}).get("caller") if scope["type"] == "http" else None
        if caller is None:
            await self._app(scope, receive, send)
            return

        state, refused = scope["state"], False

        async def recorded(message: Message) -> None:
            nonlocal refused
            if message["type"] == "http.response.start" and not state.get("recorded") and _counts(scope, message["status"]):
                try:
                    await anyio.to_thread.run_sync(self._record, caller, scope, message["status"], state.get("refused", ""))
                except CatalogError:
                    # What cannot be recorded does not leave; the rest of this answer goes nowhere.
                    refused = True
                    await problem(Denied())(scope, receive, send)
            if not refused:
                await send(message)

        await self._app(scope, receive, recorded)

    def _record(self, caller: Caller, scope: Scope, status: int, reason: str) -> None:
        kind, decision = ("Request", "Allowed") if status < 400 else ("Denial", "Denied")
        asked = f"{scope['method']} {scope['path'][:_LONGEST]}"

        def unit(tx: Write) -> None:
            tx.audit(kind, principal=caller.key, object=asked, decision=decision, reason=reason, data={"status": status})

        self._gate.store.write(unit, URGENT)


def _counts(scope: Scope, status: int) -> bool:
    return status >= 400 or scope["method"] != "GET" or _POLLED.fullmatch(scope["path"]) is None
