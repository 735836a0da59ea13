"""What every index must do: subclass `IndexContract`, override the fixture `index`, and run pytest on it.

    class TestMine(IndexContract):
        @pytest.fixture
        def index(self) -> Iterator[Index]:
            mine = MyIndex()
            yield mine
            mine.close()

Vectors here have exact cosines and dot products (components of ±1 in four dimensions, weights of halves), so that
engines agree to the last bit and equal scores are truly equal. Needs pytest and hypothesis.
"""

from __future__ import annotations

import random
import struct
import uuid
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trueup.errors import IndexFailure
from trueup.model.index import GenerationSpec, Hit, Keys, Point, PointState, Question, Scope
from trueup.model.text import Sparse, Vectors
from trueup.ports import Index
from trueup.testing.index import MemoryIndex

HYBRID = GenerationSpec(id=1, fingerprint="a1" * 32, dimensions=4, sparse=True)
DENSE_ONLY = GenerationSpec(id=2, fingerprint="b2" * 32, dimensions=4, sparse=False)
SPARSE_ONLY = GenerationSpec(id=3, fingerprint="c3" * 32, dimensions=0, sparse=True)

ASKED = (1.0, 1.0, 1.0, 1.0)
TENANT = "team"


def dense(*components: float) -> bytes:
    """Little-endian float32."""
    return struct.pack(f"<{len(components)}f", *components)


def point_id(number: int) -> str:
    """A UUID that sorts as `number` does."""
    return str(uuid.UUID(int=number))


def keys(document: int = 1, *, acl: int = 1, source: int = 1, tenant: str = TENANT, state: PointState = PointState.LIVE) -> Keys:
    """Keys of a live point of one tenant."""
    return Keys(tenant=tenant, source=source, document=document, acl=acl, state=state)


def point(number: int, components: Sequence[float] = ASKED, terms: Sequence[tuple[int, float]] = ((7, 1.0),), held: Keys | None = None) -> Point:
    """A point of the hybrid generation."""
    sparse = Sparse(indices=tuple(term for term, _ in terms), values=tuple(weight for _, weight in terms))
    return Point(id=point_id(number), keys=held or keys(number), vectors=Vectors(dense=dense(*components), sparse=sparse))


QUESTION = Question(dense=dense(*ASKED), sparse=Sparse((7,), (1.0,)))
EVERYTHING = Scope(tenants=frozenset({TENANT}), acls=frozenset({1}))


def found(index: Index, scope: Scope = EVERYTHING, limit: int = 100) -> list[int]:
    """Numbers of the points that a search finds, ascending."""
    return sorted(uuid.UUID(hit.id).int for hit in index.search(HYBRID, QUESTION, scope, limit))


_SIGNS = st.tuples(*[st.sampled_from((-1.0, 1.0))] * 4)
_TERMS = st.dictionaries(st.integers(0, 9), st.sampled_from((0.5, 1.0, 1.5, 2.0)), max_size=4).map(lambda terms: tuple(sorted(terms.items())))
_NUMBERS = st.frozensets(st.integers(1, 4), max_size=4)
_FOLDERS = st.frozensets(st.sampled_from(("docs", "docs/a", "docs/b", "src", "nowhere")), max_size=3)
SCOPES = st.builds(
    Scope,
    tenants=st.frozensets(st.sampled_from(("team", "other", "third")), max_size=3),
    acls=_NUMBERS,
    sources=st.none() | _NUMBERS,
    folders=st.none() | _FOLDERS,
    modified_after=st.none() | st.integers(0, 10).map(float),
    without=st.frozensets(st.integers(1, 150).map(point_id), max_size=20),
)
QUESTIONS = st.builds(
    lambda signs, terms: Question(
        dense=None if signs is None else dense(*signs),
        sparse=None if terms is None else Sparse(tuple(term for term, _ in terms), tuple(weight for _, weight in terms)),
    ),
    st.none() | _SIGNS,
    st.none() | _TERMS,
)


