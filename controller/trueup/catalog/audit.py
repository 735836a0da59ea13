"""The audit log from outside: exported, sealed by signed checkpoints, and checked against both.

A chain shows that no row inside it was changed. That rows at its end, or a whole chain, were cut off shows only against
a checkpoint: the signed list of every chain's head, kept outside the database. Checkpoints are numbered and each names
the one before it, so a missing one shows too; how many there are is also in the database.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import sqlalchemy as sa

from trueup.catalog.chain import GENESIS, Head, digest
from trueup.catalog.store import Read, Store, Write
from trueup.model.times import rfc3339

_COLUMNS = ("chain", "seq", "at", "kind", "principal", "object", "decision", "reason", "data", "prev", "hash")
_SUFFIX = ".jws"


class Seal(Protocol):
    """Signs checkpoints and opens them again."""

    def sign(self, claims: dict[str, Any]) -> str:
        """`claims` as one signed line."""
        ...

    def open(self, text: str) -> dict[str, Any] | None:
        """The claims in `text`; None if it was not signed here."""
        ...


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the log as exported: by time, then chain, then number. A bare time stands behind all rows of it."""

    at: str = ""
    chain: str = "~"
    seq: int = 0

    @classmethod
    def parse(cls, text: str) -> Place:
        """The place `at` or `at/chain/seq`.

        Raises:
            ValueError: it is neither.
        """
        parts = text.split("/")
        if len(parts) == 1:
            return cls(parts[0])
        at, chain, seq = parts
        return cls(at, chain, int(seq))


_EXPORT = sa.text(
    f"SELECT {', '.join(_COLUMNS)} FROM audit WHERE at >= :at AND (at > :at OR chain > :chain OR (chain = :chain AND seq > :seq)) ORDER BY at, chain, seq"
)


def export(read: Read, after: Place | None = None) -> Iterator[dict[str, Any]]:
    """Every row after `after`. `data` stays the text that the hash was taken over."""
    place = after or Place()
    for row in read.stream(_EXPORT, {"at": place.at, "chain": place.chain, "seq": place.seq}):
        yield dict(zip(_COLUMNS, row, strict=True))


# Skips from chain to chain along the primary key, where a GROUP BY would read every row.
_HEADS = sa.text(
    "WITH RECURSIVE c(chain) AS (SELECT min(chain) FROM audit UNION ALL SELECT (SELECT min(a.chain) FROM audit a WHERE a.chain > c.chain) FROM c WHERE c.chain IS NOT NULL) "
    "SELECT a.chain, a.seq, a.hash FROM c JOIN audit a ON a.chain = c.chain AND a.seq = (SELECT max(b.seq) FROM audit b WHERE b.chain = c.chain) WHERE c.chain IS NOT NULL"
)
_COUNT = sa.text("SELECT value FROM meta WHERE key = 'checkpoints'")
_COUNTED = sa.text("INSERT INTO meta (key, value) VALUES ('checkpoints', :value) ON CONFLICT (key) DO UPDATE SET value = excluded.value")


def heads(read: Read) -> dict[str, Head]:
    """The end of every chain."""
    return {row[0]: Head(int(row[1]), row[2]) for row in read.rows(_HEADS)}


def checkpoint(store: Store, folder: Path, seal: Seal, now: float) -> Path | None:
    """Seal the heads of all chains in a new file of `folder`; None if there are no rows since the last one.

    Raises:
        CatalogError: the catalog could not be read or written.
        OSError: the file could not be written.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    files = _files(folder)
    last = files[-1].read_text("ascii") if files else ""
    with store.read() as read:
        ends = {chain: [head.seq, head.hash] for chain, head in sorted(heads(read).items())}
    if not ends or ends == ((seal.open(last) or {}).get("heads") if last else None):
        return None
    number = (int(files[-1].stem) if files else 0) + 1
    path = folder / f"{number:012d}{_SUFFIX}"
    _write(path, seal.sign({"number": number, "at": rfc3339(now), "prev": _digest(last), "heads": ends}))

    def unit(tx: Write) -> None:
        tx.run(_COUNTED, {"value": str(number)})

    store.write(unit)
    return path


def _write(path: Path, text: str) -> None:
    """Whole or not at all, and durable."""
    draft = path.with_suffix(".draft")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob(f"*{_SUFFIX}") if path.stem.isdigit())


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest() if text else GENESIS


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with the log: where, and what."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


def verify(read: Read, folder: Path, seal: Seal) -> list[Problem]:
    """Everything that is wrong with the chains and with the checkpoints in `folder`; empty if the log is whole."""
    sealed, problems = _sealed(read, folder, seal)
    return [*_chains(read, sealed), *problems]


_ROWS = sa.text(f"SELECT {', '.join(_COLUMNS)} FROM audit ORDER BY chain, seq")

Sealed = dict[tuple[str, int], tuple[str, str]]
"""What checkpoints vouch for: (chain, seq) -> (hash, name of the checkpoint)."""


def _chains(read: Read, sealed: Sealed) -> Iterator[Problem]:
    open_ = dict(sealed)
    chain, head = "", Head(0, GENESIS)
    for row in read.stream(_ROWS):
        entry = dict(zip(_COLUMNS, row, strict=True))
        if entry["chain"] != chain:
            chain, head = entry["chain"], Head(0, GENESIS)
        where = f"chain {chain} row {entry['seq']}"
        if entry["seq"] != head.seq + 1:
            yield Problem(where, f"the rows from {head.seq + 1} to {entry['seq'] - 1} are missing")
        elif entry["prev"] != head.hash:
            yield Problem(where, "it does not follow the row before it")
        if digest(entry) != entry["hash"]:
            yield Problem(where, "it was changed after it was written")
        vouched = open_.pop((chain, entry["seq"]), None)
        if vouched is not None and vouched[0] != entry["hash"]:
            yield Problem(where, f"checkpoint {vouched[1]} vouches for another row")
        head = Head(entry["seq"], entry["hash"])
    for (name, seq), (_, by) in sorted(open_.items()):
        yield Problem(f"chain {name} row {seq}", f"it is missing, and checkpoint {by} vouches for it")


def _sealed(read: Read, folder: Path, seal: Seal) -> tuple[Sealed, list[Problem]]:
    sealed: Sealed = {}
    problems: list[Problem] = []
    number, last = 0, ""
    for path in _files(folder):
        text = path.read_text("ascii", errors="replace")
        claims = seal.open(text)
        problems.extend(_missing(number, int(path.stem)))
        if claims is None or claims.get("number") != int(path.stem):
            problems.append(Problem(f"checkpoint {path.stem}", "it was not signed by this installation, or was changed"))
        else:
            if number + 1 == int(path.stem) and claims["prev"] != _digest(last):
                problems.append(Problem(f"checkpoint {path.stem}", "it does not follow the one before it"))
            sealed.update({(chain, seq): (hash_, path.stem) for chain, (seq, hash_) in claims["heads"].items()})
        number, last = int(path.stem), text
    problems.extend(_missing(number, int(read.value(_COUNT) or 0) + 1))
    return sealed, problems


def _missing(before: int, after: int) -> Iterator[Problem]:
    for number in range(before + 1, after):
        yield Problem(f"checkpoint {number:012d}", "it is missing")
