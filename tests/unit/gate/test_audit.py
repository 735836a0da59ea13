"""The audit log: whole, and seen to be broken when it is (A21)."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.gate.world import World
from trueup.catalog import audit
from trueup.catalog.chain import Chain, digest
from trueup.gate.keys import Keys
from trueup.gate.sealing import CheckpointSeal


@pytest.fixture
def log(world: World, tmp_path: Path) -> World:
    """A log of two chains and two checkpoints, with a row behind the last."""
    _write(world, 3)
    _seal(world, tmp_path)
    world.store.chain = Chain.fresh()
    _write(world, 3)
    _seal(world, tmp_path)
    _write(world, 1)
    return world


def _write(world: World, rows: int) -> None:
    for number in range(rows):
        world.clock.pass_(1)
        world.store.write(lambda tx, n=number: tx.audit("Config", principal="p", object=f"o{n}", decision="Allowed", data={"n": n}))  # type: ignore[misc]


def _seal(world: World, folder: Path) -> Path | None:
    return audit.checkpoint(world.store, folder / "checkpoints", CheckpointSeal(world.keys.checkpoint), world.clock.now())


def _problems(world: World, folder: Path) -> list[str]:
    with world.store.read() as read:
        return [str(problem) for problem in audit.verify(read, folder / "checkpoints", CheckpointSeal(world.keys.checkpoint))]


def test_a_whole_log_has_no_problem(log: World, tmp_path: Path) -> None:
    """Several chains, checkpoints, and rows after the last one."""
    assert _problems(log, tmp_path) == []


def _rehash(world: World, where: str) -> None:
    """What the database's owner could do: change a row and set its hash right."""
    rows = world.rows(f"SELECT * FROM audit WHERE {where}")
    entry = {**rows[0]._mapping, "principal": "someone else"}
    world.run("UPDATE audit SET principal = :p, hash = :h WHERE chain = :c AND seq = :s", p="someone else", h=digest(entry), c=entry["chain"], s=entry["seq"])


def _rewrite_all(world: World, _: Path) -> None:
    """The same, with every later row's hash set right as well."""
    _rehash(world, "seq = 1")
    for chain in {row.chain for row in world.rows("SELECT DISTINCT chain FROM audit")}:
        prev = ""
        for row in world.rows("SELECT * FROM audit WHERE chain = :c ORDER BY seq", c=chain):
            entry = {**row._mapping, "prev": prev or row.prev}
            prev = digest(entry)
            world.run("UPDATE audit SET prev = :p, hash = :h WHERE chain = :c AND seq = :s", p=entry["prev"], h=prev, c=chain, s=row.seq)


TAMPERING: dict[str, tuple[Callable[[World, Path], object], str]] = {
    "changed": (lambda w, _: w.run("UPDATE audit SET principal = 'x' WHERE seq = 2"), "changed after it was written"),
    "changed-data": (lambda w, _: w.run("UPDATE audit SET data = '{}' WHERE seq = 1"), "changed after it was written"),
    "rehashed": (lambda w, _: _rehash(w, "seq = 2"), "does not follow the row before it"),
    "all-rehashed": (_rewrite_all, "vouches for another row"),
    "middle-cut": (lambda w, _: w.run("DELETE FROM audit WHERE seq = 2"), "the rows from 2 to 2 are missing"),
    "beginning-cut": (lambda w, _: w.run("DELETE FROM audit WHERE seq = 1"), "the rows from 1 to 1 are missing"),
    "end-cut": (lambda w, _: w.run("DELETE FROM audit WHERE seq >= 3"), "it is missing, and checkpoint"),
    "chain-cut": (lambda w, _: w.run("DELETE FROM audit WHERE chain = (SELECT min(chain) FROM audit)"), "it is missing, and checkpoint"),
    "everything-cut": (lambda w, _: w.run("DELETE FROM audit"), "it is missing, and checkpoint"),
    "first-checkpoint-gone": (lambda _, f: (f / "checkpoints" / "000000000001.jws").unlink(), "checkpoint 000000000001: it is missing"),
    "last-checkpoint-gone": (lambda _, f: (f / "checkpoints" / "000000000002.jws").unlink(), "checkpoint 000000000002: it is missing"),
    "checkpoint-swapped": (
        lambda _, f: (f / "checkpoints" / "000000000002.jws").write_bytes((f / "checkpoints" / "000000000001.jws").read_bytes()),
        "not signed by this installation, or was changed",
    ),
    "checkpoint-forged": (
        lambda _, f: (f / "checkpoints" / "000000000002.jws").write_text(
            CheckpointSeal(Keys.load(f / "evil").checkpoint).sign({"number": 2, "prev": "", "heads": {}})
        ),
        "not signed by this installation, or was changed",
    ),
}


@pytest.mark.parametrize("how", TAMPERING)
def test_tampering_is_found_and_located(log: World, tmp_path: Path, how: str) -> None:
    """Whoever changes, cuts or forges, the database's owner too, is seen; the problem says where and what."""
    tamper, said = TAMPERING[how]
    tamper(log, tmp_path)
    assert any(said in problem for problem in _problems(log, tmp_path)), _problems(log, tmp_path)


def test_a_checkpoint_is_made_only_for_new_rows(world: World, tmp_path: Path) -> None:
    """Nothing, one, nothing, one more; numbered on after a restart."""
    made = []
    for rows in (0, 1, 0, 2):
        _write(world, rows)
        path = _seal(world, tmp_path)
        made.append(None if path is None else path.name)
    assert made == [None, "000000000001.jws", None, "000000000002.jws"]


def test_the_export_can_be_verified_without_us(log: World) -> None:
    """Each line holds what its hash is over; a cursor goes on where it stood."""
    with log.store.read() as read:
        rows = [json.loads(json.dumps(row)) for row in audit.export(read)]
        assert [row["at"] for row in rows] == sorted(row["at"] for row in rows)
        assert all(digest(row) == row["hash"] for row in rows)
        for number, row in enumerate(rows):
            assert list(audit.export(read, audit.Place.parse(f"{row['at']}/{row['chain']}/{row['seq']}"))) == rows[number + 1 :]
        assert len(list(audit.export(read, audit.Place.parse(rows[3]["at"])))) == len(rows) - 4
