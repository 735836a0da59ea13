"""The ConfigMap connector, over an API server in memory."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from tests.unit.operator.server import Server
from trueup.decide.selection import GlobSelection
from trueup.errors import ClusterError, ClusterForbidden, SourceDenied, SourceMisconfigured, SourceUnavailable, TooLarge, VersionGone
from trueup.model.listing import Complete, Item, Presence, Scope
from trueup.model.resources import ContextSourceSpec
from trueup.sources.configmap import ConfigMap, open_source
from trueup.sources.opening import OpenContext

PLACE = "/api/v1/namespaces/team/configmaps/runbook"


@pytest.fixture
def server() -> Server:
    made = Server()
    put(made, data={"b.md": "two", "a.md": "one"}, binaryData={"c.bin": base64.b64encode(b"\xff").decode()})
    return made


def put(server: Server, uid: str = "u1", **members: Any) -> None:
    server.put(PLACE, {"metadata": {"uid": uid}, **members})


@pytest.fixture
def source(server: Server) -> ConfigMap:
    return ConfigMap(server, "team", "runbook")


def listed(source: ConfigMap, scope: Scope | None = None) -> tuple[dict[str, str], Complete]:
    *items, end = source.observe(scope or Scope(), GlobSelection((), (), supported=lambda _: True), None)
    assert isinstance(end, Complete)
    return {item.uri: item.version for item in items if isinstance(item, Item)}, end


def test_each_key_is_a_document(source: ConfigMap) -> None:
    """In order, text and bytes alike, read at the version that was listed, from one request."""
    found, end = listed(source)
    assert list(found) == ["a.md", "b.md", "c.bin"]
    assert source.read("a.md", found["a.md"], 100).data == b"one"
    assert source.read("c.bin", found["c.bin"], 100).data == b"\xff"
    assert end.revision == source.revision()
    with pytest.raises(TooLarge):
        source.read("a.md", found["a.md"], 2)


def test_what_changes_is_what_changed(server: Server, source: ConfigMap) -> None:
    """A key's version is its value's; the probe moves with any change, and with an object made anew."""
    before, first = listed(source)
    put(server, data={"a.md": "one", "b.md": "other"})
    after, second = listed(source)
    assert after["a.md"] == before["a.md"]
    assert after["b.md"] != before["b.md"]
    assert first.revision != second.revision
    assert [source.check("a.md", before["a.md"]), source.check("b.md", before["b.md"]), source.check("c.bin", before["c.bin"])] == [
        Presence.SAME,
        Presence.CHANGED,
        Presence.ABSENT,
    ]
    with pytest.raises(VersionGone):
        source.read("b.md", before["b.md"], 100)
    server.objects[PLACE]["metadata"]["uid"] = "u2"
    assert source.revision() != second.revision


def test_a_part_is_listed_as_a_part(source: ConfigMap) -> None:
    """A hint about one key concerns that key alone."""
    assert list(listed(source, Scope(("b.md",)))[0]) == ["b.md"]


def test_a_missing_one_is_an_outage_and_no_empty_listing(server: Server, source: ConfigMap) -> None:
    """P12, P35: nothing is deleted because the object went; what is forbidden says what to bind."""
    server.objects.clear()
    with pytest.raises(SourceUnavailable, match="no ConfigMap runbook"):
        listed(source)
    server.fault = ClusterForbidden(why="no")
    with pytest.raises(SourceDenied, match="bind the ClusterRole trueup-source-reader"):
        listed(source)
    server.fault = ClusterError(why="away")
    with pytest.raises(SourceUnavailable):
        listed(source)


def test_who_may_not_get_it_does_not_try_to_watch(server: Server, source: ConfigMap) -> None:
    """The audit log of the API server shows no request that was sure to be refused."""
    server.fault = ClusterForbidden(why="no")
    assert source.watch(lambda _: None) is None
    assert server.calls == [("get", PLACE)]


def test_outside_a_cluster_it_says_so(tmp_path: Path) -> None:
    """The embedded profile has no ConfigMaps."""
    spec = ContextSourceSpec.model_validate({"source": {"type": "ConfigMap", "configMap": {"name": "runbook"}}})
    with pytest.raises(SourceMisconfigured, match="in a cluster only"):
        open_source(spec, OpenContext((), (), tmp_path))
