"""All benchmarks: JSON into a file, a table to the terminal.

    python benchmarks/run.py [--quick | --full] [--only NAME ...] [--json FILE]

Each one runs in a process of its own. The peers need `.venv-peers`, which is made here from `benchmarks/peers.txt` if it is
not there; `--only` with names of ours does without.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent
PEERS = ROOT / ".venv-peers"


@dataclass(frozen=True)
class Benchmark:
    """One program that prints one JSON object. `sizes` are the `--documents` of a quick, a usual and a full run."""

    name: str
    program: str
    sizes: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
    peer: bool = False


PASSES = ((1000,), (5000, 20000), (5000, 20000))
"""Two chunks a document: 10,000 and 40,000 chunks."""

BENCHMARKS = (
    Benchmark("passes-trueup", "ours.py", PASSES),
    Benchmark("passes-langchain", "peers/langchain_index.py", PASSES, peer=True),
    Benchmark("passes-qdrant", "peers/qdrant_tutorial.py", PASSES, peer=True),
    Benchmark("passes-cocoindex", "peers/cocoindex_app.py", PASSES, peer=True),
    Benchmark("latency-trueup", "latency.py", ((300,), (5000,), (50_000,))),
    Benchmark("latency-cocoindex", "peers/cocoindex_live.py", ((300,), (5000,), (50_000,)), peer=True),
    Benchmark("restart", "restart.py", ((300,), (5000,), (100_000,))),
    Benchmark("gate", "gate.py", ((500,), (5000,), (50_000,))),
    Benchmark("recall", "recall.py", ((1000,), (10_000,), (50_000,))),
    Benchmark("listing", "listing.py", ((20_000,), (100_000,), (1_000_000,))),
)


def main() -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="small sizes: a few minutes, for a look")
    size.add_argument("--full", action="store_true", help="with the largest sizes: an hour and 8 GB")
    parser.add_argument("--only", nargs="+", choices=[benchmark.name for benchmark in BENCHMARKS])
    parser.add_argument("--json", type=Path, default=ROOT / ".cache" / "bench.json")
    asked = parser.parse_args()
    chosen = [benchmark for benchmark in BENCHMARKS if not asked.only or benchmark.name in asked.only]
    if any(benchmark.peer for benchmark in chosen):
        _peers()
    found: dict[str, Any] = {"machine": {"cpus": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()}, "runs": []}
    failed = False
    for benchmark in chosen:
        for documents in benchmark.sizes[0 if asked.quick else 2 if asked.full else 1]:
            result = _run(benchmark, documents)
            failed |= "error" in result
            found["runs"].append({"benchmark": benchmark.name, **result})
            sys.stdout.write(_line(benchmark.name, result) + "\n")
            sys.stdout.flush()
    asked.json.parent.mkdir(parents=True, exist_ok=True)
    asked.json.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    sys.stdout.write(_table(found["runs"]) + f"\nwritten to {asked.json}\n")
    return int(failed)


def _run(benchmark: Benchmark, documents: int) -> dict[str, Any]:
    python = PEERS / "bin" / "python" if benchmark.peer else Path(sys.executable)
    done = subprocess.run([python, HERE / benchmark.program, "--documents", str(documents)], capture_output=True, text=True, check=False, cwd=ROOT)
    if done.returncode:
        return {"documents": documents, "error": done.stderr.strip().splitlines()[-1][:300] if done.stderr.strip() else f"exit {done.returncode}"}
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def _peers() -> None:
    stamp = PEERS / ".installed"
    lock = HERE / "peers.txt"
    if stamp.exists() and stamp.read_text("utf-8") == lock.read_text("utf-8"):
        return
    if not (PEERS / "bin" / "python").exists():
        subprocess.run([sys.executable, "-m", "venv", PEERS], check=True)
    subprocess.run([sys.executable, "-m", "pip", "--python", PEERS / "bin" / "python", "install", "--quiet", "--no-deps", "-r", lock], check=True)
    stamp.write_text(lock.read_text("utf-8"), "utf-8")


def _line(name: str, result: dict[str, Any]) -> str:
    return f"{name} {json.dumps(result)}"


COLUMNS = ("initial", "quiet", "changed_1", "changed_100", "deleted_50")


def _table(runs: list[dict[str, Any]]) -> str:
    """The passes side by side, CPU seconds; whatever else was measured stands in its own lines above."""
    rows = [["contender", "chunks", *(f"{column} cpu s" for column in COLUMNS), "phantoms till next pass", "peak MB"]]
    chosen = sorted((run for run in runs if "initial" in run), key=lambda run: (run["chunks"], run["name"]))
    rows += [
        [
            run["name"],
            str(run["chunks"]),
            *(f"{run[column]['cpu']:.2f}" for column in COLUMNS),
            f"{run['phantoms_before_next_pass']} of 50",
            str(run["peak_rss_mb"]),
        ]
        for run in chosen
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n" + "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)


if __name__ == "__main__":
    sys.exit(main())
