"""What a query found, on its way to becoming an answer."""

from __future__ import annotations

from dataclasses import dataclass

from trueup.decide.delivery import Why
from trueup.decide.pack import Packed
from trueup.gate.reach import Reach
from trueup.gate.verify import Verified


@dataclass(frozen=True, slots=True)
class Finding:
    """What a query found, before it is recorded: everything an answer is made of."""

    reach: Reach
    verified: Verified
    packed: Packed
    scores: dict[str, float]
    withheld: dict[Why, int]
    degraded: dict[int, str]
