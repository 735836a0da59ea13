"""`wait`, `reconcile` and `confirm`: what they wait for, and when they fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.cli.conftest import Answer, Call, Ended, Server, at, source
from trueup.surfaces.cli.objects import CONFIRM, REQUESTED
from trueup.surfaces.cli.wait import holds

Run = Callable[..., Ended]


def test_wait_returns_when_the_condition_is_met(server: Server, trueup: Run) -> None:
    """Ready=True of this generation ends the wait."""
    states = [source(ready="Unknown"), source()]
    server.on("GET", at(), lambda _: (200, states[min(len(server.calls) - 1, 1)]))
    assert trueup("wait", "source", "docs", "--for=condition=Ready") == Ended(0, "contextsource/docs condition met\n", "")
    assert len(server.calls) == 2


@pytest.mark.parametrize(
    ("kind", "status", "generation", "observed", "whole", "met"),
    [
        ("Ready", "True", 1, 1, 1, True),
        ("Ready", "True", 2, 1, 1, False),  # said of the spec before
        ("Ready", "True", 2, 2, 1, False),  # the generation has not ended yet
        ("Ready", "True", 2, None, 2, True),
        ("Ready", "True", 2, None, 1, False),
        ("Ready", "False", 1, 1, 1, False),  # it is True
        ("Fresh", "True", 1, 1, -1, True),
        ("Suspended", "True", 1, 1, 1, False),  # it is not there
    ],
)
def test_a_condition_must_speak_of_the_present_generation(kind: str, status: str, generation: int, observed: int | None, whole: int, *, met: bool) -> None:
    """An old condition never ends a wait for what was just applied."""
    present = source(observedGeneration=whole)
    present["metadata"]["generation"] = generation
    for each in present["status"]["conditions"]:
        each["observedGeneration"] = observed
        if observed is None:
            del each["observedGeneration"]
    assert holds(present, kind, status) is met


def test_a_failure_of_a_generation_that_never_ended_can_be_waited_for() -> None:
    """Ready=False is met by the condition's own generation: the status's moves only when a generation ends well."""
    assert holds(source(ready="False", observedGeneration=-1), "Ready", "False")


def test_wait_fails_with_the_present_message(server: Server, trueup: Run) -> None:
    """On timeout, one sentence says what Ready says now."""
    server.on("GET", at(), source(ready="False", message="The source is out of reach."))
    ended = trueup("wait", "source", "docs", "--for=condition=Ready", "--timeout", "200ms")
    assert ended == Ended(1, "", "error: Ready of default/docs did not become True within 200ms: The source is out of reach.\n")


def test_wait_is_used_rightly(server: Server, trueup: Run) -> None:
    """A condition or timeout that makes no sense is wrong usage; what is not there fails at once."""
    for arguments in (("--for=Ready",), ("--for=condition=Ready=Maybe",), ("--for=condition=Ready", "--timeout", "soon"), ()):
        assert trueup("wait", "source", "docs", *arguments).code == 2
    assert trueup("wait", "source", "docs", "--for=condition=Ready").code == 1
    assert len(server.calls) == 1


def handles(server: Server, **status: Any) -> list[Call]:
    """A server that keeps the annotation that is put, and echoes it from the second read on; returns the puts."""
    asked: list[Call] = []
    present = source()

    def put(call: Call) -> Answer:
        asked.append(call)
        present["metadata"]["annotations"] = call.body["metadata"]["annotations"]
        return 200, present

    def get(_: Call) -> Answer:
        reads = len(server.sent("GET"))
        if asked and reads > 2:
            present["status"] = {**source(**status)["status"], "lastHandledReconcileAt": asked[-1].body["metadata"]["annotations"][REQUESTED]}
        return 200, present

    server.on("PUT", at(), put)
    server.on("GET", at(), get)
    return asked


def test_reconcile_changes_one_annotation_and_nothing_else(server: Server, trueup: Run) -> None:
    """It puts the object back as it was, with a unique request and the version it read."""
    asked = handles(server)
    assert trueup("reconcile", "source", "docs").out == "contextsource/docs reconciliation requested\n"
    trueup("reconcile", "source", "docs")
    first, second = (call.body for call in asked)
    assert first["spec"] == source()["spec"]
    assert "status" not in first
    assert first["metadata"]["resourceVersion"] == "7"
    assert first["metadata"]["annotations"][REQUESTED] != second["metadata"]["annotations"][REQUESTED]


def test_reconcile_waits_for_its_own_pass(server: Server, trueup: Run) -> None:
    """--wait returns once the echo of this very request is there and nothing is being loaded any more."""
    handles(server)
    assert trueup("reconcile", "source", "docs", "--wait") == Ended(0, "contextsource/docs reconciled\n", "")
    assert len(server.sent("GET")) >= 3


def test_reconcile_does_not_return_while_the_pass_loads(server: Server, trueup: Run) -> None:
    """Handled is not published: while Reconciling is True, it goes on waiting."""
    handles(
        server, conditions=[{"type": "Ready", "status": "Unknown", "message": "2 documents are still being loaded."}, {"type": "Reconciling", "status": "True"}]
    )
    ended = trueup("reconcile", "source", "docs", "--wait", "--timeout", "300ms")
    assert ended.code == 1
    assert "2 documents are still being loaded." in ended.err


@pytest.mark.parametrize("kind", ["Stalled", "IndexWriteFailed"])
def test_reconcile_fails_with_its_pass(kind: str, server: Server, trueup: Run) -> None:
    """A pass that failed is exit 1 with why."""
    handles(server, conditions=[{"type": kind, "status": "True", "reason": "X", "message": "It broke."}])
    ended = trueup("reconcile", "source", "docs", "--wait")
    assert ended == Ended(1, "", "error: The pass over default/docs failed: It broke.\n")


def test_reconcile_fails_when_the_source_cannot_be_read(server: Server, trueup: Run) -> None:
    """Ready False is a failed pass; a listing with gaps, where Ready stays True, is none."""
    ready = {"type": "Ready", "status": "False", "reason": "FetchFailed", "message": "The source is out of reach."}
    handles(server, conditions=[ready])
    assert trueup("reconcile", "source", "docs", "--wait").code == 1
    server.calls.clear()
    handles(server, conditions=[{**ready, "status": "True"}, {"type": "FetchFailed", "status": "True", "reason": "PartialListing", "message": "1 place."}])
    assert trueup("reconcile", "source", "docs", "--wait").code == 0


def test_reconcile_tells_of_a_held_deletion(server: Server, trueup: Run) -> None:
    """A hold is no failure, but nobody should miss it."""
    handles(server, heldDeletion={"observation": "o1", "documents": 30, "since": "", "reason": ""})
    ended = trueup("reconcile", "source", "docs", "--wait")
    assert ended.code == 0
    assert "trueup confirm source default/docs o1" in ended.err


def test_reconcile_of_a_suspended_source_fails(server: Server, trueup: Run) -> None:
    """Suspended sources are not looked at, so waiting would be for ever."""
    present = source()
    present["spec"]["suspend"] = True
    server.on("GET", at(), present)
    server.on("PUT", at(), present)
    ended = trueup("reconcile", "source", "docs", "--wait")
    assert ended.code == 1
    assert "suspended" in ended.err


def test_changes_by_others_are_met_by_reading_again(server: Server, trueup: Run) -> None:
    """A conflict is tried again with what is there now; a spec that others put meanwhile is not undone."""
    specs = [source(), source()]
    specs[1]["metadata"]["resourceVersion"] = "8"
    specs[1]["spec"]["interval"] = "9s"
    server.on("GET", at(), lambda _: (200, specs[min(len(server.sent("GET")) - 1, 1)]))
    server.on("PUT", at(), lambda call: (200, specs[1]) if call.body["metadata"]["resourceVersion"] == "8" else (409, {"detail": "It changed."}))
    assert trueup("reconcile", "source", "docs").code == 0
    assert [c.body["spec"].get("interval") for c in server.sent("PUT")] == [None, "9s"]


def test_confirm_releases_the_held_observation_and_no_other(server: Server, trueup: Run) -> None:
    """Only the id that is held is put; any other, or none held, is exit 1 and changes nothing."""
    server.on("GET", at(), source(heldDeletion={"observation": "o1", "documents": 30, "since": "", "reason": ""}))
    server.on("PUT", at(), source())
    assert trueup("confirm", "source", "docs", "o2").code == 1
    assert server.sent("PUT") == []
    assert trueup("confirm", "source", "docs", "o1").out == "contextsource/docs confirmed\n"
    assert server.sent("PUT")[0].body["metadata"]["annotations"] == {CONFIRM: "o1"}
    server.on("GET", at(), source())
    assert trueup("confirm", "source", "docs", "o1").code == 1
