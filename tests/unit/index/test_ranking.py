"""Fusion and the cut, as pure functions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from qdrant_client import models
from qdrant_client.hybrid.fusion import distribution_based_score_fusion

from trueup.index import ranking
from trueup.index.ranking import cut, dbsf, rank
from trueup.model.index import Hit

SCORES = st.dictionaries(st.integers(1, 30).map(str), st.integers(-100, 100).map(lambda n: n / 8), max_size=20)


@given(st.lists(SCORES, min_size=1, max_size=3))
def test_fuses_as_qdrant_does(lists: list[dict[str, float]]) -> None:
    """Our fusion gives the scores of Qdrant's own, as its client has them in Python."""
    responses = [[models.ScoredPoint(id=int(point), version=0, score=score) for point, score in scores.items()] for scores in lists]
    expected = {str(point.id): point.score for point in distribution_based_score_fusion(responses, limit=1000)}
    assert dbsf(lists) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("lists", "expected"),
    [
        pytest.param([{}], {}, id="nothing"),
        pytest.param([{"a": 7.0}], {"a": 0.5}, id="one point has no spread"),
        pytest.param([{"a": 7.0, "b": 7.0}], {"a": 0.5, "b": 0.5}, id="nor have equal scores"),
        pytest.param([{"a": 7.0}, {"a": 1.0}], {"a": 1.0}, id="what is in both lists adds up"),
        pytest.param([{"a": 0.1 + 0.2, "b": 0.3}], {"a": 0.5, "b": 0.5}, id="rounding is no spread"),
    ],
)
def test_fuses_without_spread(lists: list[dict[str, float]], expected: dict[str, float]) -> None:
    """Lists without a spread count a half for each point."""
    assert dbsf(lists) == expected


@given(st.lists(SCORES, min_size=2, max_size=2), st.randoms(use_true_random=False))
def test_fusion_does_not_depend_on_order(lists: list[dict[str, float]], dice) -> None:
    """The order in which an engine lists equal points moves no score, to the last bit."""
    shuffled = [dict(dice.sample(list(scores.items()), len(scores))) for scores in lists]
    assert dbsf(shuffled) == dbsf(lists)


def engine_order(hits: list[Hit], asked: list[int]):
    """A leg that orders by score alone and remembers how many it was asked for."""

    def leg(count: int) -> list[Hit]:
        asked.append(count)
        return sorted(hits, key=lambda hit: -hit.score)[:count]

    return leg


def test_cuts_equals_by_id() -> None:
    """The last place goes to the smallest id among equals, wherever the engine had it; one more question settles it."""
    asked: list[int] = []
    hits = [Hit("z", 2.0)] + [Hit(chr(ord("y") - n), 1.0) for n in range(12)]
    assert [hit.id for hit in cut(engine_order(hits, asked), 3)] == ["z", "n", "o"]
    assert asked == [4, 16]


def test_asks_once_where_nothing_ties() -> None:
    """The common case costs one call for one point more."""
    asked: list[int] = []
    assert len(cut(engine_order([Hit(str(n), float(n)) for n in range(50)], asked), 10)) == 10
    assert asked == [11]


def test_a_crowd_of_equals_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """More equals than the limit of looking are cut as they came, instead of reading the whole index."""
    monkeypatch.setattr(ranking, "TIE_LIMIT", 32)
    asked: list[int] = []
    assert len(cut(engine_order([Hit(f"{n:04}", 1.0) for n in range(1000)], asked), 10)) == 10
    assert asked == [11, 32]


def test_one_leg_keeps_its_scores() -> None:
    """Scores of a single list are the engine's own."""
    assert rank([engine_order([Hit("a", 0.25), Hit("b", 0.5)], [])], 5) == [Hit("b", 0.5), Hit("a", 0.25)]
