"""What reaches a terminal."""

from __future__ import annotations

import json
import unicodedata

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from trueup.surfaces.cli.screen import Table, as_json, as_yaml, clean, line

NASTY = st.text(alphabet=st.one_of(st.characters(), st.sampled_from("\x1b\x9b\x90\x07[]PX^_m;0\\\r\n\t\u202e\u2066\u200f\U000e0041\x7f\x85\u2028")))


@given(NASTY)
def test_clean_leaves_nothing_that_steers_a_terminal(text: str) -> None:
    """Whatever a document holds, no control, escape or direction mark of it is printed."""
    cleaned = clean(text)
    assert all(c in "\n\t" or unicodedata.category(c) not in {"Cc", "Cs"} for c in cleaned)
    assert not set(cleaned) & set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x9b31mred", "red"),
        ("a\x1b]0;title\x07b", "ab"),
        ("a\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\b", "alinkb"),
        ("a\x1bPq#0\x1b\\b", "ab"),
        ("a\rb\x08c\x00", "abc"),
        ("one\r\ntwo\tthree", "one\ntwo\tthree"),
        ("user\u202egnp.exe", "usergnp.exe"),
        ("tag\U000e0041\U000e0042", "tag"),
        ("[bold]not markup[/bold]", "[bold]not markup[/bold]"),
        ("na\u200cme \U0001f469\u200d\U0001f4bb", "na\u200cme \U0001f469\u200d\U0001f4bb"),
    ],
)
def test_clean_removes_whole_sequences_and_nothing_that_people_read(text: str, expected: str) -> None:
    """Sequences go whole, joiners and brackets stay."""
    assert clean(text) == expected


def test_line_is_one_line() -> None:
    """A name cannot begin a line of its own."""
    assert line("docs\nReady: True\u2028\x85x") == "docs Ready: True x"


@given(st.recursive(st.none() | st.booleans() | st.integers() | NASTY, lambda inner: st.lists(inner) | st.dictionaries(NASTY, inner)))
def test_json_reads_back_as_the_same_value_and_harms_no_terminal(value: object) -> None:
    """-o json is exactly the object, with what could harm a terminal written as escapes."""
    text = as_json(value)
    assert json.loads(text) == value
    assert clean(text) == text


def test_yaml_reads_back_as_the_same_value_and_harms_no_terminal() -> None:
    """-o yaml is exactly the object, too, and readable where nothing in it is harmful."""
    plain, nasty = {"b": "Überblick", "a": [1, None]}, {"text": "x\x1b[31m\u202ey"}
    assert as_yaml(plain) == "b: Überblick\na:\n- 1\n- null"
    assert yaml.safe_load(as_yaml(nasty)) == nasty
    assert clean(as_yaml(nasty)) == as_yaml(nasty)


def test_tables_are_plain_text_when_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    """A pipe gets columns, cut nowhere, with no escapes; later rows keep the widths."""
    table = Table(["NAME", "STATUS"])
    table.rows([["docs", "x" * 300], ["[red]a\x1b[1m", "ok\nnot a row"]])
    table.rows([["b", "new"]])
    assert capsys.readouterr().out.splitlines() == ["NAME     STATUS", "docs     " + "x" * 300, "[red]a   ok not a row", "b        new"]
