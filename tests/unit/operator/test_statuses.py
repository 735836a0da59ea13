"""The one writer of status: only what changed, never over something newer, never without the Lease."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.operator.server import Server
from trueup.errors import ClusterError, LeaseLost
from trueup.operator.shelf import Shelf, merged
from trueup.operator.statuses import Statuses, StatusUnwritten

PLACE = "/apis/trueup.dev/v1alpha1/namespaces/team/contextsources/docs"


class World:
    def __init__(self) -> None:
        self.server, self.shelf, self.held = Server(), Shelf(), True
        self.statuses = Statuses(self.server, self.shelf, lambda: self.held)
        self.shelf.put(self.declare("uid-1", {"chunks": 1}))

    def declare(self, uid: str, status: dict[str, Any]) -> dict[str, Any]:
        meta = {"namespace": "team", "name": "docs", "uid": uid, "generation": 1}
        return self.server.put(PLACE, {"kind": "ContextSource", "metadata": meta, "status": status})

    @property
    def now(self) -> dict[str, Any]:
        found: dict[str, Any] = self.server.objects[PLACE]["status"]
        return found


@pytest.fixture
def world() -> World:
    return World()


def test_only_the_difference_is_sent(world: World) -> None:
    """A merge patch of the members that changed; what is gone becomes null."""
    assert merged({"a": 1, "b": 2, "c": {"x": 1}}, {"a": 1, "c": {"x": 2}}) == {"c": {"x": 2}, "b": None}
    world.statuses.write("uid-1", {"chunks": 1}, {"chunks": 2, "failures": 0})
    assert world.now == {"chunks": 2, "failures": 0}
    world.statuses.write("uid-1", world.now, {"chunks": 2})
    assert world.now == {"chunks": 2}


def test_a_change_beside_the_status_is_no_conflict(world: World) -> None:
    """Somebody annotated the object: the patch is sent again on the newest version, and nothing is lost."""
    world.server.put(PLACE, world.server.objects[PLACE])
    world.statuses.write("uid-1", {"chunks": 1}, {"chunks": 2})
    assert world.now == {"chunks": 2}
    assert [verb for verb, _ in world.server.calls] == ["patch", "get", "patch"]


def test_another_status_is_not_written_over(world: World) -> None:
    """A predecessor wrote a status that this process has not seen: it must be summarized anew, on top of that."""
    world.declare("uid-1", {"chunks": 9})
    with pytest.raises(StatusUnwritten):
        world.statuses.write("uid-1", {"chunks": 1}, {"chunks": 2})
    assert world.now == {"chunks": 9}
    assert world.shelf.get("uid-1")["status"] == {"chunks": 9}  # type: ignore[index]


def test_nothing_is_written_without_the_lease(world: World) -> None:
    """P32: who lost the Lease sends nothing, not even once."""
    world.held = False
    with pytest.raises(LeaseLost):
        world.statuses.write("uid-1", {"chunks": 1}, {"chunks": 2})
    assert world.server.calls == []


def test_an_object_made_anew_is_another_one(world: World) -> None:
    """The status of what was deleted does not land on its successor of the same name."""
    world.declare("uid-2", {"chunks": 1})
    world.statuses.write("uid-1", {"chunks": 1}, {"chunks": 2})
    assert world.now == {"chunks": 1}
    assert world.shelf.get("uid-1") is None


def test_an_api_server_that_is_away_is_told(world: World) -> None:
    """The caller tries again; nothing is taken for written."""
    world.server.fault = ClusterError(why="away")
    with pytest.raises(StatusUnwritten):
        world.statuses.write("uid-1", {"chunks": 1}, {"chunks": 2})


def test_the_shelf_keeps_the_newest(world: World) -> None:
    """An event that comes late does not bring an old status back."""
    old = dict(world.server.objects[PLACE])
    world.statuses.write("uid-1", {"chunks": 1}, {"chunks": 2})
    assert not world.shelf.put(old)
    assert world.shelf.get("uid-1")["status"] == {"chunks": 2}  # type: ignore[index]
