"""The gate's pure decisions: freshness, delivery, packing, fusion."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueup.decide import delivery, freshness, fusion
from trueup.decide.delivery import Candidate, Case, Terms, Why, judge, lease_of
from trueup.decide.freshness import Instant, end_of_life, jumped_back, lease, went_back
from trueup.decide.pack import Piece, pack, tokens

FINE = Candidate("p", 1, "d", (0, 1, 1, 1), "[]", "Clean", None, 7, "live", "v", "sha256:0", None, 100.0, None, None, 3, 1, "a.md", "live", 7, None, None, None)
TERMS = Terms(alive=True, generation=1, verified_at=100.0, max_staleness=60.0, on_stale_flag=False, document_ttl=None)


@pytest.mark.parametrize(
    ("now", "verified", "superseded", "stale", "age"),
    [
        (100, 100, None, False, 0),
        (160, 100, None, False, 60),
        (160.1, 100, None, True, 60.1),
        (100, None, None, True, None),
        (98, 100, None, False, 0),
        (97.9, 100, None, True, None),
        (100 - 30 * 86400, 100, None, True, None),
        (100 + 30 * 86400, 100, None, True, 30 * 86400),
        (105, 100, 100, False, 5),
        (105.1, 100, 100, True, 5.1),
    ],
    ids=["just-read", "at-the-bound", "past-it", "never-read", "clocks-differ", "clock-went-back", "a-month-back", "a-month-on", "superseded", "too-long"],
)
def test_a_lease_runs_out_by_itself(now: float, verified: float | None, superseded: float | None, stale: bool, age: float | None) -> None:
    """Only a read renews it, nothing is fresh by a negative age (P23), and superseded text lasts 5 s."""
    got = lease(now, verified, 60.0, superseded)
    assert got.stale is stale
    assert got.age == pytest.approx(age)


@given(st.floats(0, 1e10), st.floats(0, 1e10), st.floats(0, 1e6))
def test_no_lease_is_fresh_outside_its_time(now: float, verified: float, most: float) -> None:
    """Fresh means: read no longer ago than the bound, and not in the future beyond the slack."""
    got = lease(now, verified, most)
    assert got.stale is not (now - verified >= -freshness.SLACK and max(now - verified, 0.0) <= most)


def test_content_can_only_shorten_its_life() -> None:
    """The earlier of both ends counts."""
    assert end_of_life(100.0, None, None) is None
    assert end_of_life(100.0, 500.0, 60.0) == 160.0
    assert end_of_life(100.0, 120.0, 60.0) == 120.0


def test_a_clock_that_went_back_is_seen() -> None:
    """Against the persisted mark, and against the monotonic clock."""
    assert went_back(103.0, 100.0)
    assert not went_back(102.0, 100.0)
    assert jumped_back(Instant(100, 0), Instant(50, 1))
    assert jumped_back(Instant(100, 0), Instant(101, 10))
    assert not jumped_back(Instant(100, 0), Instant(500, 1))


FAILING = {
    Why.SOURCE_DEAD: {"terms": replace(TERMS, alive=False)},
    Why.UNREADABLE: {"readable": False},
    Why.FILTERED: {"wanted": False},
    Why.GENERATION: {"terms": replace(TERMS, generation=2)},
    Why.SUPERSEDED: {"candidate": replace(FINE, current=8)},
    Why.DEAD: {"candidate": replace(FINE, revision_state="dead")},
    Why.EXPIRED: {"candidate": replace(FINE, expires_at=100.0)},
    Why.QUARANTINED: {"candidate": replace(FINE, verdict="Quarantined")},
    Why.HELD: {"candidate": replace(FINE, document_state="held")},
    Why.STALE: {"lease": lease(161.0, 100.0, 60.0)},
}


def _case(**changes: object) -> Case:
    whole = Case(FINE, TERMS, readable=True, wanted=True, now=101.0, lease=lease_of(FINE, TERMS, 101.0))
    return replace(whole, **changes)  # type: ignore[arg-type]


def test_what_passes_every_check_is_delivered() -> None:
    """The base of the next tests."""
    assert judge(_case()) is Why.DELIVERED


@pytest.mark.parametrize("why", FAILING, ids=str)
def test_each_check_is_needed(why: Why, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each thing that forbids delivery is caught by its own check, and delivered without it."""
    assert judge(_case(**FAILING[why])) is why
    monkeypatch.setattr(delivery, "CHECKS", tuple(check for check in delivery.CHECKS if check[0] is not why))
    assert judge(_case(**FAILING[why])) is Why.DELIVERED


