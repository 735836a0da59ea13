"""HTML to text and headings. Called in the child process only; the one importer of selectolax."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, field

from selectolax.lexbor import LexborHTMLParser, LexborNode

from trueup.ingest.outline import Heading, title

_MOST_DEPTH = 512
"""100,000 nested divs took the parser 29 s; real pages nest less than 100 deep."""
_MOST_TAGS = 1_000_000

_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9:-]{0,63})")
# Elements that need no end tag, or end one another: open ones do not add up.
_FLAT = frozenset(
    "area base br col embed hr img input link meta param source track wbr p li dt dd td th tr thead tbody tfoot colgroup caption option optgroup rp rt".split()  # noqa: SIM905 - a list of words
)
_HIDDEN_TAGS = "script, style, template, noscript, head, iframe, object, svg, math, canvas, textarea, select, [hidden], [aria-hidden=true], dialog:not([open])"
_HIDDEN_STYLE = re.compile(
    r"(?i)(?:display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse)|font-size\s*:\s*0(?![.\d]*[1-9])|opacity\s*:\s*0(?![.\d]*[1-9])|content-visibility\s*:\s*hidden)"
)
_BLOCKS = frozenset(
    "address article aside blockquote body center dd details div dl dt fieldset figcaption figure footer form h1 h2 h3 h4 h5 h6 header hr legend li main nav ol p "  # noqa: SIM905 - a list of words
    "pre section summary table tbody td tfoot th thead tr ul caption".split()
)
_LEVELS = {f"h{level}": level for level in range(1, 7)}
_CHARSET = re.compile(rb"(?i)<meta[^>]{0,200}charset\s{0,4}=\s{0,4}[\"']?([a-z0-9_:.-]{2,40})")
_BLANKS = re.compile(r"[ \t\r\n\f]+")


class Hostile(ValueError):
    """The document is built to exhaust a parser."""


@dataclass(slots=True)
class Page:
    """The text that is being written, one block a paragraph, and the headings in it."""

    text: str = ""
    headings: list[Heading] = field(default_factory=list)


def parse_html(data: bytes) -> Page:
    """The visible text of a page.

    Raises:
        Hostile: it nests or repeats beyond any real page.
    """
    source = _decode(data).replace("\0", "")
    _weigh(source)
    tree = LexborHTMLParser(source)
    named = tree.css_first("title")
    name = title(named.text() or "") if named is not None else ""
    for node in tree.css(_HIDDEN_TAGS):
        node.decompose()
    for node in tree.css("[style]"):
        if _HIDDEN_STYLE.search(node.attributes.get("style") or ""):
            node.decompose()
    writer = _Writer()
    if tree.root is not None:
        if name and tree.css_first("h1") is None:
            writer.heading(name, 1)
        _walk(tree.root, writer)
    return writer.page()


def _decode(data: bytes) -> str:
    """By byte order mark, then as UTF-8, then as the page says, then with replacements."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        said = _CHARSET.search(data[:2048])
        name = said[1].decode("ascii").lower() if said else "utf-8"
        safe = name.startswith(("windows-", "iso-8859-", "koi8-", "cp12", "shift_jis", "euc-", "gb", "big5"))
        try:
            return data.decode(codecs.lookup(name).name if safe else "utf-8", "replace")
        except LookupError:
            return data.decode("utf-8", "replace")


def _weigh(source: str) -> None:
    """Refuse by counting, before a tree is built: the time that one takes is not linear in its depth."""
    depth: dict[str, int] = {}
    total = tags = 0
    for match in _TAG.finditer(source):
        tags += 1
        name = match[2].lower()
        if name in _FLAT:
            continue
        if not match[1]:
            depth[name] = depth.get(name, 0) + 1
            total += 1
        elif depth.get(name, 0):
            depth[name] -= 1
            total -= 1
        if total > _MOST_DEPTH or tags > _MOST_TAGS:
            raise Hostile("The page nests deeper or has more elements than any real page.")


def _walk(root: LexborNode, writer: _Writer) -> None:
    """Every node in document order, with its end; no recursion, so that no depth can exhaust a stack."""
    node = root
    while True:
        writer.enter(node)
        below = node.first_child
        if below is not None:
            node = below
            continue
        while True:
            writer.leave(node)
            if node.mem_id == root.mem_id:
                return
            after = node.next
            if after is not None:
                node = after
                break
            above = node.parent
            if above is None:
                return
            node = above


class _Writer:
    def __init__(self) -> None:
        self._parts: list[str] = []
        self._size = 0
        self._run: list[str] = []
        self._headings: list[Heading] = []
        self._level = 0
        self._verbatim = 0
        self._prefix = ""

    def enter(self, node: LexborNode) -> None:
        if node.is_text_node:
            self._run.append(node.text_content or "")
            return
        tag = node.tag or ""
        if tag == "br":
            self._run.append("\n" if self._verbatim else "\v")
        elif tag in _BLOCKS and tag not in {"td", "th"}:
            self._flush()
            self._prefix = "- " if tag == "li" else self._prefix
            self._level = _LEVELS.get(tag, self._level)
            self._verbatim += tag == "pre"
        elif tag in {"td", "th"} and "".join(self._run).strip():
            self._run.append(" | ")

    def leave(self, node: LexborNode) -> None:
        tag = node.tag or ""
        if tag in _BLOCKS and tag not in {"td", "th"}:
            self._flush()
            self._verbatim -= tag == "pre"
            self._level = 0 if tag in _LEVELS else self._level

    def heading(self, text: str, level: int) -> None:
        """Write a heading of its own."""
        self._run, self._level = [text], level
        self._flush()
        self._level = 0

    def page(self) -> Page:
        self._flush()
        return Page("".join(self._parts), self._headings)

    def _flush(self) -> None:
        raw, self._run = "".join(self._run), []
        if not raw or raw.isspace():
            return
        text = raw.strip("\r\n") if self._verbatim else "\n".join(_BLANKS.sub(" ", line).strip() for line in raw.split("\v")).strip()
        if self._level:
            text = title(text)
            self._headings.append(Heading(self._size, self._size + len(text), self._level, text))
        else:
            text, self._prefix = self._prefix + text, ""
        self._parts.append(text + "\n\n")
        self._size += len(text) + 2
