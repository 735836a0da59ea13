"""The words for kinds and the ways to write a name."""

from __future__ import annotations

from dataclasses import dataclass

from trueup.surfaces.cli.failure import Misused

DEFAULT_NAMESPACE = "default"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of resource: its name in manifests, in paths of the API and in what commands print."""

    name: str
    plural: str
    singular: str


SOURCE = Kind("ContextSource", "contextsources", "contextsource")
INDEX = Kind("ContextIndex", "contextindexes", "contextindex")
KINDS = (SOURCE, INDEX)

_WORDS = {
    "source": SOURCE,
    "sources": SOURCE,
    "ctxsrc": SOURCE,
    "contextsource": SOURCE,
    "contextsources": SOURCE,
    "index": INDEX,
    "ctxidx": INDEX,
    "indexes": INDEX,
    "contextindex": INDEX,
    "contextindexes": INDEX,
}


@dataclass(frozen=True, slots=True)
class Name:
    """A namespace and a name."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


def kind_of(word: str) -> Kind:
    """The kind that `word` means: `source`, `sources`, `ContextSource`, `ctxsrc`, `index` and so on.

    Raises:
        Misused: there is no such kind.
    """
    kind = _WORDS.get(word.lower().removesuffix(".trueup.dev"))
    if kind is None:
        raise Misused(f"There is no kind {word!r}: write source or index.")
    return kind


def source_word(word: str) -> None:
    """Check that `word` means a source, for commands that know no other kind.

    Raises:
        Misused: it means something else.
    """
    if kind_of(word) is not SOURCE:
        raise Misused(f"This command is for sources: write `source` instead of {word!r}.")


def parse_name(text: str, namespace: str | None) -> Name:
    """`NAME` in `namespace`, or `NS/NAME`.

    Args:
        text: what was given as a name.
        namespace: what `-n` gave, or None.

    Raises:
        Misused: `text` is no name, or names another namespace than `-n`.
    """
    inside, slash, name = text.rpartition("/")
    if not name or "/" in inside or (slash and not inside):
        raise Misused(f"{text!r} is no name: write NAME or NAMESPACE/NAME.")
    if inside and namespace and inside != namespace:
        raise Misused(f"{text!r} names another namespace than -n {namespace}: leave one of them out.")
    return Name(inside or namespace or DEFAULT_NAMESPACE, name)