def test_every_check_has_its_case() -> None:
    """No check without the test above."""
    assert set(FAILING) == {why for why, _ in delivery.CHECKS}


@pytest.mark.parametrize("state", ["pending", "dead", "expired", "refused", "whatever"])
def test_only_live_documents_are_delivered(state: str) -> None:
    """Any state but live and held is dead; a new state is not delivered by default."""
    assert judge(_case(candidate=replace(FINE, document_state=state))) is Why.DEAD


def test_a_flag_delivers_what_is_stale_and_nothing_else() -> None:
    """onStale: Flag opens the lease alone."""
    flagging = replace(TERMS, on_stale_flag=True)
    assert judge(_case(terms=flagging, **FAILING[Why.STALE])) is Why.DELIVERED
    assert judge(_case(terms=flagging, **FAILING[Why.HELD])) is Why.HELD
    assert judge(_case(distrusted=True)) is Why.STALE


def test_a_document_in_a_gap_keeps_its_own_lease() -> None:
    """What its source was last read for does not renew it."""
    assert lease_of(replace(FINE, verified_at=30.0), TERMS, 101.0).stale
    assert not lease_of(FINE, TERMS, 101.0).stale


def _piece(point: str, text: str = "", source: int = 1, key: str | None = None, content: str = "c", realm: tuple[str, str] = ("ns", "")) -> Piece:
    return Piece(point, 1.0, text or point, source, realm, key, content)


def test_one_text_is_one_hit() -> None:
    """The same text of two places is one hit with both, at the place of the better one (P25)."""
    packed = pack([_piece("a", "x"), _piece("b", "y"), _piece("c", "x")], 10, 100)
    assert [[piece.point for piece in hit.pieces] for hit in packed.packs] == [["a", "c"], ["b"]]


def test_one_long_chunk_starves_nobody() -> None:
    """What does not fit is passed over, and those behind it still come."""
    packed = pack([_piece("a", "x" * 9), _piece("b", "y" * 900), _piece("c", "z" * 9)], 10, 10)
    assert [hit.point for hit in packed.packs] == ["a", "c"]
    assert (packed.used, packed.left_out) == (6, {"b": Why.TOO_LONG})
    assert pack([_piece("a"), _piece("b")], 1, 10).left_out == {"b": Why.SURPLUS}


@given(st.lists(st.text(max_size=40), max_size=30), st.integers(1, 10), st.integers(1, 60))
def test_an_answer_is_within_its_bounds(texts: list[str], top_k: int, most: int) -> None:
    """Never more hits or tokens than asked for, never one text twice."""
    packed = pack([_piece(str(n), text or "-") for n, text in enumerate(texts)], top_k, most)
    delivered = [hit.pieces[0].text for hit in packed.packs]
    assert len(delivered) == len(set(delivered)) <= top_k
    assert packed.used == sum(map(tokens, delivered)) <= most


@pytest.mark.parametrize(
    ("other", "marked"),
    [
        (_piece("b", source=2, key="k", content="d"), True),
        (_piece("b", source=2, key="k", content="c"), False),
        (_piece("b", source=1, key="k", content="d"), False),
        (_piece("b", source=2, key="l", content="d"), False),
        (_piece("b", source=2, key=None, content="d"), False),
        (_piece("b", source=2, key="k", content="d", realm=("other", "")), False),
    ],
    ids=["contradicts", "agrees", "same-source", "other-key", "no-key", "other-namespace"],
)
def test_contradictions_are_marked_on_both(other: Piece, marked: bool) -> None:
    """Two sources, one key, different content: never two unmarked values (P26)."""
    packed = pack([_piece("a", key="k"), other], 10, 100)
    assert [hit.conflicts for hit in packed.packs] == ([("b",), ("a",)] if marked else [(), ()])


@given(st.lists(st.lists(st.integers(0, 20), unique=True, max_size=10), max_size=4))
def test_fusion_goes_by_rank(lists: list[list[int]]) -> None:
    """Every item comes once, scores fall, and the first of all lists together is the first of one of them."""
    fused = fusion.by_rank(lists, key=lambda item: item)
    assert sorted(item for item, _ in fused) == sorted({item for ranked in lists for item in ranked})
    assert [score for _, score in fused] == sorted((score for _, score in fused), reverse=True)
