"""BM25 as sparse vectors, with weights that never look at what is indexed.

A document's vector holds the saturated count of each term, a query's the term's weight from a frozen table; their dot product
is BM25. The usual table of document frequencies would be a live statistic over everyone's text: what others may not read would move
their scores. So the table is made once from public text (`weights`), and the average length is a constant.

Okapi BM25 as in Robertson and Zaragoza, The Probabilistic Relevance Framework (2009), with k1 = 1.2 and b = 0.75.
"""

from __future__ import annotations

from collections import Counter

import mmh3

from trueup.ingest.terms import TERMS_VERSION, Terms
from trueup.ingest.weights import Weights
from trueup.model.text import Sparse

_K1 = 1.2
_B = 0.75
_AVERAGE_LENGTH = 60.0
"""Terms of a chunk of 700 characters, stop words out and identifiers' parts in. Anything from 60 to 256 ranks within .03 of it."""


class SparseEncoder:
    """Makes the sparse vectors of one frozen table. Safe for threads: what it remembers is only ever added to."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        self._terms = Terms()
        self._ids: dict[str, int] = {}
        self.version = f"bm25-{TERMS_VERSION}-{weights.version}"

    def document(self, text: str) -> Sparse:
        """The vector of a chunk: saturated counts, ids ascending."""
        counts = Counter(self._terms.of(text))
        floor = _K1 * (1 - _B + _B * counts.total() / _AVERAGE_LENGTH)
        return self._sparse({term: count * (_K1 + 1) / (count + floor) for term, count in counts.items()})

    def query(self, text: str) -> Sparse:
        """The vector of a query: each term's frozen weight; a term asked twice counts once and a half."""
        counts = Counter(self._terms.of(text))
        return self._sparse({term: self._weights.of(term) * (1.0 if count == 1 else 1.5) for term, count in counts.items()})

    def _sparse(self, values: dict[str, float]) -> Sparse:
        merged: dict[int, float] = {}
        for term, value in values.items():
            number = self._id(term)
            merged[number] = max(merged.get(number, 0.0), value)
        indices = sorted(merged)
        return Sparse(tuple(indices), tuple([round(merged[i], 4) for i in indices]))

    def _id(self, term: str) -> int:
        found = self._ids.get(term)
        if found is None:
            found = mmh3.hash(term, signed=False)
            if len(self._ids) < 100_000:
                self._ids[term] = found
        return found
