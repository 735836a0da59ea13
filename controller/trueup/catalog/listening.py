"""PostgreSQL's LISTEN: one thread with a connection of its own, which comes back when the connection is lost."""

from __future__ import annotations

import threading
from collections.abc import Callable

import psycopg
import structlog

from trueup.catalog.announcing import ANYTHING, Announcements

log = structlog.get_logger(__name__)

CHANNEL = "trueup"
"""The name of the channel. A notification reaches those who are connected to the same database."""

_NAP = 0.25
"""Seconds after which the thread looks whether it is to end."""
_PAUSE = 1.0
"""Seconds between attempts to connect again."""


class Listener:
    """Passes every notification on. After each time it was deaf it says `ANYTHING` once."""

    def __init__(self, connect: Callable[[], psycopg.Connection], announcements: Announcements) -> None:
        self._connect = connect
        self._announcements = announcements
        self._closed = threading.Event()
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._run, name="catalog-listener", daemon=True)
        self._thread.start()
        self._listening.wait(timeout=5.0)

    def close(self) -> None:
        """Stop; nobody is told of anything after it returns."""
        self._closed.set()
        self._thread.join()

    def _run(self) -> None:
        deaf = False
        while not self._closed.is_set():
            try:
                with self._connect() as connection:
                    connection.execute(f"LISTEN {CHANNEL}")
                    self._listening.set()
                    if deaf:
                        self._announcements.tell((ANYTHING,))
                    self._listen(connection)
            except psycopg.Error as error:
                log.warning("listening.lost", error=type(error).__name__)
                deaf = True
                self._closed.wait(_PAUSE)

    def _listen(self, connection: psycopg.Connection) -> None:
        while not self._closed.is_set():
            for notification in connection.notifies(timeout=_NAP):
                self._announcements.tell((notification.payload,))
