"""The controls are real: each scenario holds with the control that guards it, and goes red without it.

A control is switched off by substitution, here and nowhere else: no setting that ships can do it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.scenarios.harness.documents import canary, prose
from tests.scenarios.harness.inside import Inside
from tests.scenarios.harness.stage import Stage
from trueup.catalog import publishing
from trueup.decide import delivery
from trueup.decide.delivery import Why
from trueup.errors import SourceUnavailable
from trueup.gate import reach, verify
from trueup.model.index import Keys
from trueup.reconcile import look
from trueup.testing.faults import Fault


def dead_text(stage: Stage, house: Inside) -> None:
    """P01, P24b, P31: the index keeps, and proposes, what was deleted."""
    assert house.index is not None
    origin = stage.tree()
    uris = stage.fill(origin, 4)
    stage.up(origin)
    stage.serves_truth(origin)
    house.index.fault = Fault.READ_ONLY
    gone = stage.mark(origin, uris[0])
    origin.delete(uris[0])
    stage.gone(gone, origin)
    house.index.heal()


def ended_lease(stage: Stage, house: Inside) -> None:
    """P18, P40: a source that cannot be read any more."""
    origin = stage.tree()
    stage.fill(origin, 2)
    stage.up(origin, interval="1s", freshness={"maxStaleness": "2s"})
    stage.serves_truth(origin)
    house.faults.outage = SourceUnavailable(why="a test has made it so")
    stage.until(lambda: not stage.served(origin), 2 + 4, "withheld")


def gap(stage: Stage, house: Inside) -> None:
    """P24a: a place that cannot be listed. The look that cannot see it concludes nothing about it."""
    origin = stage.tree()
    inside = stage.fill(origin, 4, "shut")
    stage.fill(origin, 4, "open")
    stage.up(origin, interval="1s")
    marks = {stage.mark(origin, uri) for uri in inside}
    house.faults.gaps = ("shut",)
    stage.reconcile(origin)
    assert marks <= stage.served(origin)
    assert not stage.tombstones(origin)


def sudden_emptiness(stage: Stage, house: Inside) -> None:
    """P35: everything vanishes, and nothing is erased before it is confirmed."""
    origin = stage.tree()
    stage.fill(origin, 6)
    stage.up(origin, interval="1s")
    stage.serves_truth(origin)
    house.faults.silent = ("docs",)
    stage.until(lambda: not stage.served(origin), 10, "hidden")
    assert not stage.tombstones(origin)
    house.faults.clear()
    stage.serves_truth(origin)


def late_writer(stage: Stage, house: Inside) -> None:
    """P30, P32: what was still being loaded when its document went is not resurrected by the loader's publication."""
    origin = stage.tree()
    stage.fill(origin, 3)
    stage.up(origin, interval="1h")
    stage.serves_truth(origin)
    assert house.index is not None
    late = canary()
    house.embedding.clear()
    origin.write("docs/late.md", prose(late))
    stage.until(lambda: stage.condition(origin, "Reconciling"), 10, "being loaded")
    origin.delete("docs/late.md")
    stage.reconcile(origin)
    calls = house.index.calls.count("upsert")
    house.embedding.set()
    stage.until(lambda: house.index is not None and house.index.calls.count("upsert") > calls, 10, "the late write")
    stage.never(lambda: stage.hits(late, origin), 1.0, "the dead document is served")


def foreign_reader(stage: Stage, house: Inside) -> None:
    """A04: a caller whom the readers do not admit."""
    del house
    origin = stage.tree()
    stage.fill(origin, 2)
    mark = stage.mark(origin, "docs/000.md")
    stage.declare(origin, access={"readers": [{"kind": "User", "name": "boss"}]}, probed=False)
    stage.ready(origin)
    assert stage.hits(mark, client=stage.caller("boss"))
    assert not stage.hits(mark)


def wrong_keys(stage: Stage, house: Inside) -> None:
    """A04, P34: the index says of a point that everyone may find it. The filter is speed; what the catalog says is truth."""
    assert house.index is not None
    origin, public = stage.tree(), stage.tree("public")
    stage.fill(origin, 2)
    stage.fill(public, 1)
    stage.declare(origin, access={"readers": [{"kind": "User", "name": "boss"}]}, probed=False)
    stage.up(public)
    stage.ready(origin)
    mark = stage.mark(origin, "docs/000.md")
    chunk = stage.hits(mark, client=stage.caller("boss"))[0]["chunk"]
    open_chunk = stage.answer(public)["results"][0]["chunk"]
    with house.gate.store.read() as read:
        generation = next(iter(verify.serving.serving(read).values()))
    keys: dict[str, Keys] = house.index.present(generation, [chunk, open_chunk])
    house.index.put_keys(generation, [(chunk, keys[open_chunk])])
    assert not stage.hits(mark)


def without(*whys: Why) -> tuple[delivery.Check, ...]:
    return tuple(check for check in delivery.CHECKS if check[0] not in whys)


def always(*_: object, **__: object) -> bool:
    return True


@dataclass(frozen=True)
class Control:
    """A control, the scenario that it guards, and what stands in its place when it is off."""

    name: str
    scenario: Callable[[Stage, Inside], None]
    off: tuple[tuple[Any, str, Any], ...]


CONTROLS = [
    Control("catalog-check", dead_text, ((delivery, "CHECKS", without(Why.SUPERSEDED, Why.DEAD, Why.HELD)),)),
    Control("freshness-lease", ended_lease, ((delivery, "CHECKS", without(Why.STALE)),)),
    Control("gaps", gap, ((look, "covered", lambda *_: False),)),
    Control("guard", sudden_emptiness, ((look, "suspicion", lambda *_, **__: None),)),
    Control("epoch", late_writer, ((publishing, "_stands", always),)),
    Control("access-lists", foreign_reader, ((reach, "admits", always), (verify, "admits", always))),
    Control("access-predicate", wrong_keys, ((verify, "admits", always),)),
]
IDS = [control.name for control in CONTROLS]


@pytest.mark.parametrize("control", CONTROLS, ids=IDS)
def test_holds_with_the_control(control: Control, house: tuple[Stage, Inside]) -> None:
    """The scenario is green as Trueup ships, and the oracle saw nothing amiss."""
    stage, installation = house
    control.scenario(stage, installation)
    assert not stage.truth.violations


@pytest.mark.parametrize("control", CONTROLS, ids=IDS)
def test_goes_red_without_it(control: Control, house: tuple[Stage, Inside], monkeypatch: pytest.MonkeyPatch) -> None:
    """The same scenario fails once the control is off: it is this control, and no other, that holds it."""
    stage, installation = house
    for place, name, substitute in control.off:
        monkeypatch.setattr(place, name, substitute)
    with pytest.raises(AssertionError):
        control.scenario(stage, installation)