def crowd(seed: int, size: int) -> list[Point]:
    """Points of every kind, from a seed."""
    dice = random.Random(seed)  # noqa: S311 - a test's dice
    points = []
    for number in dice.sample(range(1, size + 1), size):
        folders = dice.choice(((), ("docs",), ("docs", "docs/a"), ("docs", "docs/b"), ("src",)))
        held = Keys(
            tenant=dice.choice(("team", "other", "third")),
            source=dice.randint(1, 4),
            document=number,
            acl=dice.randint(1, 4),
            state=dice.choice((PointState.LIVE, PointState.LIVE, PointState.DEAD)),
            modified=dice.choice((None, float(dice.randint(0, 10)))),
            folders=folders,
        )
        terms = tuple((term, dice.choice((0.5, 1.0, 1.5))) for term in sorted(dice.sample(range(10), dice.randint(0, 4))))
        points.append(point(number, [dice.choice((-1.0, 1.0)) for _ in range(4)], terms, held))
    return points


BAD_POINTS = {
    "an id that is no UUID": replace(point(1), id="one"),
    "an id in upper case": replace(point(1), id=str(uuid.UUID(int=0xABC)).upper()),
    "an id that is a number": replace(point(1), id="12"),
    "too few dimensions": point(1, (1.0, 1.0)),
    "NaN": point(1, (1.0, float("nan"), 1.0, 1.0)),
    "infinity": point(1, (1.0, float("-inf"), 1.0, 1.0)),
    "a norm that overflows": point(1, (3e38, 1.0, 1.0, 1.0)),
    "no dense vector": replace(point(1), vectors=Vectors(dense=None, sparse=Sparse((1,), (1.0,)))),
    "no sparse vector": replace(point(1), vectors=Vectors(dense=dense(*ASKED), sparse=None)),
    "sparse ids that descend": point(1, terms=((2, 1.0), (1, 1.0))),
    "sparse ids that repeat": point(1, terms=((2, 1.0), (2, 1.0))),
    "a sparse id beyond 32 bits": point(1, terms=((1 << 32, 1.0),)),
    "a sparse weight that is not finite": point(1, terms=((2, float("nan")),)),
    "fewer weights than ids": replace(point(1), vectors=Vectors(dense=dense(*ASKED), sparse=Sparse((1, 2), (1.0,)))),
    "no tenant": point(1, held=keys(tenant="")),
    "a catalog id below zero": point(1, held=keys(acl=-1)),
    "a catalog id beyond 63 bits": point(1, held=keys(source=1 << 63)),
    "a time that is not finite": point(1, held=replace(keys(), modified=float("inf"))),
}


