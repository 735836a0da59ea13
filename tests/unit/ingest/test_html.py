"""HTML is read in a child process: what is visible comes out, and a hostile page costs itself alone."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trueup.ingest import sandbox as module
from trueup.ingest.kinds import Kind
from trueup.ingest.prepare import Unreadable, prepare
from trueup.ingest.sandbox import Limits, Sandbox
from trueup.model.text import IngestSettings, Prepared, Refusal, Verdict

PLAIN = IngestSettings()


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    made = Sandbox(size=1)
    yield made
    made.close()


def _read(data: bytes, foreign: Sandbox) -> Prepared:
    return prepare(data, "a.html", PLAIN, foreign)


def _text(data: bytes, foreign: Sandbox) -> str:
    return "\n".join(c.text for c in _read(data, foreign).chunks)


def test_headings_and_text(sandbox: Sandbox) -> None:
    """Headings are the path, blocks are paragraphs, and no byte span is claimed."""
    page = b"<h1>Guide</h1><p>Hello <b>big</b>\n world<br>next<h2>Install</h2><ul><li>one<li>two</ul><pre>a\n  b</pre><table><tr><td>x<td>y</table>"
    chunks = _read(page, sandbox).chunks
    assert [c.heading for c in chunks] == [("Guide",), ("Guide", "Install")]
    assert chunks[0].text == "Guide\n\nHello big world\nnext"
    assert chunks[1].text == "Install\n\n- one\n\n- two\n\na\n  b\n\nx | y"
    assert [c.span.bytes for c in chunks] == [None, None]
    assert [c.span.lines for c in chunks] == [(1, 4), (6, 15)]


def test_title_is_the_heading_where_there_is_no_h1(sandbox: Sandbox) -> None:
    """A page that names itself only in its title has that as its path."""
    assert [c.heading for c in _read(b"<title>Name</title><p>x", sandbox).chunks] == [("Name",)]


HIDDEN = [
    b"<script>EVIL</script>",
    b"<style>EVIL</style>",
    b"<!-- EVIL -->",
    b"<p hidden>EVIL</p>",
    b"<p style='display : NONE'>EVIL</p>",
    b"<div style='color:red;visibility:hidden'><b>EVIL</b></div>",
    b"<p style='font-size:0px'>EVIL</p>",
    b"<p style='opacity:0.0'>EVIL</p>",
    b"<template>EVIL</template>",
    b"<noscript>EVIL</noscript>",
    b"<p aria-hidden=true>EVIL</p>",
    b"<iframe>EVIL</iframe>",
    b"<textarea>EVIL</textarea>",
]


@pytest.mark.parametrize("part", HIDDEN)
def test_hidden_text_is_dropped(part: bytes, sandbox: Sandbox) -> None:
    """What a reader would not see is not delivered; what is beside it is."""
    assert _text(b"<p>seen</p>" + part + b"<p>also</p>", sandbox) == "seen\n\nalso"


@pytest.mark.parametrize("style", [b"font-size:0.9em", b"opacity:0.5", b"display:block"])
def test_visible_styles_are_kept(style: bytes, sandbox: Sandbox) -> None:
    """Small and pale is not hidden."""
    assert _text(b"<p style='" + style + b"'>seen</p>", sandbox) == "seen"


@pytest.mark.parametrize(
    "data",
    ["<p>größe".encode(), "\ufeff<p>größe".encode(), "<p>größe".encode("utf-16"), "<meta charset=windows-1252><p>größe".encode("cp1252")],
    ids=["utf-8", "mark", "utf-16", "declared"],
)
def test_encodings(data: bytes, sandbox: Sandbox) -> None:
    """A page is decoded as it says, and as UTF-8 first."""
    assert _text(data, sandbox) == "größe"


@pytest.mark.parametrize(
    "page",
    [b"<div>" * 100_000, b"<b>" * 600 + b"<p>x" * 100, b"<table>" * 5000, b"<a" * 400_000],
    ids=["divs", "formatting", "tables", "tags"],
)
def test_nesting_is_refused_before_it_is_parsed(page: bytes, sandbox: Sandbox) -> None:
    """100,000 nested divs took a parser 29 s; they are counted instead, and refused."""
    start = time.monotonic()
    assert _read(page, sandbox).refusal is Refusal.UNREADABLE
    assert time.monotonic() - start < 5


def test_secret_in_a_page(sandbox: Sandbox) -> None:
    """Screening goes over what was extracted."""
    (chunk,) = _read(b"<p>gh<b>p_</b>" + b"a1B2" * 9 + b"</p>", sandbox).chunks
    assert (chunk.verdict, chunk.text) == (Verdict.QUARANTINED, "")


@given(
    st.lists(
        st.sampled_from(
            [
                b"<p>",
                b"</p>",
                b"<h1>",
                b"</h2>",
                b"<table>",
                b"<td>",
                b"x",
                b" ",
                b"\n",
                b"&amp;",
                b"<!--",
                b"-->",
                b"<pre>",
                b"\xff",
                b"<svg>",
                b"<template>",
                b"<",
                b"&#0;",
            ]
        )
    )
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_page_is_read_or_refused(sandbox: Sandbox, parts: list[bytes]) -> None:
    """Nothing raises, and the same page gives the same chunks."""
    page = b"".join(parts)
    assert _read(page, sandbox) == _read(page, sandbox)


def test_timeout_costs_the_document_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A parser that hangs is killed at the wall clock."""
    foreign = Sandbox(size=1, limits=Limits(wall=0.4))
    monkeypatch.setattr(module, "_CHILD", [sys.executable, "-c", "import time; time.sleep(60)"])
    start = time.monotonic()
    with pytest.raises(Unreadable, match=r"0\.4 s"):
        foreign.parse(Kind.HTML, b"<p>x")
    assert time.monotonic() - start < 5
    foreign.close()


