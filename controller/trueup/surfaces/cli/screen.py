"""What reaches a terminal: cleaned text, JSON and YAML that cannot move a cursor, tables, and signs of life."""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any

# Whole escape sequences (CSI, OSC and other strings, two-byte ones), so that no "[31m" stays behind.
_SEQUENCE = re.compile(r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?|\x1b[ -/]*[0-~]")
# Format characters that scripts need to be read: joiners, the soft hyphen and the visible signs among category Cf.
_NEEDED = frozenset("\u00ad\u200c\u200d\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2")
_BREAKS = str.maketrans({"\u2028": "\n", "\u2029": "\n", "\x85": "\n"})


def harmful(character: str) -> bool:
    """Whether a character could steer a terminal, hide text or turn its direction."""
    category = unicodedata.category(character)
    return category in {"Cc", "Cs", "Zl", "Zp"} or (category == "Cf" and character not in _NEEDED)


def clean(text: object) -> str:
    """`text` as a terminal may see it: no control, escape or bidi characters; line breaks and tabs stay."""
    string = _SEQUENCE.sub("", str(text).replace("\r\n", "\n").translate(_BREAKS))
    return "".join(c for c in string if c in "\n\t" or not harmful(c))


def line(text: object) -> str:
    """`text` cleaned and on one line: for names, cells and messages."""
    return " ".join(clean(text).split())


def as_json(value: Any) -> str:
    """`value` as indented JSON. What could harm a terminal is written as an escape, which reads back as the same value."""
    return _escaped(json.dumps(value, indent=2, ensure_ascii=False))


def as_line(value: Any) -> str:
    """`value` as JSON on one line."""
    return _escaped(json.dumps(value, ensure_ascii=False))


def _escaped(text: str) -> str:
    return "".join(json.dumps(c)[1:-1] if c != "\n" and harmful(c) else c for c in text)


def as_yaml(value: Any) -> str:
    """`value` as YAML, keys in the order of the API."""
    import yaml

    harmless = not any(c != "\n" and harmful(c) for c in json.dumps(value, ensure_ascii=False))
    return str(yaml.safe_dump(value, sort_keys=False, allow_unicode=harmless, width=120)).rstrip("\n")


def say(text: object = "") -> None:
    """Print cleaned text to stdout."""
    print(clean(text), flush=True)


def note(text: object) -> None:
    """Print one line to stderr: what people should know and scripts need not parse."""
    print(line(text), file=sys.stderr, flush=True)


def terminal(stream: IO[str] | None = None) -> bool:
    """Whether `stream` (stdout) is a terminal that people look at."""
    return (stream or sys.stdout).isatty()


class Table:
    """Columns as kubectl prints them. Rows can be added later in the widths of the first ones, for `-w`.

    On a terminal the header is bold, and True and False have a colour unless NO_COLOR is set; elsewhere it is plain text.
    """

    def __init__(self, columns: Sequence[str], least: Sequence[int] = ()) -> None:
        self.columns = tuple(columns)
        self._least = tuple(least) or (0,) * len(self.columns)
        self._widths: list[int] = []

    def rows(self, rows: Sequence[Sequence[object]]) -> None:
        """Print `rows`, and the header before the first ones."""
        cells = [[line(c) for c in row] for row in rows]
        first = not self._widths
        if first:
            self._widths = [max(self._least[i], *(len(row[i]) for row in (self.columns, *cells))) for i in range(len(self.columns))]
        body = [self._format(row) for row in cells]
        if not terminal():
            print("\n".join([*([self._format(self.columns)] if first else []), *body]), flush=True)
            return
        from rich.console import Console
        from rich.text import Text

        console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
        if first:
            console.print(Text(self._format(self.columns), style="bold"))
        for formatted in body:
            text = Text(formatted)
            text.highlight_words(["True", "Fresh"], "green")
            text.highlight_words(["False", "Stale"], "red")
            console.print(text)

    def _format(self, cells: Sequence[str]) -> str:
        return "   ".join(c.ljust(w) for c, w in zip(cells, self._widths, strict=True)).rstrip()


@contextmanager
def working(what: str) -> Iterator[Callable[[str], None]]:
    """A spinner on stderr while the body runs, where people look at it; yields a function that changes its words."""
    if not terminal(sys.stderr):
        yield lambda _: None
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True, highlight=False, markup=False, emoji=False)
    with console.status(Text(line(what))) as status:
        yield lambda text: status.update(Text(line(text)))


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr, where people look at it; yields a function of (done, total) in one unit."""
    if not terminal(sys.stderr):
        yield lambda _done, _total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TextColumn("{task.percentage:>3.0f}%"), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(line(what), total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
