"""Outcomes as a table and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.scenarios.harness.rows import Outcome
from tests.scenarios.harness.truth import Tally

HEAD = ("row", "kind", "what happens", "answers", "raw", "bound", "stale", "false ts", "exposed s", "avail %", "s", "")


def total(tallies: Sequence[Tally]) -> dict[str, Any]:
    """The sum of tallies, as JSON has it."""
    exposures = [seconds for tally in tallies for seconds in tally.exposures]
    chunks, expected = sum(t.chunks for t in tallies), sum(t.expected for t in tallies)
    raw, bounded = sum(t.raw for t in tallies), sum(t.bounded for t in tallies)
    return {
        "answers": sum(t.answers for t in tallies),
        "chunks": chunks,
        "phantoms": {"raw": raw, "bounded": bounded, "rawRate": raw / chunks if chunks else 0.0, "boundedRate": bounded / chunks if chunks else 0.0},
        "stale": sum(t.stale for t in tallies),
        "mixed": sum(t.mixed for t in tallies),
        "neverWas": sum(t.unknown for t in tallies),
        "errors": sum(t.errors for t in tallies),
        "tombstones": sum(t.tombstones for t in tallies),
        "falseTombstones": sum(t.false_tombstones for t in tallies),
        "exposureSeconds": {"max": max(exposures, default=0.0), "mean": sum(exposures) / len(exposures) if exposures else 0.0, "versions": len(exposures)},
        "availability": sum(t.found for t in tallies) / expected if expected else 1.0,
    }


def as_json(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Everything, for CI."""
    return {
        "rows": [
            {
                "row": o.row.id,
                "kind": o.row.kind,
                "says": o.row.says,
                "passed": o.passed,
                "seconds": round(o.seconds, 2),
                "error": o.error,
                "violations": [{"kind": v.kind, "source": v.source, "what": v.what} for v in o.violations],
                **total(list(o.tallies.values())),
            }
            for o in outcomes
        ],
        "passed": sum(o.passed for o in outcomes),
        "failed": sum(not o.passed for o in outcomes),
        "total": total([tally for o in outcomes for tally in o.tallies.values()]),
    }


def lines(outcomes: Sequence[Outcome]) -> list[str]:
    """The table."""
    cells = [HEAD]
    ordered = sorted(outcomes, key=lambda o: (o.row.id, o.row.play.__name__, o.row.kind))
    cells += [
        (o.row.id, o.row.kind[:3], o.row.says, *_measures(total(list(o.tallies.values()))), f"{o.seconds:.0f}", "ok" if o.passed else "FAILED") for o in ordered
    ]
    whole = total([tally for o in outcomes for tally in o.tallies.values()])
    cells.append(("all", "", f"{sum(o.passed for o in outcomes)} of {len(outcomes)} hold", *_measures(whole), f"{sum(o.seconds for o in outcomes):.0f}", ""))
    widths = [max(len(line[n]) for line in cells) for n in range(len(HEAD))]
    return [
        "  ".join(text.rjust(w) if n in _NUMBERS else text.ljust(w) for n, (text, w) in enumerate(zip(line, widths, strict=True))).rstrip() for line in cells
    ]


_NUMBERS = range(3, 11)


def _measures(found: dict[str, Any]) -> tuple[str, ...]:
    return (
        str(found["answers"]),
        str(found["phantoms"]["raw"]),
        str(found["phantoms"]["bounded"]),
        str(found["stale"]),
        str(found["falseTombstones"]),
        f"{found['exposureSeconds']['max']:.2f}",
        f"{100 * found['availability']:.1f}",
    )


def write(path: Path, outcomes: Sequence[Outcome]) -> None:
    """Write the JSON."""
    path.write_text(json.dumps(as_json(outcomes), indent=2) + "\n")
