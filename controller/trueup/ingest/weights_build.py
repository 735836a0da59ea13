"""Makes `weights.json`: `python -m trueup.ingest.weights_build`, at development time, when the terms or the text change.

The text is what every CPython carries: the language reference (`pydoc_data.topics`), the docstrings of the standard library, read from
its sources and not imported, and its licence. A word is counted once a paragraph. What is kept is how rare each common word is.
"""

from __future__ import annotations

import ast
import importlib
import json
import math
import re
import sysconfig
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from trueup.ingest.terms import TERMS_VERSION, Terms
from trueup.ingest.weights import WEIGHTS_VERSION

_KEPT = 5000
_LEAST = 3  # paragraphs; a word in fewer is rare
_PARAGRAPH = re.compile(r"\n\s*\n")


def paragraphs() -> Iterator[str]:
    """Every paragraph of the public text, in a fixed order."""
    topics: dict[str, str] = importlib.import_module("pydoc_data.topics").topics
    library = Path(sysconfig.get_path("stdlib"))
    texts = [topics[name] for name in sorted(topics)]
    for path in sorted(library.rglob("*.py")):
        inside = path.relative_to(library).parts
        if not {"site-packages", "test", "tests", "idlelib", "lib2to3", "pydoc_data", "ensurepip"} & set(inside):
            texts += _docstrings(path)
    for text in texts:
        yield from _PARAGRAPH.split(text)


def build() -> dict[str, object]:
    """The table as it is stored."""
    terms = Terms()
    seen: Counter[str] = Counter()
    total = 0
    for paragraph in paragraphs():
        found = set(terms.of(paragraph))
        seen.update(found)
        total += bool(found)
    common = sorted((item for item in seen.items() if item[1] >= _LEAST and item[0].isascii() and item[0].isalnum()), key=lambda item: (-item[1], item[0]))[
        :_KEPT
    ]

    def weight(count: int) -> float:
        return round(math.log(1 + (total - count + 0.5) / (count + 0.5)), 2)

    return {"version": f"{WEIGHTS_VERSION}.{TERMS_VERSION}", "rest": weight(_LEAST - 1), "table": {term: weight(count) for term, count in sorted(common)}}


def _docstrings(path: Path) -> Iterator[str]:
    try:
        tree = ast.parse(path.read_text("utf-8"))
    except (SyntaxError, UnicodeDecodeError):  # a sample of bad syntax
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and (text := ast.get_docstring(node)):
            yield text


if __name__ == "__main__":
    Path(__file__).with_name("weights.json").write_text(json.dumps(build(), separators=(",", ":"), ensure_ascii=True) + "\n", "utf-8")
