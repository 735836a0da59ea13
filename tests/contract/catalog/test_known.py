"""What a look reads of a source: the documents at or below its prefixes."""

from __future__ import annotations

import pytest

from tests.contract.catalog.shelf import Shelf
from trueup.catalog import looking
from trueup.model.listing import Scope

URIS = ("a", "a!b", "a-b/c.md", "a/b/c.md", "a/b/d.md", "a/b.md", "a0", "ab/c.md", "é/ü.md", "z%0A/x.md")


@pytest.mark.parametrize(
    "prefixes",
    [("",), ("a",), ("a/b",), ("a/b.md", "a0"), ("a", "a-b", "é"), ("nothing",), ("a/b/c.md", "nothing/at/all", "z%0A"), tuple(URIS[1:4])],
    ids=lambda prefixes: " ".join(prefixes) or "whole",
)
def test_a_partial_look_knows_what_its_scope_covers(shelf: Shelf, prefixes: tuple[str, ...]) -> None:
    """Exactly the documents that the scope covers, once, ascending by uri, whether a prefix is a document, a folder or both."""
    shelf.list(dict.fromkeys(URIS, "text"))
    scope = Scope(prefixes)
    with shelf.store.read() as read:
        found = list(looking.known(read, shelf.source, scope))
        everything = list(looking.known(read, shelf.source, Scope()))
    assert [k.uri for k in everything] == sorted(URIS)
    assert found == [k for k in everything if scope.covers(k.uri)]
