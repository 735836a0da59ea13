"""Retractions as server-sent events."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator

import anyio
import anyio.to_thread
from fastapi.responses import StreamingResponse

from trueup.catalog.history import Cursor
from trueup.errors import Unauthenticated
from trueup.gate import retracting
from trueup.gate.deps import Gate
from trueup.model.principal import Caller

EVENT_STREAM = "text/event-stream"
_POLL = 0.25
"""Seconds between looks at the catalog: one statement that reads a counter while nothing happens."""
_BEAT = 15.0
"""Seconds of silence after which a comment is sent, so that proxies keep the connection."""


def events(gate: Gate, caller: Caller, after: Cursor, closing: threading.Event) -> StreamingResponse:
    """Every retraction after `after`, for as long as the caller's token is good."""
    return StreamingResponse(_events(gate, caller, after, closing), media_type=EVENT_STREAM)


async def _events(gate: Gate, caller: Caller, after: Cursor, closing: threading.Event) -> AsyncIterator[str]:
    yield ": retractions\n\n"
    quiet, seen = 0.0, -1
    while not closing.is_set():
        try:
            page = await anyio.to_thread.run_sync(retracting.since, gate, caller, after, seen)
        except Unauthenticated:
            return
        seen, after = page.seen, page.next
        for one in page.items:
            yield f"id: {one.cursor}\nevent: retraction\ndata: {json.dumps(retracting.shown(one))}\n\n"
        quiet = 0.0 if page.items else quiet + _POLL
        if quiet >= _BEAT:
            quiet = 0.0
            yield ": still here\n\n"
        if not page.full:
            await anyio.sleep(_POLL)
