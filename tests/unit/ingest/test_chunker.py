"""Chunks keep their digests under small edits and moves: that is what an edit costs."""

from __future__ import annotations

import itertools
import random
import statistics
import time

import pytest

from trueup.ingest import chunker
from trueup.ingest.prepare import prepare
from trueup.model.text import IngestSettings

PLAIN = IngestSettings()


def _words(rng: random.Random, count: int) -> str:
    return " ".join("".join(rng.choices("abcdefghijklmnop", k=rng.randint(2, 9))) for _ in range(count))


def _prose(rng: random.Random, paragraphs: int) -> str:
    return "\n\n".join(". ".join(_words(rng, rng.randint(4, 18)).capitalize() for _ in range(rng.randint(1, 9))) + "." for _ in range(paragraphs))


def _code(rng: random.Random, functions: int) -> str:
    return "\n\n\n".join(
        f"def {_words(rng, 1)}():\n" + "\n".join("    " + _words(rng, rng.randint(1, 7)) for _ in range(rng.randint(2, 30))) for _ in range(functions)
    )


def _log(rng: random.Random, lines: int) -> str:
    return "\n".join(f"2026-11-21T14:{n // 60:02}:{n % 60:02} {_words(rng, rng.randint(3, 12))}" for n in range(lines))


TEXTS = {"prose": (_prose, 60, "a.md"), "code": (_code, 40, "a.py"), "log": (_log, 300, "a.log"), "one line": (_words, 5000, "a.txt")}


def _digests(text: str, uri: str) -> list[str]:
    return [c.digest for c in prepare(text.encode(), uri, PLAIN).chunks]


def _edit(rng: random.Random, text: str) -> str:
    at = rng.randrange(len(text))
    match rng.randrange(3):
        case 0:
            return text[:at] + _words(rng, rng.randint(1, 12)) + text[at:]
        case 1:
            return text[:at] + text[at + rng.randint(1, 60) :]
        case _:
            return text[:at] + "x" + text[at + 1 :]


def _cost(kind: str) -> float:
    make, size, uri = TEXTS[kind]
    rng = random.Random(7)
    fresh = []
    for _ in range(40):
        text = make(rng, size)
        before = set(_digests(text, uri))
        fresh.append(len(set(_digests(_edit(rng, text), uri)) - before))
    return statistics.mean(fresh)


@pytest.mark.parametrize("kind", TEXTS)
def test_small_edit_embeds_few_chunks_again(kind: str) -> None:
    """A small edit anywhere changes at most three digests on average, of documents with 25 to 50 chunks."""
    assert _cost(kind) <= 3


def test_stability_comes_from_the_content(monkeypatch: pytest.MonkeyPatch) -> None:
    """With cuts at fixed sizes the same edits cost many chunks: the test above can fail."""
    monkeypatch.setattr(chunker, "_cut", lambda _text, _low, high: high)
    assert _cost("prose") > 6


def test_move_keeps_every_digest() -> None:
    """A digest knows text and headings, not places: another name, and text before it, change nothing."""
    body = "## Part\n\n" + _prose(random.Random(1), 8)
    here = _digests("# Top\n\nA.\n\n" + body, "a.md")
    there = _digests("# Top\n\nA longer first section.\n\n" + body, "b/c.md")
    assert here[1:] == there[1:]


def test_digest_covers_heading_and_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same words under another heading, or cut by another chunker, are another chunk."""
    here = chunker.digest("text", ("A", "B"))
    assert len({here, chunker.digest("text", ("A",)), chunker.digest("text", ("AB",))}) == 3
    monkeypatch.setattr(chunker, "CHUNKER_VERSION", "next")
    assert chunker.digest("text", ("A", "B")) != here


def test_sizes_follow_the_setting() -> None:
    """256 tokens are 200 to 900 characters, with a mean near 600."""
    lengths = [len(c.text) for c in prepare(_prose(random.Random(3), 200).encode(), "a.md", PLAIN).chunks]
    assert max(lengths) <= 900
    assert 450 <= statistics.mean(lengths) <= 700


def test_overlap_repeats_the_end_of_the_one_before() -> None:
    """With an overlap each chunk begins inside the one before it, with a whole word, within the same bounds."""
    text = _words(random.Random(5), 2000)
    chunks = prepare(text.encode(), "a.txt", IngestSettings(overlap=32)).chunks
    for before, after in itertools.pairwise(chunks):
        assert before.span.bytes is not None
        assert after.span.bytes is not None
        shared = before.span.bytes[1] - after.span.bytes[0]
        assert 0 < shared <= 112
        assert text[after.span.bytes[0] - 1] == " "
    assert max(len(c.text) for c in chunks) <= 900


HOSTILE = [
    b"# a\n",
    b"a\n",
    b"\n",
    b" ",
    b"a b ",
    b"---\n",
    b"```\n",
    b"A\n===\n",
    b"a",
    b"://a:",
    b"password: ",
    b"-----BEGIN PRIVATE KEY-----.",
    b"eyJabc.",
    b"aws ",
    b"ghp_",
    b"[",
    b"\xff",
]


@pytest.mark.parametrize("unit", HOSTILE)
@pytest.mark.parametrize("uri", ["a.md", "a.rst"])
def test_time_is_linear(unit: bytes, uri: str) -> None:
    """Four times the text takes about four times as long, whatever it is made of: 16 MiB of anything ends."""

    def spent(size: int) -> float:
        data = unit * (size // len(unit))
        best = float("inf")
        for _ in range(2):
            start = time.process_time()
            prepare(data, uri, PLAIN)
            best = min(best, time.process_time() - start)
        return best

    assert spent(160_000) < 12 * spent(40_000) + 0.02
