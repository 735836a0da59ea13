"""Which catalog a URL opens."""

from __future__ import annotations

import builtins
import time
from pathlib import Path
from typing import Any

import pytest

from trueup.catalog.announcing import Announcements
from trueup.catalog.opening import open_store
from trueup.catalog.store import SqliteStore
from trueup.errors import CatalogError


class Clocks:
    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


def test_a_file_is_the_embedded_catalog(tmp_path: Path) -> None:
    """With the machine's clock, which is the only one there."""
    clocks = Clocks()
    store = open_store(f"sqlite:///{tmp_path / 'a.db'}", clocks)
    assert isinstance(store, SqliteStore)
    assert store.clock is clocks
    store.close()


@pytest.mark.parametrize("url", ["", "nonsense", "sqlite://", "sqlite:///:memory:", "mysql://u:hunter2@h/d", "postgresql://u:hunter2@h:port/d"])
def test_what_is_no_catalog_is_refused(url: str) -> None:
    """The message says what one looks like, and repeats nothing of what was given."""
    with pytest.raises(CatalogError, match="must be") as caught:
        open_store(url, Clocks())
    assert "hunter2" not in str(caught.value)


def test_a_missing_driver_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL's driver is an extra."""
    original = builtins.__import__

    def without(name: str, *rest: Any, **named: Any) -> Any:
        if name == "trueup.catalog.postgres":
            raise ImportError
        return original(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(CatalogError, match=r"install trueup\[postgres\]"):
        open_store("postgresql://u@h/d", Clocks())


def test_a_subscriber_that_fails_keeps_the_word_from_nobody() -> None:
    """The writer lives, and the others are told."""
    announcements = Announcements()
    told: list[str] = []

    def fails(_: str) -> None:
        raise ZeroDivisionError

    announcements.subscribe(fails)
    announcements.subscribe(told.append)
    announcements.tell(("one", "two"))
    assert told == ["one", "two"]
