"""`catalog prepare`: the owner's part, so that nobody else needs the owner's rights."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from tests.unit.cli.conftest import Ended


def plain(url: str) -> str:
    """The URL as libpq takes it."""
    return url.replace("+psycopg", "", 1)


@pytest.fixture
def roles(postgres_url: str) -> Iterator[tuple[str, str]]:
    """Two roles that may do nothing yet: of operators, and of gates."""
    made = (f"operator_{uuid.uuid4().hex[:8]}", f"gate_{uuid.uuid4().hex[:8]}")
    with psycopg.connect(plain(postgres_url), autocommit=True) as owner:
        for role in made:
            owner.execute(f'CREATE ROLE "{role}" LOGIN')
        yield made
        for role in made:
            owner.execute(f'DROP OWNED BY "{role}"')
            owner.execute(f'DROP ROLE "{role}"')


def test_it_migrates_and_grants(trueup: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch, postgres_url: str, roles: tuple[str, str]) -> None:
    """After it the gate's role reads and cannot rewrite; a second run, as of a second replica, changes nothing."""
    monkeypatch.setenv("TRUEUP_CATALOG", postgres_url)
    for _ in range(2):
        ended = trueup("catalog", "prepare", "--operator", roles[0], "--gate", roles[1])
        assert (ended.code, ended.err) == (0, "")
    with psycopg.connect(plain(postgres_url).replace("postgres@", f"{roles[1]}@", 1), autocommit=True) as gate:
        assert gate.execute("SELECT count(*) FROM sequence").fetchone() == (1,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            gate.execute("DELETE FROM document")


def test_a_role_that_is_not_there_is_a_sentence(trueup: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch, postgres_url: str) -> None:
    """Nothing is left half done: without its roles the catalog is not made either."""
    monkeypatch.setenv("TRUEUP_CATALOG", postgres_url)
    ended = trueup("catalog", "prepare", "--operator", "nobody_1", "--gate", "nobody_2")
    assert ended.code == 1
    assert "both roles must exist" in ended.err
    with psycopg.connect(plain(postgres_url)) as owner:
        assert owner.execute("SELECT to_regclass('document')").fetchone() == (None,)


@pytest.mark.parametrize("arguments", [["--gate", "g"], ["--operator", "o", "--gate", "g"]], ids=["one of two", "SQLite"])
def test_it_is_refused_where_it_makes_no_sense(trueup: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: list[str]) -> None:
    """A role that was forgotten keeps no rights by accident; SQLite has no roles."""
    monkeypatch.setenv("TRUEUP_CATALOG", f"sqlite:///{tmp_path}/catalog.db")
    assert trueup("catalog", "prepare", *arguments).code == 2
