"""Random worlds, random callers, random filters: nothing leaves that an oracle would not allow (A25)."""

import itertools
import random
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.unit.gate.world import EVERYONE, NOW, World, user
from trueup.decide import delivery
from trueup.decide.delivery import Why
from trueup.errors import Invalid, NotFound
from trueup.gate.retrieve import find
from trueup.gate.wish import Wish

TRIES = 1000
WORDS = ["fox", "dog", "hen"]
READERS: list[list[dict[str, str]]] = [EVERYONE, user("alice"), user("bob"), [{"kind": "Group", "name": "eng"}], []]
WRONGS = ["", "buried", "", "held", "expired", "", "superseded", "quarantined", "generation", "stale"]
TRICKS = [
    "**",
    "*",
    "../*",
    "/",
    "docs/../**",
    "{}",
    "$where",
    "a\u202eb",
    "%2e%2e/**",
    "tenant.x",
    "!**",
    "docs/**",
    "*.md",
    "/a*",
    "[a-z]*",
    "docs\\*",
    "\u0000",
    "ﬁ*",
]


@dataclass(frozen=True)
class Truth:
    """One document as the oracle knows it."""

    source: str
    uri: str
    text: str
    readers: list[dict[str, str]]
    good: bool


class Plan:
    """A world in which every kind of wrong happens to some documents, and what the oracle knows of it."""

    def __init__(self, world: World, rng: random.Random) -> None:
        self.world, self.rng = world, rng
        self.truths: dict[str, Truth] = {}
        names = [("default", "one"), ("default", "two"), ("other", "one"), ("other", "stale"), ("other", "dead")]
        for namespace, name in names:
            self._source(namespace, name)

    def _source(self, namespace: str, name: str) -> None:
        own, secret = (EVERYONE, user("bob")) if (namespace, name) == ("default", "one") else self.rng.choices(READERS, k=2)
        access = {"readers": own, "rules": [{"paths": ["docs/**"], "readers": secret}]}
        source = self.world.source(name, namespace, access=access, freshness={"maxStaleness": "1h"}, verified=NOW - (7200 if name == "stale" else 0))
        for number in range(20):
            folder = self.rng.choice(["", "docs/", "docs/deep/"])
            slot = self.rng.choice([-1, 0])  # where the index has it, which may be wrong
            wrong = WRONGS[number % len(WRONGS)]
            self._document(source, f"{namespace}/{name}", f"{folder}{number}.{self.rng.choice(['md', 'txt'])}", slot, secret if folder else own, wrong)
        if name == "dead":
            self.world.withdraw(source)

    def _document(self, source: int, key: str, uri: str, slot: int, readers: list[dict[str, str]], wrong: str) -> None:
        text = f"{self.rng.choice(WORDS)} {self.rng.choice(WORDS)} {uuid.UUID(int=self.rng.getrandbits(128))}"
        more: dict[str, Any] = {"held": {"state": "held"}, "expired": {"expires_at": NOW - 1}, "stale": {"verified_at": NOW - 7200}}.get(wrong, {})
        (point,) = self.world.document(source, uri, text, slot=slot, **more)
        if wrong == "buried":
            self.world.bury(source, uri)
        if wrong == "superseded":
            self.world.run("UPDATE document SET revision_id = revision_id + 100000 WHERE source_id = :s AND uri = :u", s=source, u=uri)
        if wrong == "quarantined":
            self.world.run("UPDATE chunk SET verdict = 'Quarantined' WHERE point_id = :p", p=point)
        if wrong == "generation":
            self.world.run("UPDATE chunk SET generation_id = 999 WHERE point_id = :p", p=point)
        good = not wrong and not key.endswith(("stale", "dead"))
        self.truths[point] = Truth(key, uri, text, readers, good)

    def wish(self) -> Wish:
        """Any wish that the API would let through."""
        rng = self.rng
        keys = sorted({truth.source for truth in self.truths.values()})
        return Wish(
            query=" ".join(rng.choices(WORDS, k=rng.randint(1, 3))),
            top_k=rng.choice([1, 3, 100]),
            max_tokens=rng.choice([1, 60, 100_000]),
            sources=tuple(rng.sample(keys, rng.randint(1, 2))) if rng.random() < 0.3 else None,
            paths=tuple(rng.sample(TRICKS, rng.randint(1, 3))) if rng.random() < 0.4 else (),
            modified_after=rng.choice([None, None, NOW - 1, NOW, 0.0, -1e300, 1e300]),
        )


