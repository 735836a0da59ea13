"""The operator's main loop: wait for the Lease, lead for a term, and wait again. And what the gate beside it may ask."""

from __future__ import annotations

import threading

import structlog

from trueup.errors import NotFound, TrueupError
from trueup.model.listing import Presence
from trueup.operator.lease import Lease
from trueup.operator.term import Setting, Term
from trueup.ports import Clock

log = structlog.get_logger(__name__)

_LOOK = 0.2
"""Seconds between checks of the Lease while leading."""
_PAUSE = 3.0
"""Seconds before another try after a term could not begin."""
SILENT = 180.0
"""Seconds after which a last pass is too old while something is due."""


GIVEN_UP = 60.0
"""Seconds without the Lease, once it was held, after which this process should be replaced."""


class NotReady(TrueupError):
    """The operator does not work: {why}."""

    reason = "NotReady"


class Host:
    """The operator in this process. Also the port `Controller` of the gate beside it."""

    def __init__(self, setting: Setting, lease: Lease, clock: Clock) -> None:
        self._setting, self._lease, self._clock = setting, lease, clock
        self._stopping = threading.Event()
        self._term: Term | None = None
        self._led = False
        self._lost: float | None = None
        """Since when the Lease is lost, by the monotonic clock."""
        self._thread = threading.Thread(target=self._run, name="operator", daemon=True)

    # --- running ------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to stand by, and to lead once the Lease is ours."""
        self._thread.start()

    def stop(self) -> None:
        """Drain, and hand the Lease to whoever waits for it."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while self._lease.acquire(self._stopping):
            log.info("operator.leads", identity=self._lease.identity)
            self._led, self._lost = True, None
            try:
                self._lead()
            except Exception:
                # Also a defect of ours: the next term begins with nothing of this one, and what is wrong is in the log.
                log.exception("operator.term_failed")
                self._stopping.wait(_PAUSE)
            finally:
                self._lost = self._clock.monotonic()
                self._lease.release()

    def _lead(self) -> None:
        term = Term(self._setting, self._lease.held)
        try:
            term.start()
            self._term = term
            while self._lease.held() and term.sound and not self._stopping.wait(_LOOK):
                pass
        finally:
            self._term = None
            term.stop()

    # --- what probes ask ----------------------------------------------------------------------------------------------

    def ready(self) -> None:
        """Pass if this process does what it should: it leads and keeps up, or it stands by and never led.

        Raises:
            NotReady: the Lease was lost, or the last pass is too old while something is due.
        """
        if self._stopping.is_set():
            raise NotReady(why="it is stopping")
        if self._led and not self.leads:
            raise NotReady(why="its Lease is lost, or its work could not begin")
        if self.waiting and self.last_pass_age > SILENT:
            raise NotReady(why=f"its last pass is {self.last_pass_age:.0f} s old, and {self.waiting} sources are due")

    def live(self) -> None:
        """Pass unless the Lease was lost a while ago and not regained: then only a new process is a clean standby.

        Raises:
            NotReady: that is so.
        """
        if self._lost is not None and self._clock.monotonic() - self._lost > GIVEN_UP:
            raise NotReady(why="its Lease was lost and not regained")

    @property
    def leads(self) -> bool:
        """Whether this process reconciles now."""
        return self._term is not None and self._lease.held()

    @property
    def last_pass_age(self) -> float:
        """Seconds since a visit last ended; 0 while this process does not lead."""
        term = self._term
        return 0.0 if term is None else self._clock.monotonic() - term.controller.visits.last_pass

    @property
    def waiting(self) -> int:
        """Sources that are due and not being looked at, and declarations not taken yet."""
        term = self._term
        return 0 if term is None else term.controller.queue.waiting + term.declarations.waiting

    @property
    def written(self) -> int:
        """Status patches sent in this term."""
        term = self._term
        return 0 if term is None else term.written

    # --- what the gate beside it asks ---------------------------------------------------------------------------------

    def accept(self, kind: str, namespace: str, name: str, manifest: dict[str, object], principal: str) -> dict[str, object]:  # noqa: ARG002 - the port's
        """Resources are kubectl's here.

        Raises:
            NotFound: always.
        """
        raise NotFound

    def withdraw(self, kind: str, namespace: str, name: str, principal: str) -> None:  # noqa: ARG002 - the port's
        """Resources are kubectl's here.

        Raises:
            NotFound: always.
        """
        raise NotFound

    def hint(self, namespace: str, name: str) -> None:
        """Make a source due now, while this process leads."""
        term = self._term
        if term is not None:
            term.controller.hint(namespace, name)

    def check(self, source: int, uri: str, version: str, deadline: float) -> Presence | None:
        """Ask a source; None while this process does not lead, which counts as no answer."""
        term = self._term
        return None if term is None else term.controller.check(source, uri, version, deadline)
