"""The frozen table of term weights: how rare a word is in general, whoever's text is indexed."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from importlib import resources

WEIGHTS_VERSION = "1"


@dataclass(frozen=True, slots=True)
class Weights:
    """Inverse document frequencies of common terms, and one weight for all the rest.

    Attributes:
        version: of the table; part of a generation's fingerprint.
        rest: of a term that is not in the table: it is rare.
        table: weight by term, as `terms` spells it.
    """

    version: str
    rest: float
    table: dict[str, float] = field(repr=False)

    def of(self, term: str) -> float:
        """The weight of `term`."""
        return self.table.get(term, self.rest)


def frozen() -> Weights:
    """The table that ships with this version, made by `weights_build`."""
    held = json.loads(resources.files("trueup.ingest").joinpath("weights.json").read_text("utf-8"))
    return Weights(held["version"], held["rest"], held["table"])
