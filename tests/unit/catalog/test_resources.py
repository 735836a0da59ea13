"""Resources in the catalog behave as in a cluster."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from trueup.catalog import resources
from trueup.catalog.schema import metadata
from trueup.catalog.store import SqliteStore
from trueup.errors import Conflict, NotFound
from trueup.model.resources import parse_manifest, parse_stored

NOW = 1795271409.75


class _Still:
    def now(self) -> float:
        return NOW

    def monotonic(self) -> float:
        return 0.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    path = tmp_path / "catalog.db"
    engine = sa.create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        metadata.create_all(connection)
        connection.execute(sa.text("INSERT INTO sequence (id, value, at) VALUES (1, 0, 0)"))
    engine.dispose()
    opened = SqliteStore(path, _Still())
    yield opened
    opened.close()


def _manifest(name: str = "docs", meta: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "trueup.dev/v1alpha1",
        "kind": "ContextSource",
        "metadata": {"name": name, **(meta or {})},
        "spec": {"source": {"type": "Directory", "directory": {"path": "/srv"}}, **spec},
    }


def _put(store: SqliteStore, manifest: dict[str, Any]) -> resources.Object:
    return store.write(lambda tx: resources.put(tx, parse_manifest(manifest)))


def _get(store: SqliteStore, name: str = "docs", namespace: str = "default") -> resources.Object:
    with store.read() as read:
        return resources.get(read, "ContextSource", namespace, name)


def test_a_created_object_looks_as_in_a_cluster(store: SqliteStore) -> None:
    """Metadata that an API server gives, the spec with its defaults, a status that nobody observed yet."""
    made = _put(store, _manifest(meta={"labels": {"team": "a"}}))
    meta = made["metadata"]
    assert list(made) == ["apiVersion", "kind", "metadata", "spec", "status"]
    assert (meta["name"], meta["namespace"], meta["generation"], meta["labels"]) == ("docs", "default", 1, {"team": "a"})
    assert meta["creationTimestamp"] == "2026-11-21T14:30:09Z"
    assert "annotations" not in meta
    assert meta["resourceVersion"].isdigit()
    assert made["spec"]["interval"] == "5m"
    assert made["status"]["observedGeneration"] == -1
    assert _get(store) == made
    assert parse_stored(made).metadata.uid == meta["uid"]


def test_the_generation_moves_only_with_the_spec(store: SqliteStore) -> None:
    """A label is no new generation; applying the same again is no change at all."""
    first = _put(store, _manifest())["metadata"]
    again = _put(store, _manifest())["metadata"]
    labelled = _put(store, _manifest(meta={"labels": {"a": "b"}}))["metadata"]
    spelled_out = _put(store, _manifest(meta={"labels": {"a": "b"}}, interval="5m"))["metadata"]
    changed = _put(store, _manifest(meta={"labels": {"a": "b"}}, interval="9m"))["metadata"]
    assert again == first
    assert (labelled["generation"], changed["generation"]) == (1, 2)
    assert spelled_out == labelled
    assert int(first["resourceVersion"]) < int(labelled["resourceVersion"]) < int(changed["resourceVersion"])
    assert first["uid"] == changed["uid"]


def test_an_old_resource_version_is_a_conflict(store: SqliteStore) -> None:
    """Whoever names the version that they read loses to whoever was quicker, and nothing is written."""
    read = _put(store, _manifest())["metadata"]["resourceVersion"]
    _put(store, _manifest(interval="9m"))
    with pytest.raises(Conflict, match="Read it again"):
        _put(store, _manifest(meta={"resourceVersion": read}, interval="1m"))
    assert _get(store)["spec"]["interval"] == "9m"
    _put(store, _manifest(meta={"resourceVersion": _get(store)["metadata"]["resourceVersion"]}, interval="1m"))
    assert _get(store)["spec"]["interval"] == "1m"


@pytest.mark.parametrize("meta", [{"resourceVersion": "1"}, {"uid": "u"}], ids=["resourceVersion", "uid"])
def test_what_is_gone_is_not_made_anew_by_mistake(store: SqliteStore, meta: dict[str, Any]) -> None:
    """A manifest that speaks of an object which was deleted is no order to create another one."""
    with pytest.raises(Conflict, match="deleted since"):
        _put(store, _manifest(meta=meta))
    with pytest.raises(NotFound):
        _get(store)


def test_our_annotations_outlive_an_apply(store: SqliteStore) -> None:
    """A manifest without requestedAt takes back no order; other annotations and labels become the manifest's."""
    _put(store, _manifest(meta={"annotations": {"team": "a", "note": "b"}, "labels": {"x": "y"}}))
    store.write(lambda tx: resources.annotate(tx, "ContextSource", "default", "docs", {"trueup.dev/requestedAt": "1"}))
    applied = _put(store, _manifest(meta={"annotations": {"team": "c"}}))["metadata"]
    assert applied["annotations"] == {"team": "c", "trueup.dev/requestedAt": "1"}
    assert "labels" not in applied
    assert _put(store, _manifest(meta={"annotations": {"trueup.dev/requestedAt": "2"}}))["metadata"]["annotations"] == {"trueup.dev/requestedAt": "2"}
    removed = store.write(lambda tx: resources.annotate(tx, "ContextSource", "default", "docs", {"trueup.dev/requestedAt": None}))
    assert "annotations" not in removed["metadata"]
    assert removed["metadata"]["generation"] == 1


