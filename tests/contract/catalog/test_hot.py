"""Statements that go to the driver as they are must fail, and be asked by many ids, as all others do."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from tests.contract.catalog.shelf import Shelf
from trueup.catalog.hot import Hot, HotByIds
from trueup.catalog.store import Store, Write
from trueup.errors import CatalogError

PUT = Hot("INSERT INTO meta (key, value) VALUES (?, ?)")
GET = HotByIds("SELECT key, value FROM meta WHERE key")


def test_more_ids_than_one_statement_can_bind(store: Store) -> None:
    """However many ids are asked for, every one that is there is found, and none twice."""
    names = [f"k{number:04}" for number in range(2500)]
    store.write(lambda tx: tx.put(PUT, *((name, name) for name in names)))
    with store.read() as read:
        assert sorted(read.hot_by_ids(GET, {*names, "absent"})) == [(name, name) for name in names]
        assert read.hot_by_ids(GET, []) == []


def test_what_a_driver_refuses_denies_and_says_no_more(store: Store) -> None:
    """A snapshot in which the database refuses a statement is a denial, which quotes nothing; the next one is whole."""
    with pytest.raises(CatalogError, match=r"^The catalog could not be read \(\w+\)\.$"), store.read() as read:
        read.hot(Hot("SELECT nothing FROM nowhere WHERE secret = ?"), "secret")
    with store.read() as read:
        assert read.hot(Hot("SELECT value FROM sequence WHERE id = ?"), 1) == [(read.sequence(),)]


def test_a_unit_that_the_driver_refuses_leaves_nothing(store: Store) -> None:
    """A key that is there already ends the unit and nothing else: its own other rows go, and the next unit happens."""
    store.write(lambda tx: tx.put(PUT, ("taken", "first")))

    def unit(tx: Write) -> None:
        tx.put(PUT, ("new", "second"))
        tx.put(PUT, ("taken", "second"))

    with pytest.raises(CatalogError, match=r"^The catalog could not be written \(\w+\)\.$"):
        store.write(unit)
    store.write(lambda tx: tx.put(PUT, ("after", "third")))
    with store.read() as read:
        assert sorted(read.hot_by_ids(GET, ["after", "new", "taken"])) == [("after", "third"), ("taken", "first")]


def test_a_snapshot_holds_for_both_ways_of_asking(shelf: Shelf) -> None:
    """A statement handed to the driver sees the moment that the snapshot shows, whatever is committed meanwhile."""
    shelf.put({"a.md": "alpha"})
    now = Hot("SELECT value FROM sequence WHERE id = ?")
    with shelf.store.read() as read:
        before = read.hot(now, 1)
        shelf.remove("a.md")
        assert read.hot(now, 1) == before == [(read.sequence(),)]
        assert read.value(sa.text("SELECT state FROM document")) == "live"
