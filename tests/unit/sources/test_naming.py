"""Names of documents."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from trueup.sources.naming import components, decode, encode, encode_name

UNHURRIED = settings(deadline=None)
NAMES = st.binary(max_size=24).map(lambda name: name.replace(b"\0", b"").replace(b"/", b""))


@UNHURRIED
@given(path=st.binary(max_size=64))
@example(path=b"%2F/%")
@example(path="\u202egnp.md".encode() + b"\xff\xed\xa0\x80")
def test_round_trip(path: bytes) -> None:
    """Every path has a uri, and the uri leads back to exactly that path."""
    assert decode(encode(path)) == path


@UNHURRIED
@given(path=st.binary(max_size=64))
def test_uris_are_harmless_text(path: bytes) -> None:
    """A uri is valid UTF-8 without control characters, bidirectional controls or a "%" that begins no escape."""
    uri = encode(path)
    uri.encode()
    assert not re.search("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]", uri)
    assert not re.search("%(?![0-9A-F]{2})", uri)


@UNHURRIED
@given(first=st.text(max_size=12), second=st.text(max_size=12))
def test_decode_accepts_one_spelling(first: str, second: str) -> None:
    """Two different uris never stand for one path: what is not spelled as we spell it is refused."""
    paths = []
    for uri in (first, second):
        try:
            paths.append(decode(uri))
        except ValueError:
            return
    assert (paths[0] == paths[1]) == (first == second)


@pytest.mark.parametrize(
    ("expected", "path"),
    [
        ("docs/a b.md", b"docs/a b.md"),
        ("100%25.md", b"100%.md"),
        ("caf%E9.md", b"caf\xe9.md"),
        ("café.md", "café.md".encode()),
        ("cafe\u0301.md", "cafe\u0301.md".encode()),
        ("a%0Ab%1B%7F", b"a\nb\x1b\x7f"),
        ("%C2%85", "\u0085".encode()),
        ("%E2%80%AEx", "\u202ex".encode()),
        ("%D8%9Cx", "\u061cx".encode()),
        ("\u3042\U0001f600", "\u3042\U0001f600".encode()),
    ],
    ids=["plain", "percent", "latin-1", "composed", "decomposed", "control", "c1", "bidi", "arabic mark", "astral"],
)
def test_examples(expected: str, path: bytes) -> None:
    """What is escaped, and what is left alone: nothing is normalised."""
    assert encode(path) == expected


@UNHURRIED
@given(name=NAMES.filter(bool))
def test_names_from_the_file_system(name: bytes) -> None:
    """A name as the file system module gives it has the same uri as its bytes."""
    assert encode_name(name.decode("utf-8", "surrogateescape")) == encode(name)


@pytest.mark.parametrize("uri", ["", "/", "a//b", "a/", "/a", ".", "a/../b", "..", "%00", "a/%2E%2E", "%2e", "%zz", "\udc80", "a%2Fb"])
def test_components_refuse_what_no_document_is_called(uri: str) -> None:
    """A uri that could climb out of the root, or is not ours, opens nothing."""
    with pytest.raises(ValueError, match=r"document|utf-8"):
        components(uri)
