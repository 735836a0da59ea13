"""P23, P31, P34, P40, A38: clocks that jump, an index that fails or lies, a controller or a catalog that is gone."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.scenarios.harness.documents import COMMON, canary, prose
from tests.scenarios.harness.inside import Inside
from tests.scenarios.harness.stage import SLACK, Stage, parsed
from trueup.catalog import serving
from trueup.catalog.store import Store
from trueup.errors import CatalogError, SourceUnavailable
from trueup.gate.identity import mint
from trueup.model.index import GenerationSpec, Point
from trueup.model.principal import Role
from trueup.testing.faults import Fault

MONTH = 30 * 24 * 3600.0
House = tuple[Stage, Inside]


def ages(stage: Stage, house: Inside, answer: dict[str, Any]) -> None:
    """No age below zero, and nothing vouched for in a time that has not come."""
    for result in answer["results"]:
        for place in result["provenance"]:
            if place["freshness"]["state"] == "Fresh":
                assert place["freshness"]["age_seconds"] >= 0
                assert parsed(place["freshness"]["verified_at"]) <= house.clock.now() + 2
    assert stage.truth.violations == []


@pytest.mark.parametrize("shift", [MONTH, -MONTH], ids=["forward", "back"])
def test_a_clock_that_jumps_makes_nothing_fresh(house: House, shift: float) -> None:
    """P23: after a jump of thirty days either way, what cannot be read again is withheld; read again, it is served."""
    stage, installation = house
    origin = stage.tree()
    stage.fill(origin, 3)
    stage.up(origin, interval="2s", freshness={"maxStaleness": "5m"})
    stage.serves_truth(origin)
    stage.truth.outage(origin.key)
    installation.faults.outage = SourceUnavailable(why="a test has made it so")
    installation.clock.shift = shift
    for _ in range(20):
        answer = stage.reader.send("POST", "/v1/retrieve", {"query": COMMON, "sources": [origin.key]})
        if answer.status == 401:
            break  # a token of a month ago has run out as well
        assert answer.body["results"] == [], "fresh by a jump"
        time.sleep(0.05)
    renewed(stage, installation)
    assert stage.answer(origin)["results"] == []
    installation.faults.clear()
    stage.truth.recovered(origin.key)
    stage.serves_truth(origin, 30 * SLACK)
    ages(stage, installation, stage.answer(origin))
    installation.clock.shift = 0.0
    renewed(stage, installation)
    stage.serves_truth(origin, 30 * SLACK)
    ages(stage, installation, stage.answer(origin))


def renewed(stage: Stage, installation: Inside) -> None:
    """Mint tokens by the clock that the installation has now."""
    installation._tokens.clear()
    stage._clients.clear()
    for user, roles in (("reader", ()), ("operator", (Role.OPERATOR, Role.AUDITOR))):
        made = mint(installation.gate.keys.token, installation.clock, user, roles=roles, ttl=36_000)
        installation._tokens[user, *(role.value for role in roles), ""] = made


@pytest.mark.parametrize("fault", [Fault.TIMEOUT, Fault.LOST_ANSWER, Fault.EVERY_OTHER, Fault.READ_ONLY])
def test_an_index_that_fails_during_deletes(house: House, fault: Fault) -> None:
    """P31: the tombstone holds at the gate at once, whatever the index does; well again, everything is true."""
    stage, installation = house
    assert installation.index is not None
    origin = stage.tree()
    uris = stage.fill(origin, 8, paragraphs=2)
    stage.up(origin)
    stage.serves_truth(origin)
    stage.truth.excuse(origin.key)
    dead = [stage.mark(origin, uri) for uri in uris[:3]]
    new = canary()
    installation.index.fault = fault
    for uri in uris[:3]:
        origin.delete(uri)
    origin.write(uris[3], prose(new))
    stage.until(lambda: len([t for t in stage.tombstones(origin) if t["reason"] == "Deleted"]) == 3, 10, "tombstones")
    for _ in range(6):
        for mark in dead:
            reply = stage.reader.retrieve(mark, [origin.key])
            assert reply.status in ({200} if fault in {Fault.LOST_ANSWER, Fault.READ_ONLY} else {200, 503})
            stage.truth.judge(reply)
            assert mark not in str(reply.body)
    if fault is not Fault.EVERY_OTHER:
        stage.until(
            lambda: stage.condition(origin, "IndexWriteFailed") or stage.status(origin)["documents"]["failed"],
            30,
            lambda: f"said in status: {stage.status(origin)}",
        )
    installation.index.heal()
    stage.reconcile(origin)
    stage.appears(new, origin, 30 * SLACK)
    stage.serves_truth(origin, 30 * SLACK)
    stage.until(lambda: not stage.condition(origin, "IndexWriteFailed"), 60, "well again")
    assert stage.truth.violations == []


def generation_of(installation: Inside) -> GenerationSpec:
    with installation.gate.store.read() as read:
        return next(iter(serving.serving(read).values()))


def test_points_that_are_stray_edited_or_removed(house: House) -> None:
    """P34: foreign points are never served, edited ones show nothing that they should not, and a sweep repairs all three."""
    stage, installation = house
    index = installation.index
    assert index is not None
    origin = stage.tree()
    stage.fill(origin, 6)
    stage.up(origin)
    stage.serves_truth(origin)
    generation = generation_of(installation)
    chunks = {hit["provenance"][0]["uri"]: hit["chunk"] for hit in stage.answer(origin)["results"]}
    keys = index.present(generation, list(chunks.values()))
    stray = str(uuid.uuid4())
    vectors = installation.gate.embedders.get(generation).embed([f"{COMMON} {canary()}"])[0]
    one, two, three = (chunks[f"docs/00{n}.md"] for n in (0, 1, 2))
    index.upsert(generation, [Point(stray, keys[one], vectors), Point(two, keys[two], vectors)])
    index.delete(generation, [three])
    for _ in range(5):
        answer = stage.answer(origin)
        assert stray not in {hit["chunk"] for hit in answer["results"]}
        assert stage.truth.violations == []
    assert three not in {hit["chunk"] for hit in stage.answer(origin)["results"]}
    stage.truth.excuse(origin.key)
    stage.operator.ok("POST", "/v1/index/sweep", {})
    stage.until(lambda: stray not in index.present(generation, [stray]), 30, "the stray point is gone")
    stage.serves_truth(origin, 30)


def test_freshness_decays_without_a_controller(house: House) -> None:
    """P40: with the controller gone for good the gate goes on, and its content runs out by itself."""
    stage, installation = house
    origin = stage.tree()
    stage.fill(origin, 3)
    stage.up(origin, interval="1s", freshness={"maxStaleness": "4s"})
    stage.serves_truth(origin)
    installation.leave()
    stage.truth.outage(origin.key)
    assert len(stage.served(origin)) == 3
    stage.until(lambda: not stage.served(origin), 4 + SLACK, "withheld")
    assert stage.answer(origin)["withheld"]["stale"] == 3


def test_a_catalog_that_cannot_be_read_denies(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A38: no decision without the catalog: 503, and no text."""
    stage, installation = house
    origin = stage.tree()
    stage.fill(origin, 2)
    stage.up(origin)
    stage.serves_truth(origin)
    stage.truth.excuse(origin.key)

    @contextlib.contextmanager
    def broken(_: Store) -> Iterator[None]:
        raise CatalogError("made by a test")
        yield

    with monkeypatch.context() as patch:
        patch.setattr(type(installation.gate.store), "read", broken)
        reply = stage.reader.retrieve(COMMON, [origin.key])
    assert reply.status == 503
    assert "results" not in reply.body
    stage.serves_truth(origin)
