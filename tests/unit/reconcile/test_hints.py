"""What many hints come to."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trueup.model.listing import WHOLE, Scope
from trueup.reconcile.hints import MOST, scope_of

uris = st.lists(st.sampled_from(["a", "b", "a-b", "é"]), min_size=1, max_size=4).map("/".join)


@given(st.sets(uris, min_size=1, max_size=40))
def test_a_scope_covers_every_hint_once(prefixes: set[str]) -> None:
    """Whatever was hinted at is looked at, and nothing of it by two prefixes."""
    scope = scope_of(prefixes)
    assert all(scope.covers(prefix) for prefix in prefixes)
    assert all(not Scope(tuple(p for p in scope.prefixes if p != prefix)).covers(prefix) for prefix in scope.prefixes)
    assert not scope.whole


def test_a_burst_costs_its_folders_and_not_the_source() -> None:
    """More hints than one look takes are their folders; only more folders than that are everything."""
    burst = {f"new/{n // 100}/{n}.md" for n in range(10 * MOST)}
    assert set(scope_of(burst | {"old/a.md"}).prefixes) == {f"new/{n}" for n in range(MOST // 10 + 1)} | {"old"}
    assert scope_of({f"{n}/a.md" for n in range(MOST + 1)}).whole
    assert scope_of({f"{n}.md" for n in range(MOST + 1)}).whole
    assert scope_of({WHOLE, "a"}).whole
