"""The prober: asks all the time, for everything and for what has just died, and gives every answer to the oracle."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from typing import Self

from tests.scenarios.harness.client import Client, Unreachable
from tests.scenarios.harness.documents import COMMON
from tests.scenarios.harness.truth import Truth

RECENT = 10.0
"""Seconds for which what died is asked for by name."""


class Prober:
    """One thread that asks `rate` times a second, source after source."""

    def __init__(self, truth: Truth, caller: Callable[[], Client], sources: Callable[[], list[str]], rate: float = 10.0) -> None:
        self._truth = truth
        self._caller = caller
        self._sources = sources
        self._pause = 1.0 / rate
        self._stopped = threading.Event()
        self.asked = 0
        self.unreachable = 0
        self.failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="prober", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()
        if self.failure is not None:
            raise self.failure

    def _run(self) -> None:
        for number in itertools.count():
            if self._stopped.wait(self._pause):
                return
            sources = self._sources()
            if not sources:
                continue
            try:
                self._ask(sources[number // 2 % len(sources)], everything=number % 2 == 0)
            except Unreachable:
                self.unreachable += 1
            except Exception as error:  # noqa: BLE001 - it is raised again where the prober is left
                self.failure = error
                return

    def _ask(self, source: str, *, everything: bool) -> None:
        self.asked += 1
        died = [] if everything else self._truth.recently_died(source, RECENT)
        if not died:
            self._truth.judge(self._caller().retrieve(COMMON, [source], top_k=100), source)
            return
        marks = " ".join(sorted({mark for span in died[-20:] for mark in span.marks}))
        self._truth.judge(self._caller().retrieve(marks, [source]))
