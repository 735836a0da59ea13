"""The columns of `get`: the same as the printer columns of the resources in a cluster."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from trueup.surfaces.cli.objects import condition

Row = dict[str, Any]
NONE = "<none>"


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its heading, what it shows of an object, and whether only `-o wide` has it.

    `steady` is False for what changes by itself (an age), which makes no row of `-w`. `width` is what its later rows may
    need, for `-w`, which cannot know them yet.
    """

    heading: str
    cell: Callable[[Row], object]
    wide: bool = False
    steady: bool = True
    width: int = 0


def age(at: str | None, now: float | None = None) -> str:
    """The time since the RFC 3339 time `at` in the largest unit that fits, as kubectl writes it: `12s`, `5m`, `3h`, `2d`."""
    from trueup.model.times import parse_rfc3339

    if not at:
        return NONE
    try:
        seconds = (time.time() if now is None else now) - parse_rfc3339(at)
    except ValueError:
        return "<invalid>"
    passed = max(0, int(seconds))
    for unit, size, above in (("s", 1, 120), ("m", 60, 7200), ("h", 3600, 172800)):
        if passed < above:
            return f"{passed // size}{unit}"
    return f"{passed // 86400}d"


def _meta(key: str) -> Callable[[Row], object]:
    return lambda o: o["metadata"].get(key) or NONE


def _state(kind: str, member: str = "status") -> Callable[[Row], object]:
    return lambda o: (condition(o, kind) or {}).get(member) or ""


def _status(*keys: str) -> Callable[[Row], object]:
    def cell(o: Row) -> object:
        value: Any = o.get("status") or {}
        for key in keys:
            value = (value or {}).get(key)
        return "" if value is None else value

    return cell


SOURCES = (
    Column("NAME", _meta("name")),
    Column("TYPE", lambda o: o["spec"]["source"]["type"]),
    Column("READY", _state("Ready"), width=7),
    Column("FRESH", _state("Fresh"), width=7),
    Column("DOCS", _status("documents", "live"), width=6),
    Column("TOMBSTONES", _status("tombstones")),
    Column("STATUS", _state("Ready", "message"), width=40),
    Column("AGE", lambda o: age(o["metadata"].get("creationTimestamp")), steady=False),
    Column("REVISION", _status("revision"), wide=True),
    Column("CHUNKS", _status("chunks"), wide=True),
    Column("INDEX", lambda o: (o["spec"].get("indexRef") or {}).get("name") or "default", wide=True),
)

INDEXES = (
    Column("NAME", _meta("name")),
    Column("PROVIDER", lambda o: (o["spec"].get("embedding") or {}).get("provider") or ""),
    Column("MODE", lambda o: o["spec"].get("mode") or ""),
    Column("READY", _state("Ready"), width=7),
    Column("CHUNKS", _status("chunks")),
    Column("STATUS", _state("Ready", "message"), width=40),
    Column("AGE", lambda o: age(o["metadata"].get("creationTimestamp")), steady=False),
    Column("SERVING", _status("serving"), wide=True),
    Column("BUILDING", _status("building"), wide=True),
)

TOMBSTONES = (
    Column("SOURCE", lambda t: t.get("source") or ""),
    Column("URI", lambda t: t["uri"]),
    Column("REASON", lambda t: t["reason"]),
    Column("AGE", lambda t: age(t["at"]), steady=False),
    Column("OBSERVATION", lambda t: t.get("observation") or ""),
    Column("SUCCESSOR", lambda t: t.get("successor") or ""),
    Column("REVISION", lambda t: t.get("revision") or "", wide=True),
    Column("DIGEST", lambda t: t.get("digest") or "", wide=True),
)

EVENTS = (
    Column("LAST SEEN", lambda e: age(e["at"]), steady=False),
    Column("TYPE", lambda e: e["type"]),
    Column("REASON", lambda e: e["reason"]),
    Column("SOURCE", lambda e: e.get("source") or ""),
    Column("MESSAGE", lambda e: e["message"]),
)

NAMESPACE = Column("NAMESPACE", _meta("namespace"))


def chosen(columns: Sequence[Column], *, wide: bool) -> tuple[Column, ...]:
    """The columns to print."""
    return tuple(c for c in columns if wide or not c.wide)


def cells(columns: Sequence[Column], row: Row) -> list[object]:
    """One row's cells."""
    return [c.cell(row) for c in columns]


def steady(columns: Sequence[Column], row: Row) -> tuple[str, ...]:
    """What of a row is news when it changes."""
    return tuple(str(c.cell(row)) for c in columns if c.steady)