class IndexContract:
    """The promises of the port `Index`."""

    examples = 300
    """Random scopes to try; fewer for an engine that is slow."""

    @pytest.fixture
    def index(self) -> Index:
        """An empty index, closed after the test."""
        raise pytest.UsageError("override the fixture `index`")

    @pytest.fixture
    def ready(self, index: Index) -> Index:
        """The index, with the hybrid collection made."""
        index.ensure(HYBRID)
        return index

    def test_finds_what_was_written(self, ready: Index) -> None:
        """A point can be found as soon as upsert returned, and writing it again changes nothing."""
        ready.upsert(HYBRID, [point(1), point(2)])
        ready.upsert(HYBRID, [point(1)])
        assert found(ready) == [1, 2]

    def test_writes_more_than_a_batch(self, ready: Index) -> None:
        """Any number of points may be written, read, changed and erased at once."""
        ready.upsert(HYBRID, [point(number) for number in range(1, 602)])
        everyone = [point_id(number) for number in range(1, 602)]
        assert sorted(ready.present(HYBRID, everyone)) == everyone
        ready.put_keys(HYBRID, ((one, keys(9, state=PointState.DEAD)) for one in everyone))
        assert set(ready.present(HYBRID, everyone).values()) == {keys(9, state=PointState.DEAD)}
        ready.delete(HYBRID, everyone[1:])
        assert ready.scroll(HYBRID, None, 1000) == [(everyone[0], keys(9, state=PointState.DEAD))]

    def test_writes_nothing_for_nothing(self, ready: Index) -> None:
        """Empty calls do nothing and do not fail."""
        ready.upsert(HYBRID, [])
        ready.put_keys(HYBRID, [])
        ready.delete(HYBRID, [])
        assert ready.present(HYBRID, []) == {}
        assert ready.scroll(HYBRID, None, 10) == []

    def test_replaces_a_point(self, ready: Index) -> None:
        """A point written again has its new vectors and keys alone."""
        ready.upsert(HYBRID, [point(1, terms=((7, 1.0),))])
        ready.upsert(HYBRID, [point(1, terms=((8, 1.0),), held=keys(5))])
        assert ready.search(HYBRID, Question(sparse=Sparse((7,), (1.0,))), EVERYTHING, 5) == []
        assert ready.present(HYBRID, [point_id(1)]) == {point_id(1): keys(5)}

    def test_never_finds_the_dead(self, ready: Index) -> None:
        """A point whose state is dead is no hit, however near it lies."""
        ready.upsert(HYBRID, [point(1, held=keys(1, state=PointState.DEAD)), point(2)])
        assert found(ready) == [2]
        ready.put_keys(HYBRID, [(point_id(2), keys(2, state=PointState.DEAD)), (point_id(1), keys(1))])
        assert found(ready) == [1]

    def test_needs_every_member_of_the_scope(self, ready: Index) -> None:
        """Tenant, access slot, source, folder and time must all fit; a point without a time never fits one."""
        held = Keys(tenant=TENANT, source=1, document=1, acl=1, modified=100.0, folders=("docs", "docs/a"))
        ready.upsert(
            HYBRID,
            [
                point(1, held=held),
                point(2, held=replace(held, tenant="other")),
                point(3, held=replace(held, acl=2)),
                point(4, held=replace(held, source=2)),
                point(5, held=replace(held, folders=("docs",))),
                point(6, held=replace(held, modified=50.0)),
                point(7, held=replace(held, modified=None)),
            ],
        )
        narrow = Scope(tenants=frozenset({TENANT}), acls=frozenset({1}), sources=frozenset({1}), folders=frozenset({"docs/a"}), modified_after=50.0)
        assert found(ready, narrow) == [1]
        assert found(ready, replace(narrow, tenants=frozenset({TENANT, "other"}))) == [1, 2]
        assert found(ready, replace(narrow, acls=frozenset({1, 2}))) == [1, 3]
        assert found(ready, replace(narrow, sources=None)) == [1, 4]
        assert found(ready, replace(narrow, folders=None)) == [1, 5]
        assert found(ready, replace(narrow, modified_after=49.0)) == [1, 6]
        assert found(ready, replace(narrow, modified_after=None)) == [1, 6, 7]

    @pytest.mark.parametrize("member", ["tenants", "acls", "sources", "folders"])
    def test_an_empty_set_matches_nothing(self, ready: Index, member: str) -> None:
        """No tenant, slot, source or folder is not "any": the answer is empty."""
        ready.upsert(HYBRID, [point(1)])
        nobody = {"tenants": EVERYTHING.tenants, "acls": EVERYTHING.acls, member: frozenset()}
        assert found(ready, Scope(**nobody)) == []  # type: ignore[arg-type]

    def test_leaves_out_what_is_asked_to_be_left_out(self, ready: Index) -> None:
        """`without` is the second search of a page: the next best come instead."""
        ready.upsert(HYBRID, [point(number) for number in range(1, 6)])
        assert found(ready, replace(EVERYTHING, without=frozenset({point_id(1), point_id(3), point_id(99)})), 2) == [2, 4]

    def test_orders_by_score_and_then_by_id(self, ready: Index) -> None:
        """Equal scores stand in order of id, also where the limit cuts through them and whatever order they came in."""
        shuffled = random.Random(5).sample(range(1, 301), 300)  # noqa: S311 - a test's dice
        ready.upsert(HYBRID, [point(number) for number in shuffled])
        ready.upsert(HYBRID, [point(500, (1.0, 1.0, 1.0, -1.0), ((7, 2.0),))])
        near = ready.search(HYBRID, Question(dense=dense(*ASKED)), EVERYTHING, 5)
        assert [hit.id for hit in near] == [point_id(number) for number in range(1, 6)]
        both = ready.search(HYBRID, QUESTION, EVERYTHING, 5)
        assert [hit.id for hit in both] == [point_id(500)] + [point_id(number) for number in range(1, 5)]

    def test_asks_with_what_the_question_has(self, ready: Index) -> None:
        """Dense alone, sparse alone, and neither; a question without a direction finds nothing."""
        ready.upsert(HYBRID, [point(1, ASKED, ((7, 1.0),)), point(2, (-1.0, -1.0, -1.0, 1.0), ((7, 3.0),)), point(3, ASKED, ())])
        by_dense = ready.search(HYBRID, Question(dense=dense(*ASKED)), EVERYTHING, 2)
        assert by_dense == [Hit(point_id(1), pytest.approx(1.0)), Hit(point_id(3), pytest.approx(1.0))]  # type: ignore[arg-type]
        assert ready.search(HYBRID, Question(sparse=Sparse((7,), (2.0,))), EVERYTHING, 9) == [Hit(point_id(2), 6.0), Hit(point_id(1), 2.0)]
        assert ready.search(HYBRID, Question(), EVERYTHING, 9) == []
        assert ready.search(HYBRID, Question(dense=dense(0.0, 0.0, 0.0, 0.0), sparse=Sparse((), ())), EVERYTHING, 9) == []
        assert ready.search(HYBRID, QUESTION, EVERYTHING, 0) == []

    def test_hidden_points_move_no_score(self, ready: Index) -> None:
        """Whatever is out of the caller's scope changes neither scores nor order of what is in it."""
        ready.upsert(HYBRID, crowd(1, 60))
        scope = Scope(tenants=frozenset({TENANT}), acls=frozenset({1, 2, 3, 4}))
        before = ready.search(HYBRID, QUESTION, scope, 10)
        ready.upsert(HYBRID, [point(number, held=keys(number, tenant="hidden")) for number in range(1001, 1101)])
        assert ready.search(HYBRID, QUESTION, scope, 10) == before

    def test_replaces_all_keys(self, ready: Index) -> None:
        """What the new keys do not have is gone; an id that is not there is left alone and stops nothing."""
        ready.upsert(HYBRID, [point(1, held=replace(keys(1), modified=5.0, folders=("docs",))), point(2)])
        ready.put_keys(HYBRID, [(point_id(9), keys(9)), (point_id(1), keys(1, acl=3)), (point_id(2), keys(2, acl=3))])
        assert ready.present(HYBRID, [point_id(1), point_id(2), point_id(9)]) == {point_id(1): keys(1, acl=3), point_id(2): keys(2, acl=3)}
        assert found(ready) == []
        assert found(ready, replace(EVERYTHING, acls=frozenset({3}))) == [1, 2]

    def test_erases(self, ready: Index) -> None:
        """What was erased is neither found nor present; an id that is not there is left alone."""
        ready.upsert(HYBRID, [point(1), point(2)])
        ready.delete(HYBRID, [point_id(1), point_id(9)])
        assert found(ready) == [2]
        assert ready.present(HYBRID, [point_id(1)]) == {}

    def test_scrolls_upwards(self, ready: Index) -> None:
        """Ascending by id, `after` exclusive and perhaps erased, each point once."""
        ready.upsert(HYBRID, [point(number) for number in (0xF000, 3, 0x10, 1, 0xABCDEF, 2)])
        assert [uuid.UUID(one).int for one, _ in ready.scroll(HYBRID, None, 4)] == [1, 2, 3, 0x10]
        assert [uuid.UUID(one).int for one, _ in ready.scroll(HYBRID, point_id(0x10), 4)] == [0xF000, 0xABCDEF]
        ready.delete(HYBRID, [point_id(2)])
        assert ready.scroll(HYBRID, point_id(2), 1) == [(point_id(3), keys(3))]
        assert ready.scroll(HYBRID, point_id(0xABCDEF), 4) == []

    def test_refuses_a_bad_point_whole(self, ready: Index) -> None:
        """One point that an engine might mangle refuses the whole call, and nothing of it is written."""
        taken = []
        for what, bad in BAD_POINTS.items():
            try:
                ready.upsert(HYBRID, [point(2), bad])
            except IndexFailure:
                continue
            taken.append(what)
        assert taken == []
        assert ready.scroll(HYBRID, None, 10) == []

    def test_refuses_a_bad_question(self, ready: Index) -> None:
        """A question of another model is an error, not an empty answer."""
        for question in (Question(dense=dense(1.0)), Question(dense=dense(float("nan"), 1, 1, 1)), Question(sparse=Sparse((2, 1), (1.0, 1.0)))):
            with pytest.raises(IndexFailure):
                ready.search(HYBRID, question, EVERYTHING, 5)

    def test_refuses_bad_ids_and_keys(self, ready: Index) -> None:
        """Ids and keys are checked on every way in."""
        with pytest.raises(IndexFailure):
            ready.delete(HYBRID, ["x"])
        with pytest.raises(IndexFailure):
            ready.present(HYBRID, ["x"])
        for bad in (("x", keys()), (point_id(1), keys(acl=-1))):
            with pytest.raises(IndexFailure):
                ready.put_keys(HYBRID, [bad])

    def test_keeps_generations_apart(self, index: Index) -> None:
        """Each generation has its own collection and its own kinds of vector; dropping one leaves the others."""
        for generation in (HYBRID, DENSE_ONLY, SPARSE_ONLY):
            index.ensure(generation)
        index.upsert(DENSE_ONLY, [replace(point(1), vectors=Vectors(dense=dense(*ASKED)))])
        index.upsert(SPARSE_ONLY, [replace(point(2), vectors=Vectors(sparse=Sparse((7,), (1.0,))))])
        assert index.collections() == [HYBRID.collection, DENSE_ONLY.collection, SPARSE_ONLY.collection]
        assert [hit.id for hit in index.search(DENSE_ONLY, QUESTION, EVERYTHING, 5)] == [point_id(1)]
        assert [hit.id for hit in index.search(SPARSE_ONLY, QUESTION, EVERYTHING, 5)] == [point_id(2)]
        index.drop(DENSE_ONLY.collection)
        index.drop(DENSE_ONLY.collection)
        assert index.collections() == [HYBRID.collection, SPARSE_ONLY.collection]
        index.ensure(DENSE_ONLY)
        assert index.scroll(DENSE_ONLY, None, 5) == []

    def test_ensures_again_without_loss(self, ready: Index) -> None:
        """`ensure` on a collection that is there keeps what is in it."""
        ready.upsert(HYBRID, [point(1)])
        ready.ensure(HYBRID)
        assert found(ready) == [1]

    def test_fails_without_a_collection(self, index: Index) -> None:
        """What was never made is an error, not an empty answer: empty would look like truth to a sweep."""
        with pytest.raises(IndexFailure):
            index.search(HYBRID, QUESTION, EVERYTHING, 5)
        with pytest.raises(IndexFailure):
            index.upsert(HYBRID, [point(1)])
        with pytest.raises(IndexFailure):
            index.scroll(HYBRID, None, 5)

    def test_drops_only_its_own(self, index: Index) -> None:
        """A name that is not a collection of ours is refused: it may be somebody else's, or a path."""
        for name in ("other", "../catalog.db", "trueup-1-../x", ""):
            with pytest.raises(IndexFailure):
                index.drop(name)

    def test_flushes_and_closes(self, ready: Index) -> None:
        """Closing twice is fine; using it afterwards is an error."""
        ready.upsert(HYBRID, [point(1)])
        ready.flush()
        ready.close()
        ready.close()
        with pytest.raises(IndexFailure):
            ready.upsert(HYBRID, [point(2)])

    def test_agrees_with_the_twin_on_searches(self, ready: Index) -> None:
        """Any scope, question and limit give the same hits, scores and order as the in-memory twin."""
        twin = MemoryIndex()
        twin.ensure(HYBRID)
        points = crowd(2, 150)
        for index in (ready, twin):
            index.upsert(HYBRID, points)

        @settings(max_examples=self.examples, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
        @given(scope=SCOPES, question=QUESTIONS, limit=st.integers(1, 40))
        def agree(scope: Scope, question: Question, limit: int) -> None:
            expected = twin.search(HYBRID, question, scope, limit)
            hits = ready.search(HYBRID, question, scope, limit)
            assert [hit.id for hit in hits] == [hit.id for hit in expected]
            assert [hit.score for hit in hits] == pytest.approx([hit.score for hit in expected], abs=1e-5)

        agree()

    def test_agrees_with_the_twin_on_writes(self, ready: Index) -> None:
        """After any sequence of writes both hold the same points with the same keys."""
        twin = MemoryIndex()
        twin.ensure(HYBRID)
        dice = random.Random(3)  # noqa: S311 - a test's dice
        pool = crowd(4, 40)
        for _ in range(60):
            some = dice.sample(pool, dice.randint(1, 8))
            verb = dice.choice(("upsert", "put_keys", "delete"))
            moved = [(one.id, replace(one.keys, acl=dice.randint(1, 4), state=dice.choice(list(PointState)))) for one in some]
            for index in (ready, twin):
                if verb == "upsert":
                    index.upsert(HYBRID, some)
                elif verb == "put_keys":
                    index.put_keys(HYBRID, moved)
                else:
                    index.delete(HYBRID, [one.id for one in some])
            assert ready.scroll(HYBRID, None, 100) == twin.scroll(HYBRID, None, 100)