def test_idle_child_that_died_is_replaced() -> None:
    """A child that was killed between documents costs nothing."""
    foreign = Sandbox(size=1)
    assert _text(b"<p>one", foreign) == "one"
    child = foreign._idle.get()
    assert child is not None
    child._process.kill()
    child._process.wait()
    foreign._idle.put(child)
    assert _text(b"<p>two", foreign) == "two"
    foreign.close()


def test_crash_costs_the_document_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that dies while it parses takes its document with it; the next one has a new child of the same sandbox."""
    foreign = Sandbox(size=1)
    monkeypatch.setattr(module, "_CHILD", [sys.executable, "-c", "import os, sys; sys.stdin.buffer.read(8); os.abort()"])
    assert _read(b"<p>one", foreign).refusal is Refusal.UNREADABLE
    monkeypatch.undo()
    assert _text(b"<p>two", foreign) == "two"
    foreign.close()


@pytest.mark.parametrize(
    "code",
    [
        "import sys; sys.exit(3)",
        "import sys; sys.stdout.buffer.write(b'\\0\\0\\0\\x02no'); sys.stdout.flush(); sys.stdin.read()",
        "import sys,json,struct; b=json.dumps({'text':'ab','headings':[[5,9,1,'x']]}).encode(); sys.stdout.buffer.write(struct.pack('>I',len(b))+b); sys.stdout.flush(); sys.stdin.read()",
        "import sys,json,struct; b=json.dumps({'text':'a'*200000}).encode(); sys.stdout.buffer.write(struct.pack('>I',len(b))+b); sys.stdout.flush(); sys.stdin.read()",
        "import sys; sys.stdout.buffer.write(b'\\x7f' + b'x'*3000000); sys.stdout.flush(); sys.stdin.read()",
    ],
    ids=["exits", "no JSON", "headings out of place", "unfolds", "endless"],
)
def test_child_is_not_trusted(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A parser that was taken over can spoil its own document and nothing more."""
    monkeypatch.setattr(module, "_CHILD", [sys.executable, "-c", code])
    foreign = Sandbox(size=1, limits=Limits(wall=10))
    with pytest.raises(Unreadable):
        foreign.parse(Kind.HTML, b"<p>x")
    foreign.close()


@pytest.mark.parametrize(
    ("memory", "cpu", "page"),
    [(150 << 20, 10, b"<p>x</p>" * 400_000), (1 << 30, 0, b"<p>" + b"<i>x</i>" * 1_900_000)],
    ids=["memory", "cpu"],
)
def test_limits_bite(memory: int, cpu: int, page: bytes) -> None:
    """A page that needs more memory or CPU than is allowed is refused, and the next one is read."""
    foreign = Sandbox(size=1, limits=Limits(memory=memory, cpu=cpu))
    assert _read(page, foreign).refusal is Refusal.UNREADABLE
    assert _text(b"<p>x", foreign) == "x"
    foreign.close()


def test_parent_never_imports_the_parser() -> None:
    """The process that holds the catalog does not load the HTML parser."""
    code = "import sys, trueup.ingest.sandbox, trueup.ingest.embedders; sys.exit('selectolax' in sys.modules or 'onnxruntime' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_child_has_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of ours, such as a token, reaches the process that parses."""
    monkeypatch.setenv("TRUEUP_TOKEN", "x")
    code = "import os,sys,json,struct; b=json.dumps({'text':' '.join(os.environ)}).encode(); sys.stdout.buffer.write(struct.pack('>I',len(b))+b); sys.stdout.flush(); sys.stdin.read()"
    monkeypatch.setattr(module, "_CHILD", [sys.executable, "-c", code])
    foreign = Sandbox(size=1)
    assert "TRUEUP_TOKEN" not in foreign.parse(Kind.HTML, b"<p>x").text
    foreign.close()
