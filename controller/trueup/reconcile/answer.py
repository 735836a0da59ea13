"""Answers the questions of gates that run apart: the controller's side of `verifyOnRead` in a cluster, and of hints."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import structlog

from trueup.catalog import asking
from trueup.catalog.announcing import ANYTHING, ASKED, hint_in
from trueup.catalog.asking import PATIENCE, Question
from trueup.catalog.store import BULK, URGENT, Store
from trueup.errors import CatalogError, TrueupError
from trueup.model.listing import Presence

log = structlog.get_logger(__name__)

LOOK = 1.0
"""Seconds after which the catalog is looked at though no word of a question came."""
ASKERS = 16
"""Questions that are on their way to sources at a time; they wait, and cost next to nothing."""
TRIM = 60.0
"""Seconds between trims of the table."""


class Answerer:
    """One thread that takes questions, and a few that ask. Lives as long as the process is the operator."""

    def __init__(self, store: Store, check: Callable[[int, str, str, float], Presence | None], hint: Callable[[str, str], None]) -> None:
        """`check` and `hint` are the controller's."""
        self._store = store
        self._check = check
        self._hint = hint
        self._wake = threading.Event()
        self._stopped = threading.Event()
        self._pool = ThreadPoolExecutor(ASKERS, thread_name_prefix="answer")
        self._unsubscribe: Callable[[], None] | None = None
        self._trimmed = store.clock.monotonic()
        self._thread = threading.Thread(target=self._run, name="answerer", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._unsubscribe = self._store.subscribe(self._told)
        self._thread.start()

    def stop(self) -> None:
        """Take no further questions. What is on its way is not waited for: its gate counts it as no answer."""
        if self._unsubscribe is not None:
            self._unsubscribe()
        self._stopped.set()
        self._wake.set()
        self._thread.join()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _told(self, topic: str) -> None:
        hint = hint_in(topic)
        if hint is not None:
            self._hint(*hint)
        elif topic in {ASKED, ANYTHING}:
            self._wake.set()

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._wake.wait(timeout=LOOK)
            self._wake.clear()
            try:
                self._round()
            except CatalogError as error:
                log.warning("answering.failed", reason=error.reason)

    def _round(self) -> None:
        if self._stopped.is_set():
            return
        with self._store.read() as read:
            waiting = asking.pending(read, self._store.clock.now())
        if waiting:
            for question in self._store.write(lambda tx: asking.take(tx, waiting), URGENT):
                self._pool.submit(self._answer, question)
        now = self._store.clock.monotonic()
        if now - self._trimmed > TRIM:
            self._trimmed = now
            self._store.write(asking.trim, BULK)

    def _answer(self, question: Question) -> None:
        left = question.asked_at + PATIENCE - self._store.clock.now()
        presence: Presence | None = None
        try:
            if left > 0:
                presence = self._check(question.source, question.uri, question.version, min(left, PATIENCE))
        except TrueupError as error:
            log.info("answering.source_failed", source=question.source, reason=error.reason)
        except Exception:
            # A defect of a connector: its gate hears that there was no answer, and the next question is taken.
            log.exception("answering.source_failed", source=question.source)
        try:
            self._store.write(lambda tx: asking.answer(tx, question.id, presence), URGENT)
        except CatalogError as error:
            log.warning("answering.failed", reason=error.reason)