def test_status_is_written_only_when_it_changed(store: SqliteStore) -> None:
    """A quiet pass leaves the resourceVersion alone, and watchers asleep; spec and generation are not touched."""
    before = _put(store, _manifest())["metadata"]
    status = {"observedGeneration": 1, "documents": {"live": 2}}

    def write() -> bool:
        return store.write(lambda tx: resources.set_status(tx, "ContextSource", "default", "docs", status, uid=before["uid"]))

    assert (write(), write()) == (True, False)
    after = _get(store)
    assert after["status"] == status
    assert after["metadata"]["generation"] == 1
    assert int(after["metadata"]["resourceVersion"]) > int(before["resourceVersion"])
    _put(store, _manifest(interval="9m"))
    assert _get(store)["status"] == status


def test_status_of_a_former_object_does_not_land_on_its_successor(store: SqliteStore) -> None:
    """A late write of a dead pass speaks of another uid."""
    old = _put(store, _manifest())["metadata"]["uid"]
    store.write(lambda tx: resources.delete(tx, "ContextSource", "default", "docs"))
    new = _put(store, _manifest())["metadata"]["uid"]
    assert new != old
    with pytest.raises(NotFound):
        store.write(lambda tx: resources.set_status(tx, "ContextSource", "default", "docs", {"observedGeneration": 9}, uid=old))
    assert _get(store)["status"]["observedGeneration"] == -1


def test_lists_are_by_namespace_and_name(store: SqliteStore) -> None:
    """One namespace or all; kinds apart."""
    for name, namespace in (("b", "x"), ("a", "x"), ("c", "default")):
        _put(store, _manifest(name, {"namespace": namespace}))
    _put(store, {"apiVersion": "trueup.dev/v1alpha1", "kind": "ContextIndex", "metadata": {"name": "default"}})
    with store.read() as read:
        everywhere = [f"{o['metadata']['namespace']}/{o['metadata']['name']}" for o in resources.list_(read, "ContextSource")]
        assert everywhere == ["default/c", "x/a", "x/b"]
        assert [o["metadata"]["name"] for o in resources.list_(read, "ContextSource", "x")] == ["a", "b"]
        assert [o["kind"] for o in resources.list_(read, "ContextIndex")] == ["ContextIndex"]


def test_what_is_not_there_is_not_found(store: SqliteStore) -> None:
    """Each verb on nothing says so."""
    for verb in (
        lambda tx: resources.get(tx, "ContextSource", "default", "x"),
        lambda tx: resources.delete(tx, "ContextSource", "default", "x"),
        lambda tx: resources.annotate(tx, "ContextSource", "default", "x", {}),
        lambda tx: resources.set_status(tx, "ContextSource", "default", "x", {}),
    ):
        with pytest.raises(NotFound, match="There is no ContextSource default/x"):
            store.write(verb)


def test_a_unit_that_fails_leaves_nothing(store: SqliteStore) -> None:
    """A resource and what is declared from it are one transaction."""

    def unit(tx: Any) -> None:
        resources.put(tx, parse_manifest(_manifest()))
        raise Conflict

    with pytest.raises(Conflict):
        store.write(unit)
    with pytest.raises(NotFound):
        _get(store)
