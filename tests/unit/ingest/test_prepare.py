"""One document to chunks: what is read, what is refused, and that every chunk says where it lies."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trueup.ingest.kinds import supported
from trueup.ingest.prepare import prepare
from trueup.model.text import IngestSettings, Refusal, Verdict
from trueup.model.times import parse_rfc3339

PLAIN = IngestSettings()
NAMES = st.sampled_from(["a.md", "a.txt", "a.rst", "a.py", "README", "a.csv"])
# Shapes that structure is read from, so that Hypothesis meets fences, underlines, front matter and odd bytes often.
BYTES = st.one_of(
    st.binary(max_size=3000),
    st.lists(
        st.sampled_from(
            [
                b"# A\n",
                b"## B\r\n",
                b"```\n",
                b"---\n",
                b"===\n",
                b"\n\n",
                b"word ",
                b"Ein Satz. ",
                "größe 日本 ".encode(),
                b"\xff",
                b"\xe2\x82",
                b"expires: x\n",
                b"a" * 300,
                b"\t",
                b"x\n",
                b"\xef\xbb\xbf",
            ]
        ),
        max_size=60,
    ).map(b"".join),
)


@given(BYTES, NAMES, st.sampled_from([16, 64, 256]), st.sampled_from([0, 8]))
@settings(max_examples=400, deadline=None)
def test_span_gives_back_the_text(data: bytes, uri: str, tokens: int, overlap: int) -> None:
    """The bytes of a chunk's span are its text, its lines are right, and nothing that is refused has chunks. Nothing raises."""
    made = prepare(data, uri, IngestSettings(max_tokens=tokens, overlap=overlap))
    assert made == prepare(data, uri, IngestSettings(max_tokens=tokens, overlap=overlap))
    if made.refusal is not None:
        assert not made.chunks
        assert made.message
    for ordinal, chunk in enumerate(made.chunks):
        assert chunk.ordinal == ordinal
        assert chunk.text.strip()
        assert len(chunk.text) <= max(tokens * 900 // 256, 64)
        if chunk.span.bytes is not None:
            start, end = chunk.span.bytes
            assert data[start:end].decode("utf-8", "replace") == chunk.text
            assert chunk.span.lines == (data[:start].count(b"\n") + 1, data[:end].count(b"\n") + 1)


@given(st.lists(st.sampled_from(["# A", "## B", "words of a line", "", "Title", "=====", "```"]), max_size=60).map("\n".join))
@settings(max_examples=300, deadline=None)
def test_nothing_is_lost(text: str) -> None:
    """Every character that is not blank lies in exactly one chunk."""
    chunks = prepare(text.encode(), "a.md", IngestSettings(max_tokens=20)).chunks
    assert "".join("".join(c.text.split()) for c in chunks) == "".join(text.split())


def test_headings_are_the_path() -> None:
    """A chunk carries the headings above it, outermost first, and fences hide what looks like one."""
    text = b"# Guide\n\nIntro.\n\n## Install\n\nRun it.\n\n```sh\n# no heading\n```\n\nUse\n---\n\nSo.\n"
    chunks = prepare(text, "a.md", PLAIN).chunks
    assert [c.heading for c in chunks] == [("Guide",), ("Guide", "Install"), ("Guide", "Use")]
    assert "# no heading" in chunks[1].text


def test_restructured_text_headings() -> None:
    """Adornments give levels in the order in which they appear."""
    text = b"=====\nTitle\n=====\n\nA.\n\nPart\n----\n\nB.\n\nSub\n~~~\n\nC.\n"
    assert [c.heading for c in prepare(text, "a.rst", PLAIN).chunks] == [("Title",), ("Title", "Part"), ("Title", "Part", "Sub")]


def test_heading_without_body_joins_the_next() -> None:
    """A heading with nothing below it is not a chunk of its own; its line is not lost either."""
    chunks = prepare(b"# Guide\n\n## Install\n\nRun it.\n", "a.md", PLAIN).chunks
    assert [(c.heading, c.span.lines) for c in chunks] == [(("Guide", "Install"), (1, 5))]


EXPIRES = [
    ("expires: 2027-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
    ('expires: "2027-01-01T00:00:00+02:00"', "2027-01-01T00:00:00+02:00"),
    ("expires: 2027-01-01 00:00:00Z", "2027-01-01T00:00:00Z"),
    ("title: [a, {b: c}]\nexpires: 2027-01-01T00:00:00Z\nother: |\n  x\n  y", "2027-01-01T00:00:00Z"),
    ("expires: 2028-01-01T00:00:00Z\nexpires: 2027-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
]


@pytest.mark.parametrize(("block", "expected"), EXPIRES)
def test_expiry_is_read(block: str, expected: str) -> None:
    """An RFC 3339 time in front matter is the document's end; of two the earlier, because content can only shorten."""
    made = prepare(f"---\n{block}\n---\nBody.\n".encode(), "a.md", PLAIN)
    assert made.expires_at == parse_rfc3339(expected)
    assert [c.text for c in made.chunks] == ["Body."]


BAD = [
    "expires: 2027-01-01",
    "expires: 2027-01-01T00:00:00",
    "expires: tomorrow",
    "expires:",
    "expires: [2027-01-01T00:00:00Z]",
    "expires: 2027-13-45T00:00:00Z",
    "expires: *gone",
    "expires: 2027-01-01T00:00:00Z\nbroken: [",
    "base: &b {expires: 2027-01-01T00:00:00Z}\n<<: *b",
    "{expires: x",
    "x: " + "[" * 600 + "\nexpires: 2027-01-01T00:00:00Z",
]


@pytest.mark.parametrize("block", BAD)
def test_expiry_that_cannot_be_read_refuses(block: str) -> None:
    """A document whose end cannot be known is not served."""
    made = prepare(f"---\n{block}\n---\nBody.\n".encode(), "a.md", PLAIN)
    assert (made.refusal, made.chunks) == (Refusal.BAD_EXPIRY, ())


def test_unclosed_front_matter_does_not_make_immortal() -> None:
    """An `expires` in a block whose end is missing is refused, and not read as text."""
    assert prepare(b"---\nexpires: 2020-01-01T00:00:00Z\n\nBody.\n", "a.md", PLAIN).refusal is Refusal.BAD_EXPIRY


@pytest.mark.parametrize("block", ["a: [", "just words", "- a list", "a: b: c"])
def test_block_that_is_no_mapping_is_text(block: str) -> None:
    """Without an `expires`, a block that is no front matter is part of the document."""
    made = prepare(f"---\n{block}\n---\nBody.\n".encode(), "a.md", PLAIN)
    assert made.refusal is None
    assert block.strip("- ") in "".join(c.text for c in made.chunks)


def test_conflict_key() -> None:
    """The declared front-matter key is given as it is written; a nested one or a credential is not."""
    keyed = IngestSettings(conflict_front_matter="id")

    def key(value: str) -> str | None:
        return prepare(f"---\nid: {value}\n---\nx\n".encode(), "a.md", keyed).conflict_key

    assert (key("007"), key("[1]"), key("ghp_" + "a1B2" * 9)) == ("007", None, None)
    assert prepare(b"---\nid: 1\n---\nx\n", "a.md", PLAIN).conflict_key is None


REFUSED = [
    ("a.png", b"\x89PNG\r\n", Refusal.UNSUPPORTED),
    ("a.md", b"text\0text", Refusal.UNSUPPORTED),
    ("a.md", b"%PDF-1.7 text", Refusal.UNSUPPORTED),
    ("a.txt", bytes(range(1, 32)) * 20, Refusal.UNSUPPORTED),
    ("a.unknown", b"clean text", Refusal.UNSUPPORTED),
    ("a.md", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", Refusal.UNSUPPORTED),
    ("a.html", b"<p>x", Refusal.UNSUPPORTED),
    ("a.txt", b"x" * 2001, Refusal.TOO_LARGE),
]


@pytest.mark.parametrize(("uri", "data", "refusal"), REFUSED)
def test_refusals(uri: str, data: bytes, refusal: Refusal) -> None:
    """What is no text, is of an unknown type or is too large is refused with a sentence."""
    made = prepare(data, uri, IngestSettings(max_document_bytes=2000))
    assert (made.refusal, made.chunks, bool(made.message)) == (refusal, (), True)


ENCODED = [
    (b"caf\xe9 au lait", "caf\ufffd au lait", (0, 12)),
    (b"\xef\xbb\xbfhello", "hello", (3, 8)),
    ("\ufeffh\u00e9llo".encode("utf-16-le"), "h\u00e9llo", None),
    ("\ufeffh\u00e9llo".encode("utf-16-be"), "h\u00e9llo", None),
    (b"a\xe2\x82 b", "a\ufffd b", (0, 5)),
]


@pytest.mark.parametrize(("data", "text", "span"), ENCODED)
def test_encodings(data: bytes, text: str, span: tuple[int, int] | None) -> None:
    """Invalid UTF-8 is replaced and still traced to its bytes; marks of byte order are read, not delivered."""
    (chunk,) = prepare(data, "a.txt", PLAIN).chunks
    assert (chunk.text, chunk.span.bytes, chunk.verdict) == (text, span, Verdict.CLEAN)


@pytest.mark.parametrize("data", [b"", b"\n\n  \n", b"\xef\xbb\xbf", b"---\na: b\n---\n"])
def test_empty(data: bytes) -> None:
    """A document without text has no chunks, and that is no failure."""
    made = prepare(data, "a.md", PLAIN)
    assert (made.chunks, made.refusal) == ((), None)


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("docs/a.md", True),
        ("README", True),
        ("src/x.PY", True),
        ("Dockerfile.dev", True),
        ("a.html", True),
        ("a.png", False),
        ("a.tar.gz", False),
        ("x/", False),
        ("", False),
    ],
)
def test_supported_by_name(uri: str, expected: bool) -> None:
    """The default selection goes by name alone."""
    assert supported(uri) is expected
