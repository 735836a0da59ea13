"""Sparse vectors: words find their text, and what is indexed moves no weight."""

from __future__ import annotations

import time

import pytest

from trueup.ingest.sparse import SparseEncoder
from trueup.ingest.terms import TERMS_VERSION, Terms
from trueup.ingest.weights import WEIGHTS_VERSION, frozen
from trueup.model.text import Sparse


def _score(query: Sparse, document: Sparse) -> float:
    held = dict(zip(document.indices, document.values, strict=True))
    return sum(weight * held.get(term, 0.0) for term, weight in zip(query.indices, query.values, strict=True))


@pytest.fixture(scope="module")
def encoder() -> SparseEncoder:
    return SparseEncoder(frozen())


TERMS = [
    ("foo_bar", {"foo_bar", "foo", "bar"}),
    ("foo.bar()", {"foo.bar", "foo", "bar"}),
    ("CVE-2024-1234,", {"cve-2024-1234", "cve", "2024", "1234"}),
    ("getUserName", {"=getusername", "user", "name"}),
    ("HTTPServer", {"=httpserver", "http", "server"}),
    ("src/main.py:12", {"src/main.py:12", "src", "main", "py", "12"}),
    ("std::vector", {"std::vector", "std", "vector"}),
    ("Running runs run", {"run"}),
    ("How do I use the", set()),
    ("don't", set()),
    ("日本語", {"日本", "本語"}),
    ("größe", {"größe"}),
    ("__init__", {"init"}),
]


@pytest.mark.parametrize(("text", "expected"), TERMS, ids=[t for t, _ in TERMS])
def test_terms(text: str, expected: set[str]) -> None:
    """Identifiers count whole and in parts, words by their stem, words of asking not at all."""
    assert set(Terms().of(text)) == expected


def test_vectors_are_what_an_index_takes(encoder: SparseEncoder) -> None:
    """Ids ascend without repeats within 32 bits, and weights are positive."""
    made = encoder.document("The quick foo_bar jumps over the lazy foo.bar, and foo_bar again; 日本語 too.")
    assert list(made.indices) == sorted(set(made.indices))
    assert all(0 <= i < 2**32 for i in made.indices)
    assert all(v > 0 for v in made.values)
    assert len(made.indices) == len(made.values)


def test_rare_identifier_wins(encoder: SparseEncoder) -> None:
    """A text with the identifier that was asked for is before one with all the other words of the question."""
    query = encoder.query("how is the function parse_rfc3339 used to return a value")
    assert _score(query, encoder.document("parse_rfc3339 fails.")) > _score(query, encoder.document("The function is used to return a value. " * 5))


def test_a_document_has_the_same_vector_whatever_else_is_encoded(encoder: SparseEncoder) -> None:
    """No statistic is live: encoding other text before, much of it, changes neither documents nor queries."""
    text, query = "The lease of a zebra_9 runs out.", "zebra_9 lease"
    fresh = SparseEncoder(frozen())
    for n in range(2000):
        fresh.document(f"zebra_9 lease number {n} " * 3)
    assert (fresh.document(text), fresh.query(query)) == (encoder.document(text), encoder.query(query))


def test_long_text_is_worth_less_a_word(encoder: SparseEncoder) -> None:
    """Length is held against a text, by a constant average."""
    query = encoder.query("zebra")
    assert _score(query, encoder.document("zebra here")) > _score(query, encoder.document("zebra here " + "other words stand about " * 60))


def test_nothing_to_encode(encoder: SparseEncoder) -> None:
    """A text of stop words has an empty vector, which matches nothing."""
    assert encoder.query("how do I use it?") == encoder.document("") == Sparse((), ())


def test_packing(encoder: SparseEncoder) -> None:
    """What the cache keeps is what comes back, to the precision of float32."""
    made = encoder.document("some foo_bar text")
    back = Sparse.unpack(made.pack())
    assert back.indices == made.indices
    assert back.values == pytest.approx(made.values)


def test_table_is_the_versions_own() -> None:
    """The table that is shipped was made by these terms; common words weigh less than rare ones."""
    table = frozen()
    assert table.version == f"{WEIGHTS_VERSION}.{TERMS_VERSION}"
    assert 2000 < len(table.table) <= 5000
    assert table.of("return") < table.of("semaphor") < table.of("never-seen") == table.rest == max(table.rest, *table.table.values())


def test_encoding_is_quick(encoder: SparseEncoder) -> None:
    """Thousands of chunks a second: far below what embedding costs."""
    text = "Only a successful read of the source renews it, and foo_bar.baz says when; see CVE-2024-1234 for the rest. " * 6
    start = time.process_time()
    for _ in range(100):
        encoder.document(text)
    assert (time.process_time() - start) / 100 < 0.002
