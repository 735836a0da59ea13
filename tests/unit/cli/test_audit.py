"""`audit`: on the home of an installation, and through its server."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Ended, Server
from trueup.catalog import audit, migrate
from trueup.catalog.store import SqliteStore, Write
from trueup.gate.keys import Keys
from trueup.gate.sealing import CheckpointSeal
from trueup.surfaces.cli.owner import Wall

Run = Callable[..., Ended]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The home of an installation that recorded three rows and sealed them."""
    made = tmp_path / "home"
    made.mkdir(mode=0o700)
    seal = CheckpointSeal(Keys.load(made / "keys").checkpoint)
    with closing(SqliteStore(made / "catalog.db", Wall())) as store:
        store.write(lambda tx: migrate.prepare(tx.connection))

        def record(tx: Write) -> None:
            for name in ("a", "b", "x\x1b[31m"):
                tx.audit("Request", principal=f"user:{name}", object="POST /v1/retrieve", decision="Allowed")

        store.write(record)
        audit.checkpoint(store, made / "checkpoints", seal, 1795262400.0)
    return made


def test_a_whole_log_is_whole(home: Path, trueup: Run) -> None:
    """verify ends with 0 and says so."""
    assert trueup("audit", "verify") == Ended(0, "The audit log is whole.\n", "")


@pytest.mark.parametrize(
    ("statement", "where"),
    [
        ("UPDATE audit SET principal = 'user:z' WHERE seq = 2", "row 2: it was changed"),
        ("DELETE FROM audit WHERE seq = 2", "row 3: the rows from 2 to 2 are missing"),
        ("DELETE FROM audit WHERE seq = 3", "row 3: it is missing"),
        ("DELETE FROM audit", "row 3: it is missing"),
    ],
)
def test_a_log_that_was_tampered_with_is_not(statement: str, where: str, home: Path, trueup: Run) -> None:
    """A changed or missing row is exit 1, and where."""
    with closing(sqlite3.connect(home / "catalog.db")) as db:
        db.execute(statement)
        db.commit()
    ended = trueup("audit", "verify")
    assert ended.code == 1
    assert where in ended.out
    assert ended.err.count("\n") == 1


def test_a_missing_checkpoint_is_found(home: Path, trueup: Run) -> None:
    """So is a checkpoint that somebody removed."""
    next((home / "checkpoints").iterdir()).unlink()
    ended = trueup("audit", "verify")
    assert (ended.code, "checkpoint" in ended.out) == (1, True)


def test_export_reads_the_home(home: Path, trueup: Run) -> None:
    """Rows are JSON lines with every column, and harm no terminal; --after continues."""
    ended = trueup("audit", "export")
    rows = [json.loads(text) for text in ended.out.splitlines()]
    assert [r["principal"] for r in rows] == ["user:a", "user:b", "user:x\x1b[31m"]
    assert set(rows[0]) == {"chain", "seq", "at", "kind", "principal", "object", "decision", "reason", "data", "prev", "hash"}
    assert "\x1b" not in ended.out
    place = f"{rows[1]['at']}/{rows[1]['chain']}/{rows[1]['seq']}"
    assert trueup("audit", "export", "--after", place).out.splitlines() == ended.out.splitlines()[2:]
    assert trueup("audit", "export", "--after", "a/b").code == 1


def test_export_asks_the_server_with_a_token(server: Server, trueup: Run) -> None:
    """An auditor without the home gets the log from the server, and its refusal as a sentence."""
    server.on("GET", "/v1/audit", {"seq": 1})
    assert trueup("audit", "export", "--after", "2026").out == '{"seq": 1}\n'
    assert server.calls[0].query == {"after": ["2026"]}
    server.on("GET", "/v1/audit", {"detail": "This caller may not do this."}, 403)
    assert trueup("audit", "export") == Ended(1, "", "error: This caller may not do this.\n")


def test_without_a_home_there_is_nothing_to_read(trueup: Run, tmp_path: Path) -> None:
    """verify does not make a catalog to find it whole."""
    assert trueup("audit", "verify").code == 1
    assert not (tmp_path / "home").exists()
