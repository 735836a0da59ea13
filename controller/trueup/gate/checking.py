"""Verify without a query: would this caller get these chunks now?"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from trueup.decide.delivery import Why
from trueup.gate.asking import Asking
from trueup.gate.deps import Gate
from trueup.gate.verify import Verified, verify
from trueup.model.principal import Caller


def live(gate: Gate, caller: Caller, chunks: Sequence[str]) -> list[dict[str, Any]]:
    """For each chunk whether it is live: for what is forbidden, dead or never was, the same no."""
    verified = settle(gate, caller, chunks)
    return [{"chunk": chunk, "live": verified.whys[chunk] is Why.DELIVERED} for chunk in chunks]


def settle(gate: Gate, caller: Caller, chunks: Collection[str]) -> Verified:
    """The verdict on `chunks`, after their sources were asked where they want to be.

    Raises:
        Unauthenticated: the token was revoked.
        CatalogError: the catalog could not be read.
    """
    if gate.guard.jumped():
        gate.distrust()
    asking = Asking(gate)
    while True:
        verified = verify(gate, caller, chunks, lambda _: True, asking.answers)
        if not asking.ask(found for found in verified.known.values() if found.why is Why.DELIVERED):
            return verified
