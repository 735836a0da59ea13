"""The ids of points."""

from __future__ import annotations

import uuid

from hypothesis import given
from hypothesis import strategies as st

from trueup.reconcile.embed import POINTS, point_ids

names = st.text(max_size=40)


@given(names, names, names, st.integers(0, 1 << 40), names, st.lists(st.integers(0, 100_000), max_size=5))
def test_ids_are_uuid5_over_all_that_tells_a_chunk(uid: str, uri: str, digest: str, generation: int, incarnation: str, ordinals: list[int]) -> None:
    """A chunk's id is uuid5 over (source uid, uri, digest, generation, incarnation, ordinal), as `design.md` has it."""
    expected = [str(uuid.uuid5(POINTS, "\0".join((uid, uri, digest, str(generation), incarnation, str(n))))) for n in ordinals]
    assert point_ids(uid, uri, digest, generation, incarnation, ordinals) == expected
