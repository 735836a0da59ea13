"""The server loop: one line when it answers, SIGTERM drains, and event streams do not hold it up."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable
from types import FrameType

import uvicorn
from fastapi import FastAPI

DRAIN = 10
"""Seconds that requests in flight get after SIGTERM. Without a bound an open event stream would keep the process for ever."""

TURN = 0.0005
"""Seconds for which a busy thread keeps the interpreter while others wait for it. A request goes from thread to thread
five times, and with Python's own 5 ms it waited so long each time: at 40 requests/s and a busy machine p95 fell from 100
to 45 ms."""


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ready: Callable[[], None], closing: threading.Event) -> None:
        super().__init__(config)
        self._ready = ready
        self._closing = closing

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn does it, and then tell that it answers."""
        await super().startup(sockets=sockets)
        if self.started:
            self._ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End event streams first: uvicorn waits for every open response."""
        self._closing.set()
        super().handle_exit(sig, frame)
        # uvicorn would raise it again once it has drained, which ends the process before checkpoints are signed and the catalog is closed.
        self._captured_signals.clear()


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one.

    Raises:
        OSError: the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named, because asyncio sets TCP_NODELAY only where it is: else each answer's body waits 40 ms for the acknowledgement of its headers.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    listener.listen(1024)
    return listener


def run(app: FastAPI, listener: socket.socket, ready: Callable[[], None], closing: threading.Event) -> None:
    """Serve until SIGTERM or SIGINT, then drain."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=DRAIN,
        timeout_keep_alive=30,
        h11_max_incomplete_event_size=32 * 1024,
        limit_concurrency=None,
    )
    before = sys.getswitchinterval()
    sys.setswitchinterval(TURN)
    try:
        _Server(config, ready, closing).run(sockets=[listener])
    finally:
        sys.setswitchinterval(before)
