"""The hash chain that this process appends its audit rows to.

One chain a process: one for all would serialise every gate. `hash` is sha256 over the row's RFC 8785 JSON without
`hash`; `prev` is the hash of the row before it, and 64 zeros for the first.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import rfc8785

from trueup.model.times import rfc3339

GENESIS = "0" * 64

KINDS = ("Request", "Denial", "Apply", "Look", "Tombstone", "Hold", "Confirm", "Quarantine", "Revoke", "Halt", "Approval", "Config")


@dataclass(frozen=True, slots=True)
class AuditRow:
    """What a unit of work wants recorded, before its place in the chain is known."""

    kind: str
    principal: str
    object: str
    decision: str
    reason: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a chain: the last row's number (0: none yet) and hash."""

    seq: int
    hash: str


class Chain:
    """This process's chain. Only the thread that commits may extend it, and sets `head` back when a commit fails."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.head = Head(0, GENESIS)

    @classmethod
    def fresh(cls) -> Chain:
        """A chain of its own for a new process."""
        return cls(secrets.token_hex(8))

    def extend(self, rows: Sequence[AuditRow], now: float) -> list[dict[str, Any]]:
        """Place `rows` behind the head, and move it."""
        placed = []
        for row in rows:
            entry: dict[str, Any] = {
                "chain": self.name,
                "seq": self.head.seq + 1,
                "at": rfc3339(now),
                "kind": row.kind,
                "principal": row.principal,
                "object": row.object,
                "decision": row.decision,
                "reason": row.reason,
                "data": rfc8785.dumps(dict(row.data)).decode(),
                "prev": self.head.hash,
            }
            entry["hash"] = digest(entry)
            self.head = Head(entry["seq"], entry["hash"])
            placed.append(entry)
        return placed


def digest(entry: Mapping[str, Any]) -> str:
    """The hash that belongs to a row: hex sha256 over its canonical JSON without `hash`."""
    return hashlib.sha256(rfc8785.dumps({k: v for k, v in entry.items() if k != "hash"})).hexdigest()
