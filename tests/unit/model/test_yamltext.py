"""YAML is plain data or it is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueup.errors import Invalid
from trueup.model.resources import load_yaml

REFUSED = [
    pytest.param("a: 1\na: 2", "line 2 stands there twice", id="duplicate key"),
    pytest.param("a:\n  b: 1\n  b: 1", "line 3 stands there twice", id="duplicate key inside"),
    pytest.param("a: &x [1]\nb: *x", "line 1 uses an anchor", id="alias"),
    pytest.param("a: &x {b: 1}\nc:\n  <<: *x", "uses an anchor", id="merge key"),
    pytest.param("a: !!python/object/apply:os.system [id]", "line 1 uses a tag", id="python object"),
    pytest.param("a: !!binary aGk=", "line 1 uses a tag", id="standard tag"),
    pytest.param("1: a", "key in line 1 is not text", id="number as a key"),
    pytest.param("[a, b]: c", "is not text", id="list as a key"),
    pytest.param("a: [1", "cannot be parsed", id="broken"),
    pytest.param("a: b: c", "line 1", id="two colons"),
    pytest.param("just words", "not a mapping", id="a scalar"),
    pytest.param("- a", "not a mapping", id="a list"),
    pytest.param("kind: List\nitems: [1]", "an item of the list is not a mapping", id="list of numbers"),
    pytest.param("a: " + "[" * 40 + "]" * 40, "nested deeper than 32", id="deep"),
    pytest.param("a: \x01", "characters", id="control character"),
    pytest.param("a: " + "9" * 5000, "numbers", id="endless number"),
    pytest.param("a: " + "x" * (1 << 20), "more than 1048576 bytes", id="large"),
]


@pytest.mark.parametrize(("text", "told"), REFUSED)
def test_what_could_surprise_is_refused(text: str, told: str) -> None:
    """Two readers of one file must see one thing, and a small file must stay small."""
    with pytest.raises(Invalid, match=told):
        load_yaml(text)


def test_an_alias_bomb_costs_nothing() -> None:
    """It is refused before anything is built."""
    bomb = "a: &a [x, x]\n" + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}]\n" for n in range(20))
    with pytest.raises(Invalid, match="anchor or alias"):
        load_yaml(bomb)


def test_words_stay_words() -> None:
    """`Off`, `no`, dates and sexagesimals are text; only true and false are booleans (YAML 1.2)."""
    (read,) = load_yaml("a: Off\nb: no\nc: 2026-01-01\nd: 12:30:00\ne: true\nf: 010\ng: 7\nh: ~\ni: 1.5\nj: 0x10\nk:")
    assert read == {"a": "Off", "b": "no", "c": "2026-01-01", "d": "12:30:00", "e": True, "f": "010", "g": 7, "h": None, "i": 1.5, "j": "0x10", "k": None}


def test_documents_and_lists_come_one_by_one() -> None:
    """Several documents, empty ones between, and the items of a List."""
    assert load_yaml("---\nkind: A\n---\n\n---\nkind: List\nitems: [{kind: B}, {kind: C}]\n---\n") == [{"kind": "A"}, {"kind": "B"}, {"kind": "C"}]
    assert load_yaml("") == []


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    """No text makes anything but objects or a refusal."""
    try:
        read = load_yaml(text)
    except Invalid:
        return
    assert all(isinstance(item, dict) for item in read)
