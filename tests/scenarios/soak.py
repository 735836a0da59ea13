"""`python -m tests.scenarios.soak MINUTES [--json FILE] [--seed N]`: F9.

Random mutations and faults over folders and repositories, servers killed and stopped, clocks that jump, the index removed and replaced by older
copies, declarations changed, while a prober asks all the time and the oracle judges every answer. Exit 1 at the first hint of a lie.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.scenarios.harness import board
from tests.scenarios.harness.client import Unreachable
from tests.scenarios.harness.githost import GitHost
from tests.scenarios.harness.origins import Origin, Repo, Tree
from tests.scenarios.harness.proxy import OUTAGES, Fault
from tests.scenarios.harness.quick import QuickInstallation
from tests.scenarios.harness.stage import SLACK, Stage
from tests.scenarios.rows.kills import BELIEVED, mutate

SOURCES = 3
"""Of each kind."""
DOCUMENTS = 20
KEPT = 300.0
"""Seconds for which the oracle remembers what died."""


class Soak:
    """One run."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.dice = random.Random(seed)
        self.host = GitHost(folder / "git", folder / "git.log")
        self.installation = QuickInstallation(folder / "soak", embed_seconds=0.002)
        self.installation.start()
        self.stage = Stage("soak", self.installation, self.host)
        self.copies: list[Path] = []
        self.did: Counter[str] = Counter()
        self.ahead = 0.0
        """Seconds by which the server's wall clock is ahead."""
        self.origins: list[Origin] = [self.stage.tree(f"dir{n}") for n in range(SOURCES)]
        self.origins += [self.stage.repo(f"git{n}") for n in range(SOURCES)]
        self.locks = {origin.key: threading.Lock() for origin in self.origins}
        """Held by whoever changes an origin, or what can be known of it."""
        self.ill: dict[str, float] = {}
        """Until when (monotonic) each ill source stays so."""

    def begin(self) -> None:
        """Everything loaded."""
        for origin in self.origins:
            self.stage.fill(origin, DOCUMENTS // 2)
            self.stage.declare(origin, interval="1s", timeout="2s", deletion=BELIEVED, freshness={"maxStaleness": "20s"})
        for origin in self.origins:
            self.stage.ready(origin)

    # --- what happens -------------------------------------------------------------------------------------------------

    def mutations(self, stopped: threading.Event) -> None:
        """Change one origin after the other, all the time; an ill one too."""
        dice, number = random.Random(self.dice.random()), 0
        while not stopped.wait(dice.uniform(0.05, 0.5)):
            number += 10
            origin = dice.choice(self.origins)
            with self.locks[origin.key]:
                if isinstance(origin, Tree) and not origin.root.exists():
                    continue
                mutate(origin, dice, number)
                if isinstance(origin, Repo) and dice.random() < 0.1:
                    origin.reset("HEAD~1")
                    origin.push(force=True)
                    self.did["force-push"] += 1
            self.did["mutation"] += 1

    def fall_ill(self) -> None:
        """A source that cannot be read for a while, shorter or longer than its lease."""
        well = [origin for origin in self.origins if origin.key not in self.ill]
        if len(well) <= 2:
            return
        origin = self.dice.choice(well)
        with self.locks[origin.key]:
            self.stage.truth.outage(origin.key)
            if isinstance(origin, Repo):
                self.stage.proxies[origin.key].suffer(self.dice.choice((*OUTAGES, Fault.HALF_PACK, Fault.HALF_QUIETLY)))
            else:
                self._aside(origin).parent.mkdir(exist_ok=True)
                origin.root.rename(self._aside(origin))  # type: ignore[attr-defined]
        self.ill[origin.key] = time.monotonic() + self.dice.choice((2.0, 5.0, 30.0))

    def _aside(self, origin: Origin) -> Path:
        return self.stage.folder_of("aside") / origin.key.rpartition("/")[2]

    def get_well(self, *, everyone: bool = False) -> None:
        """Those whose time has come."""
        for origin in self.origins:
            if origin.key in self.ill and (everyone or self.ill[origin.key] < time.monotonic()):
                with self.locks[origin.key]:
                    if isinstance(origin, Repo):
                        self.stage.proxies[origin.key].heal()
                    else:
                        self._aside(origin).rename(origin.root)  # type: ignore[attr-defined]
                    self.stage.truth.recovered(origin.key)
                del self.ill[origin.key]

    def kill(self) -> None:
        """SIGKILL, and up again."""
        self._down(self.installation.kill)
        while self.dice.random() < 0.2:
            self.installation.begin()
            time.sleep(self.dice.uniform(0, 0.8))
            self.installation.kill()
        self._up()

    def restore_index(self) -> None:
        """Stopped; the index is removed, or replaced by an older copy, or copied."""
        self._down(self.installation.stop if self.dice.random() < 0.5 else self.installation.kill)
        index = self.installation.home / "index"
        copy = self.installation.folder / f"copy{self.installation.starts}"
        shutil.copytree(index, copy)
        self.copies.append(copy)
        shutil.rmtree(index)
        if self.dice.random() < 0.7:
            shutil.copytree(self.dice.choice(self.copies), index)
        while len(self.copies) > 4:
            shutil.rmtree(self.copies.pop(0))
        self._up()

    def _down(self, how: Callable[[], None]) -> None:
        self._blind()
        how()

    def _up(self) -> None:
        self.installation.start()
        self._seeing()

    def _blind(self) -> None:
        """The server cannot know what is true for a while."""
        for origin in self.origins:
            with self.locks[origin.key]:
                self.stage.truth.outage(origin.key)

    def _seeing(self) -> None:
        """It can again, but for the sources that are ill."""
        for origin in self.origins:
            with self.locks[origin.key]:
                self.stage.truth.recovered(origin.key)
                if origin.key in self.ill:
                    self.stage.truth.outage(origin.key)

    def freeze(self) -> None:
        """The whole process stands still for a moment."""
        self._blind()
        self.installation.freeze()
        time.sleep(self.dice.uniform(0.5, 3.0))
        self.installation.thaw()
        self._seeing()

    def jump(self) -> None:
        """The wall clock jumps ahead, or back to where it should be."""
        self.ahead = 0.0 if self.ahead else self.dice.choice((15.0, 600.0))
        self._blind()
        self.installation.shift_clock(self.ahead)
        time.sleep(2.0)  # it is noticed within a second, and what was stale by it is read again
        self._seeing()

    def redeclare(self) -> None:
        """Another cutting, a request, or the resource deleted and declared anew."""
        origin = self.dice.choice(self.origins)
        verb = self.dice.choice(("cut", "request", "withdraw"))
        with self.locks[origin.key]:
            if verb == "cut":
                self.stage.declare(origin, chunking={"maxTokens": self.dice.choice((64, 128, 256))})
            elif verb == "request":
                self.stage.declare(origin, annotations={"trueup.dev/requestedAt": str(time.time_ns())})
            elif origin.key not in self.ill:
                self.stage.withdraw(origin)
                with self.stage.truth.turning(origin.key, origin.now):
                    self.stage.declare(origin)
        self.did[verb] += 1

    # --- the run ------------------------------------------------------------------------------------------------------

    def run(self, seconds: float) -> None:
        """Do all of it for so long, then let it settle: everything must be true in the end."""
        stopped = threading.Event()
        failures: list[BaseException] = []

        def work() -> None:
            try:
                self.mutations(stopped)
            except BaseException as error:  # noqa: BLE001 - raised below
                failures.append(error)

        with self.stage.prober:
            self.begin()
            worker = threading.Thread(target=work)
            worker.start()
            ends = time.monotonic() + seconds
            try:
                while time.monotonic() < ends and not self.stage.truth.violations and not failures:
                    time.sleep(self.dice.uniform(0.5, 4.0))
                    self.get_well()
                    event = self.dice.choices((self.fall_ill, self.kill, self.restore_index, self.freeze, self.jump, self.redeclare), (5, 2, 1, 1, 1, 3))[0]
                    self.did[event.__name__] += 1
                    event()
                    self.stage.truth.forget_before(time.time() - KEPT)
            finally:
                stopped.set()
                worker.join()
            self.get_well(everyone=True)
            if failures:
                raise failures[0]
            for origin in self.origins:
                self.stage.serves_truth(origin, 60 * SLACK)
            self.stage.close()

    def report(self) -> dict[str, Any]:
        """The measures, and what was done."""
        tallies = [self.stage.truth.close(key) for key in self.stage.truth.sources()]
        return {
            **board.total(tallies),
            "did": dict(self.did),
            "starts": self.installation.starts,
            "asked": self.stage.prober.asked,
            "unreachable": self.stage.prober.unreachable,
            "violations": [f"{v.kind} at {v.source}: {v.what}" for v in self.stage.truth.violations],
        }

    def close(self) -> None:
        """End every process."""
        try:
            self.stage.clean()
        except Unreachable:
            print("the server was not there at the end", file=sys.stderr)
        self.installation.close()
        self.host.close()


def main() -> int:
    """Soak for as long as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.scenarios.soak")
    parser.add_argument("minutes", type=float)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--keep", action="store_true")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="trueup-soak-"))
    print(f"seed {given.seed}, folder {folder}", file=sys.stderr, flush=True)
    soak = Soak(folder, given.seed)
    failure = None
    try:
        soak.run(60 * given.minutes)
    except AssertionError as error:
        failure = str(error)
    finally:
        report = {"seed": given.seed, "minutes": given.minutes, "failure": failure, **soak.report()}
        soak.close()
        if not given.keep:
            shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(report, indent=2))
    if given.json is not None:
        given.json.write_text(json.dumps(report, indent=2) + "\n")
    return 1 if failure or report["violations"] else 0


if __name__ == "__main__":
    sys.exit(main())
