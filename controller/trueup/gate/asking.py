"""`verifyOnRead`: the source itself is asked, at the moment of delivery, whether it still has what is about to go out."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future, wait

from trueup.errors import TrueupError
from trueup.gate.deps import Gate
from trueup.gate.policies import ASK_AT_MOST
from trueup.gate.verify import Asked, Place, Vouched
from trueup.model.listing import Presence
from trueup.ports import Controller


def must_ask(vouched: Vouched) -> bool:
    """Whether the source wants to be asked before this is delivered."""
    after = vouched.declared.ask_after
    return after is not None and not vouched.stale and (vouched.lease.age is None or vouched.lease.age >= after)


class Asking:
    """The questions of one request, all within one deadline. No answer in time counts as none."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._ends = gate.clock.monotonic() + ASK_AT_MOST
        self.answers: dict[Place, Asked] = {}

    def ask(self, vouched: Iterable[Vouched]) -> bool:
        """Ask about those that need it and were not asked yet; whether there were any."""
        due = {found.place: (found.declared.ask_within, found.standing.key) for found in vouched if must_ask(found) and found.place not in self.answers}
        if not due:
            return False
        began = self._gate.clock.now()
        for place, presence in self._presences({place: within for place, (within, _) in due.items()}).items():
            self.answers[place] = Asked(presence, began)
            if presence in {Presence.CHANGED, Presence.ABSENT} and self._gate.controller is not None:
                namespace, _, name = due[place][1].partition("/")
                self._gate.controller.hint(namespace, name)
        return True

    def _presences(self, due: dict[Place, float]) -> dict[Place, Presence | None]:
        controller, left = self._gate.controller, self._ends - self._gate.clock.monotonic()
        if controller is None or left <= 0:
            return dict.fromkeys(due)
        futures = {place: self._gate.askers.submit(_check, controller, place, min(within, left)) for place, within in due.items()}
        wait(futures.values(), timeout=left)
        return {place: _answer(future) for place, future in futures.items()}


def _check(controller: Controller, place: Place, deadline: float) -> Presence | None:
    try:
        return controller.check(place.source, place.uri, place.version, deadline)
    except TrueupError:
        return None


def _answer(future: Future[Presence | None]) -> Presence | None:
    if future.cancel() or not future.done():
        return None
    return future.result()
