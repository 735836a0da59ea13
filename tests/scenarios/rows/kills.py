"""P30: kill -9 at random moments under a load of mutations, over a folder and a repository."""

from __future__ import annotations

import contextlib
import random
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.scenarios.harness.documents import canary, prose
from tests.scenarios.harness.origins import Origin
from tests.scenarios.harness.quick import QuickInstallation
from tests.scenarios.harness.rows import row
from tests.scenarios.harness.stage import SLACK, Stage

BATCH = 256
"""Chunks that may be in hand when the process is killed, and so be embedded again."""
DOCUMENTS = 24
BELIEVED = {"guard": {"maxPercent": 100, "allowEmpty": True}}
"""The guard would hold what random mutations delete in one look, which is right, and another row's."""


@dataclass(slots=True)
class Report:
    """How it went."""

    kills: int = 0
    rounds: int = 0
    embedded: int = 0
    embedded_again: int = 0
    most_again: int = 0
    """After one kill."""
    slowest_convergence: float = 0.0
    seconds: float = 0.0


def mutate(origin: Origin, dice: random.Random, fresh: int) -> None:
    """One change of a few documents: edit, delete, rename, add."""
    with origin.change():
        here = sorted(origin.now)
        for _ in range(dice.randint(1, 4)):
            verb = dice.choice(("edit", "edit", "delete", "rename", "add"))
            if len(here) < 8 or (verb == "add" and len(here) < DOCUMENTS):
                fresh += 1
                origin.write(f"docs/n{fresh}-{dice.randrange(10**9)}.md", prose(canary(), dice.randint(1, 3)))
                continue
            uri = here.pop(dice.randrange(len(here)))
            if verb == "edit":
                origin.write(uri, prose(canary(), dice.randint(1, 3)))
            elif verb in {"delete", "add"}:
                origin.delete(uri)
            else:
                origin.rename(uri, f"docs/r{dice.randrange(10**9)}.md")


def embedded_again(file: Path) -> tuple[int, int, int]:
    """Of the texts that were embedded: how many in all, how many a second time, and the most a process did again."""
    seen: set[str] = set()
    again: defaultdict[str, int] = defaultdict(int)
    total = 0
    for line in file.read_text().splitlines():
        pid, _, text = line.partition(" ")
        total += 1
        again[pid] += text in seen
        seen.add(text)
    return total, sum(again.values()), max(again.values(), default=0)


def run(stage: Stage, kills: int, budget: float = 1e9) -> Report:
    """Kill `kills` times, or until `budget` seconds are over; in between and afterwards everything must be true."""
    installation = stage.installation
    assert isinstance(installation, QuickInstallation)
    seed = random.randrange(1 << 30)
    print(f"P30: seed {seed}", file=sys.stderr)
    dice, began, report = random.Random(seed), time.monotonic(), Report()
    origins = [stage.tree(), stage.repo()]
    for origin in origins:
        stage.fill(origin, DOCUMENTS, paragraphs=2)
        stage.up(origin, interval="1s", deletion=BELIEVED)
        stage.serves_truth(origin)
    while report.kills < kills and time.monotonic() - began < budget:
        report.kills += 1
        report.rounds += 1
        _round(stage, origins, dice, report)
    for origin in origins:
        stage.serves_truth(origin, 30 * SLACK)
    report.embedded, report.embedded_again, report.most_again = embedded_again(installation.embedded)
    report.seconds = time.monotonic() - began
    print(f"P30: {report}", file=sys.stderr)
    assert report.most_again <= BATCH, report
    return report


def _round(stage: Stage, origins: list[Origin], dice: random.Random, report: Report) -> None:
    """Mutate all the time, kill at some moment of it, start again; now and then also kill what is just starting."""
    with loaded(origins, dice):
        time.sleep(dice.uniform(0.05, 0.8))
        for origin in origins:
            stage.truth.outage(origin.key)
        stage.installation.kill()
        time.sleep(dice.uniform(0.0, 0.1))  # what changes while nobody looks must be found too
    while dice.random() < 0.25:
        report.kills += 1
        stage.installation.begin()
        time.sleep(dice.uniform(0.0, 1.0))
        stage.installation.kill()
    stage.installation.start()
    for origin in origins:
        stage.truth.recovered(origin.key)
        stage.answer(origin)
    if report.rounds % 5 == 0:
        began = time.monotonic()
        for origin in origins:
            stage.serves_truth(origin, 20 * SLACK)
        report.slowest_convergence = max(report.slowest_convergence, time.monotonic() - began)


@contextlib.contextmanager
def loaded(origins: list[Origin], dice: random.Random) -> Iterator[None]:
    """While the body runs, the origins change all the time."""
    stopped = threading.Event()
    failures: list[BaseException] = []

    def load() -> None:
        own = random.Random(dice.random())
        number = 0
        try:
            while not stopped.is_set():
                for origin in origins:
                    number += 10
                    mutate(origin, own, number)
                    stopped.wait(own.uniform(0.0, 0.05))
        except BaseException as error:  # noqa: BLE001 - raised below, in the thread that asked for the load
            failures.append(error)

    loader = threading.Thread(target=load)
    loader.start()
    try:
        yield
    finally:
        stopped.set()
        loader.join()
    if failures:
        raise failures[0]


@row("P30", "kill -9 under a load of mutations", own=True, quick=True)
def p30(stage: Stage) -> None:
    """Old or new revision, never a mix; true within a pass; nothing embedded twice but what was in hand."""
    report = run(stage, 15, budget=75.0)
    assert report.kills >= 4, report


@row("P30", "kill -9 under a load of mutations, 100 times", own=True, quick=True, long=True)
def p30_hundred(stage: Stage) -> None:
    """The same, as often as it was promised."""
    run(stage, 100)
