"""Word of what was committed, for whoever waits for it: topics, never content, and no proof of anything.

A topic may come late, twice, or not at all; it only saves the wait until the next look. On PostgreSQL every process
hears of it (LISTEN/NOTIFY), on SQLite this one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

import structlog

log = structlog.get_logger(__name__)

ANYTHING = ""
"""Given after word may have been lost: anything may have happened."""
OUTBOX = "outbox"
"""Points are to be driven to another state."""
WANTED = "wanted"
"""Documents are to be loaded."""
SOURCES = "sources"
"""A source was declared, changed or withdrawn."""
TOMBSTONES = "tombstones"
"""Something died, and may have been delivered before."""
REVOCATIONS = "revocations"
"""A token or a user's tokens were revoked."""
ASKED = "asked"
"""A source is to be asked about a document."""


def answered(question: int) -> str:
    """The topic of the answer to the question of that id."""
    return f"answered:{question}"


_HINT = "hint:"


def hinted(namespace: str, name: str) -> str:
    """The topic by which a gate tells the controller that a source is due."""
    return f"{_HINT}{namespace}/{name}"


def hint_in(topic: str) -> tuple[str, str] | None:
    """The namespace and name of the source that `topic` says is due, if it says that."""
    if not topic.startswith(_HINT):
        return None
    namespace, _, name = topic.removeprefix(_HINT).partition("/")
    return namespace, name


class Announcements:
    """Who is told in this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told: list[Callable[[str], None]] = []

    def subscribe(self, told: Callable[[str], None]) -> Callable[[], None]:
        """Have `told` called with each topic; returns what ends that."""
        with self._lock:
            self._told.append(told)

        def end() -> None:
            with self._lock:
                if told in self._told:
                    self._told.remove(told)

        return end

    def tell(self, topics: Iterable[str]) -> None:
        """Tell everybody. One subscriber that fails keeps the word from nobody else."""
        with self._lock:
            everybody = tuple(self._told)
        for topic in topics:
            for told in everybody:
                try:
                    told(topic)
                except Exception:
                    log.exception("announcement.failed", topic=topic)
