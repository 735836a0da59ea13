"""Text to terms: stemmed words, and identifiers kept whole beside their parts."""

from __future__ import annotations

import re
from collections.abc import Iterator

from py_rust_stemmers import SnowballStemmer

TERMS_VERSION = "1"

# One run of letters, digits and the marks that join identifiers: foo_bar, foo.bar, CVE-2024-1234, a/b.c, x::y.
_RUN = re.compile(r"[^\W_]+(?:(?:[_.\-/@+#]|::?|->)[^\W_]+|_+[^\W_]*)*")
_PART = re.compile(r"[^\W_]+")
_HUMP = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
_WIDE = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]+")
_LONGEST = 64  # characters of a term; longer runs are data, and only their parts up to this length count
_MOST_STEMS = 100_000

_WORDS = """
    a about above after again all also am an and any are as at be because been before being below between both but by can cannot could did do does
    doing done down during each either else ever every few for from further get gets give given go goes got had has have having he her here hers him
    his how i if in into is it its itself just let like may me might more most much must my no nor not now of off on once one only onto or other our
    out over own per please same shall she should show so some such tell than that the their them then there these they this those through to too
    under until up upon us use used uses using very via want was way we were what when where whether which while who whom whose why will with within
    without would yes yet you your s t d ll m re ve don doesn didn isn aren wasn won shouldn couldn wouldn hasn haven hadn
"""
STOP = frozenset(_WORDS.split())
"""Words of no weight. Question words are among them: a question is asked with them and answered without."""


class Terms:
    """Makes terms of text; keeps the stems it has seen, up to a bound."""

    def __init__(self) -> None:
        self._stemmer = SnowballStemmer("english")
        self._stems: dict[str, str] = {}

    def of(self, text: str) -> Iterator[str]:
        """The terms of `text` in order, repeats and all.

        An identifier gives itself, whole and lower-cased, and each of its parts; a word gives its stem; text in scripts without
        blanks gives pairs of characters. A whole identifier never equals a stem, because its mark of joining is in it.
        """
        for run in _RUN.findall(text):
            if run.isalpha() and (run.islower() or run.istitle()) and run.isascii():  # most of all text
                word = run.lower()
                if word not in STOP:
                    yield self._stem(word)
                continue
            yield from self._identifier(run)

    def _identifier(self, run: str) -> Iterator[str]:
        wide = _WIDE.findall(run)
        if wide:
            for stretch in wide:
                yield from (stretch[i : i + 2] for i in range(max(len(stretch) - 1, 1)))
            run = _WIDE.sub(" ", run)
        for word in run.split():
            parts = _PART.findall(word)
            if len(parts) > 1 and len(word) <= _LONGEST:
                yield word.lower().rstrip("_")
            for part in parts:
                humps = _HUMP.findall(part) if not part.islower() and not part.isupper() and part.isascii() and not part.istitle() else []
                if len(humps) > 1 and len(part) <= _LONGEST:
                    yield "=" + part.lower()
                for piece in humps or (part,):
                    lower = piece.lower()[:_LONGEST]
                    if lower not in STOP:
                        yield self._stem(lower)

    def _stem(self, word: str) -> str:
        stem = self._stems.get(word)
        if stem is None:
            stem = self._stemmer.stem_word(word) if word.isalpha() else word
            if len(self._stems) < _MOST_STEMS:
                self._stems[word] = stem
        return stem
