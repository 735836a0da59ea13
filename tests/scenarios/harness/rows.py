"""The register of rows, and how one is played."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.scenarios.harness.githost import GitHost
from tests.scenarios.harness.process import Installation
from tests.scenarios.harness.quick import QuickInstallation
from tests.scenarios.harness.stage import Stage
from tests.scenarios.harness.truth import Tally, Violation

Play = Callable[..., None]


@dataclass(frozen=True, slots=True)
class Row:
    """One row for one kind of source.

    Attributes:
        id: as in the table of scenarios. says: what happens. kind: `Directory`, `Git`, or "" where it is no matter.
        own: it stops and starts its installation, so that it must have one for itself.
        quick: its server must start in no time, for it is killed over and over.
        long: only by `make scenarios`.
    """

    id: str
    says: str
    kind: str
    play: Play
    own: bool = False
    quick: bool = False
    long: bool = False

    @property
    def name(self) -> str:
        """As a namespace: lower case, and told from every other."""
        return "-".join(part for part in (self.id.lower(), self.play.__name__.replace("_", "-"), self.kind.lower()[:3]) if part)


ROWS: list[Row] = []


def row(id_: str, says: str, *kinds: str, own: bool = False, quick: bool = False, long: bool = False) -> Callable[[Play], Play]:
    """Register a function of a Stage (and of a kind, where several are given)."""

    def register(play: Play) -> Play:
        ROWS.extend(Row(id_, says, kind, play, own, quick, long) for kind in kinds or ("",))
        return play

    return register


@dataclass(slots=True)
class Outcome:
    """How a row went."""

    row: Row
    error: str | None
    seconds: float
    tallies: dict[str, Tally] = field(default_factory=dict)
    violations: list[Violation] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return self.error is None and not self.violations


class Rig:
    """The processes that rows share, started when first needed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._shared: Installation | None = None
        self._host: GitHost | None = None

    def prepare(self) -> None:
        """Start what is shared, from the thread that lives longest: children end with the thread that began them."""
        _ = self.host
        _ = self.shared

    @property
    def shared(self) -> Installation:
        with self._lock:
            if self._shared is None:
                self._shared = Installation(self.folder / "shared")
                self._shared.start()
            return self._shared

    @property
    def host(self) -> GitHost:
        with self._lock:
            if self._host is None:
                self._host = GitHost(self.folder / "git", self.folder / "git.log")
            return self._host

    def play(self, row: Row) -> Outcome:
        """Play a row to its end, whatever that is."""
        began = time.monotonic()
        own = (QuickInstallation if row.quick else Installation)(self.folder / row.name) if row.own else None
        stage = None
        error = None
        try:
            if own is not None:
                own.start()
            stage = Stage(row.name, own or self.shared, self.host)
            with stage.prober:
                row.play(stage, row.kind) if row.kind else row.play(stage)
                stage.close()
        except Exception:  # noqa: BLE001 - a row that fails is an outcome
            error = traceback.format_exc()
        finally:
            if stage is not None and (own is None):
                stage.clean()
            if own is not None:
                own.close()
        tallies = {} if stage is None else {source: stage.truth.close(source) for source in stage.truth.sources()}
        return Outcome(row, error, time.monotonic() - began, tallies, [] if stage is None else stage.truth.violations)

    def close(self) -> None:
        """End everything."""
        if self._shared is not None:
            self._shared.close()
        if self._host is not None:
            self._host.close()
