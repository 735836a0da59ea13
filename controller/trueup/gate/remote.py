"""The controller as a gate sees it that runs apart from it: through the catalog, which is all the two share."""

from __future__ import annotations

import threading
from typing import NoReturn

from trueup.catalog import asking
from trueup.catalog.announcing import ANYTHING, answered, hinted
from trueup.catalog.asking import Answer
from trueup.catalog.store import URGENT, Store
from trueup.errors import Forbidden
from trueup.model.listing import Presence

LOOK = 0.2
"""Seconds after which the catalog is looked at though no word of an answer came: words may be lost."""


class RemoteController:
    """Implements `ports.Controller`. Declaring is not the gate's in a cluster: the API server has the resources."""

    def __init__(self, store: Store) -> None:
        """The gate needs no credentials of any source: the controller asks on its behalf."""
        self._store = store
        self._lock = threading.Lock()
        self._waiting: dict[str, list[threading.Event]] = {}
        self._unsubscribe = store.subscribe(self._told)

    def close(self) -> None:
        """Be told of no further answers."""
        self._unsubscribe()

    def check(self, source: int, uri: str, version: str, deadline: float) -> Presence | None:
        """Have the controller ask the source of catalog id `source`; None if there is no answer within `deadline` seconds.

        Raises:
            CatalogError: the question could not be put.
        """
        ends = self._store.clock.monotonic() + deadline
        question = self._store.write(lambda tx: asking.ask(tx, source, uri, version), URGENT)
        topic, told = answered(question), threading.Event()
        with self._lock:
            self._waiting.setdefault(topic, []).append(told)
        try:
            while True:
                found = self._answer(question)
                left = ends - self._store.clock.monotonic()
                if found is not None or left <= 0:
                    return None if found is None else found.presence
                told.wait(min(left, LOOK))
                told.clear()
        finally:
            self._forget(topic, told)

    def hint(self, namespace: str, name: str) -> None:
        """Make a source due now. Should the word be lost, the source's next look comes all the same."""
        self._store.write(lambda tx: tx.announce(hinted(namespace, name)), URGENT)

    def accept(self, kind: str, namespace: str, name: str, manifest: dict[str, object], principal: str) -> NoReturn:  # noqa: ARG002 - the port's
        """Refused.

        Raises:
            Forbidden: always.
        """
        raise Forbidden(f"Resources of this installation are the cluster's: use kubectl apply for the {kind}.")

    def withdraw(self, kind: str, namespace: str, name: str, principal: str) -> NoReturn:  # noqa: ARG002 - the port's
        """Refused.

        Raises:
            Forbidden: always.
        """
        raise Forbidden(f"Resources of this installation are the cluster's: use kubectl delete for the {kind}.")

    def _answer(self, question: int) -> Answer | None:
        with self._store.read() as read:
            return asking.answer_to(read, question)

    def _told(self, topic: str) -> None:
        with self._lock:
            events = [event for one in self._waiting.values() for event in one] if topic == ANYTHING else list(self._waiting.get(topic, ()))
        for event in events:
            event.set()

    def _forget(self, topic: str, told: threading.Event) -> None:
        with self._lock:
            self._waiting[topic].remove(told)
            if not self._waiting[topic]:
                del self._waiting[topic]