def _names(reader: dict[str, str], name: str, groups: list[str]) -> bool:
    return reader["kind"] == "Everyone" or (reader["kind"] == "User" and reader["name"] == name) or (reader["kind"] == "Group" and reader["name"] in groups)


def violations(plan: Plan, tries: int) -> Iterator[str]:
    """What left the gate against the oracle; and, so that silence means something, how often anything left at all."""
    people = [("alice", []), ("bob", ["eng"]), ("carol", []), ("eng", [])]
    left = 0
    for _ in range(tries):
        name, groups = plan.rng.choice(people)
        wish = plan.wish()
        try:
            finding = find(plan.world.gate, plan.world.caller(name, groups), wish)
        except (NotFound, Invalid):
            continue
        pieces = [piece for hit in finding.packed.packs for piece in hit.pieces]
        left += len(pieces)
        for piece in pieces:
            truth = plan.truths[piece.point]
            allowed = truth.good and any(_names(reader, name, groups) for reader in truth.readers)
            if not allowed or truth.text != piece.text or (wish.sources is not None and truth.source not in wish.sources):
                yield f"{name} got {truth}"
        if sum(len(hit.pieces[0].text) for hit in finding.packed.packs) > 3 * wish.max_tokens or len(finding.packed.packs) > wish.top_k:
            yield f"more than asked for: {wish}"
    if left < tries // 4:
        yield f"only {left} pieces in {tries} tries: the test proves nothing"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plan]:
    world = World(tmp_path_factory.mktemp("plan"))
    yield Plan(world, random.Random(25))
    world.close()


@pytest.fixture
def plan(made: Plan) -> Plan:
    """The world, which no query changes, with dice of its own for each test."""
    made.rng = random.Random(52)
    return made


def test_nothing_leaves_that_the_oracle_forbids(plan: Plan) -> None:
    """Over random filters, sources and callers, tricks included, the answer is within what is allowed."""
    assert list(itertools.islice(violations(plan, TRIES), 3)) == []


def _without(why: Why) -> Callable[[pytest.MonkeyPatch], None]:
    return lambda patch: patch.setattr(delivery, "CHECKS", tuple(check for check in delivery.CHECKS if check[0] is not why))


CONTROLS = {
    "readers": _without(Why.UNREADABLE),
    "superseded": _without(Why.SUPERSEDED),
    "expired": _without(Why.EXPIRED),
    "quarantined": _without(Why.QUARANTINED),
    "held": _without(Why.HELD),
    "stale": _without(Why.STALE),
    "generation": _without(Why.GENERATION),
    "declared-access": lambda patch: patch.setattr("trueup.gate.verify.admits", lambda *_: True),
}


@pytest.mark.parametrize("control", CONTROLS)
def test_each_control_is_what_holds_it(plan: Plan, control: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With any one control off the oracle sees something leave."""
    CONTROLS[control](monkeypatch)
    assert next(violations(plan, TRIES), None) is not None


def test_filter_and_predicate_agree(tmp_path: Path) -> None:
    """Where documents lie in their right slots, the filter and the predicate choose the same."""
    world = World(tmp_path)
    rng = random.Random(7)
    placed = []
    for number in range(12):
        own, secret = rng.choice(READERS), rng.choice(READERS)
        source = world.source(f"s{number}", access={"readers": own, "rules": [{"paths": ["docs/**"], "readers": secret}]})
        placed += [
            (world.document(source, "a.md", f"fox {number} own")[0], own),
            (world.document(source, "docs/a.md", f"fox {number} rule", slot=0)[0], secret),
        ]
    for name, groups in (("alice", []), ("bob", ["eng"]), ("carol", [])):
        finding = find(world.gate, world.caller(name, groups), Wish("fox", top_k=100))
        allowed = {point for point, readers in placed if any(_names(reader, name, groups) for reader in readers)}
        assert set(finding.verified.whys) == allowed
        assert {point for point, why in finding.verified.whys.items() if why is Why.DELIVERED} == allowed
    world.close()
