"""`python -m tests.scenarios [ROW …] [--json FILE] [--jobs N] [--long]`: play the rows, print the table, exit 1 if one does not hold."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.scenarios import rows
from tests.scenarios.harness import board
from tests.scenarios.harness.rows import ROWS, Outcome, Rig, Row


def main() -> int:
    """Play what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.scenarios", description="The promises, tried from outside.")
    parser.add_argument("rows", nargs="*", metavar="ROW", help="ids such as P01 or P01:Git; all if none is given")
    parser.add_argument("--json", type=Path, help="write the outcomes here too")
    parser.add_argument("--jobs", type=int, default=4, help="rows at the same time")
    parser.add_argument("--no-long", dest="long", action="store_false", help="leave out what takes minutes")
    parser.add_argument("--keep", action="store_true", help="keep the folder with homes and logs")
    given = parser.parse_args()
    assert rows
    wanted = [
        row for row in ROWS if (row.long <= given.long or given.rows) and (not given.rows or {row.id, f"{row.id}:{row.kind}", row.name} & set(given.rows))
    ]
    folder = Path(tempfile.mkdtemp(prefix="trueup-scenarios-"))
    rig = Rig(folder)
    outcomes: list[Outcome] = []

    def play(row: Row) -> None:
        outcome = rig.play(row)
        outcomes.append(outcome)
        how = "ok" if outcome.passed else "FAILED"
        print(f"[{len(outcomes)}/{len(wanted)}] {row.id} {row.kind[:3]:3} {row.says}: {how} in {outcome.seconds:.0f} s", file=sys.stderr, flush=True)

    try:
        rig.prepare()
        with ThreadPoolExecutor(given.jobs) as pool:
            list(pool.map(play, wanted))
    finally:
        rig.close()
        if not given.keep:
            shutil.rmtree(folder, ignore_errors=True)
    print("\n".join(board.lines(outcomes)))
    for outcome in outcomes:
        if not outcome.passed:
            print(f"\n{outcome.row.id} {outcome.row.kind}: {outcome.error or ''}")
            print("\n".join(f"  {violation.kind} at {violation.source}: {violation.what}" for violation in outcome.violations[:10]))
    if given.keep:
        print(f"\nkept: {folder}")
    if given.json is not None:
        board.write(given.json, outcomes)
    return 0 if all(outcome.passed for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
