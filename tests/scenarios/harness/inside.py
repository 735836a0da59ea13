"""The embedded profile in this process, wired by the program itself, with parts that a test can break: clock, index, sources.

For what a black box cannot have: a clock that jumps, an index that fails on command, a control that is switched off. Asked over
HTTP on a port like any other installation.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from tests.scenarios.harness.process import START_SECONDS, Installation
from tests.scenarios.harness.stage import Stage
from trueup import app
from trueup.index.edge import EdgeIndex
from trueup.ingest.embedders import VectorEmbedder
from trueup.model.principal import Role
from trueup.model.text import Vectors
from trueup.sources.opening import OpenContext
from trueup.sources.registry import open_source
from trueup.surfaces.cli.owner import mint_token
from trueup.surfaces.http.app import Surface, create_app
from trueup.surfaces.http.server import bind
from trueup.testing.faults import FaultyIndex
from trueup.testing.source_faults import Faults, FaultySource


class JumpingClock(app.SystemClock):
    """The machine's clock, and how far a test has put it off."""

    def __init__(self) -> None:
        self.shift = 0.0

    def now(self) -> float:
        return super().now() + self.shift


class Inside(Installation):
    """An installation that runs in this process."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        super().__init__(folder)
        self.clock = JumpingClock()
        self.index: FaultyIndex | None = None
        self.faults = Faults()
        self.embedding = threading.Event()
        """Set while embedding may go on."""
        self.embedding.set()
        self._stack: contextlib.ExitStack | None = None
        self._controlled = False
        patch.setenv("TRUEUP_MODELS", str(folder / "models"))
        patch.chdir(self.work)
        patch.setattr(app, "SystemClock", lambda: self.clock)
        patch.setattr(app, "EdgeIndex", self._index)
        patch.setattr(app, "open_source", self._open)
        embed = VectorEmbedder.embed

        def waiting(embedder: VectorEmbedder, texts: Sequence[str]) -> list[Vectors]:
            self.embedding.wait(60)
            return embed(embedder, texts)

        patch.setattr(VectorEmbedder, "embed", waiting)

    def _index(self, path: Path) -> FaultyIndex:
        self.index = FaultyIndex(EdgeIndex(path))
        return self.index

    def _open(self, spec: Any, context: OpenContext) -> FaultySource:
        return FaultySource(open_source(spec, context), self.faults)

    @property
    def running(self) -> bool:
        return self._stack is not None

    def start(self, *options: str) -> float:
        assert not options
        began = time.monotonic()
        stack = contextlib.ExitStack()
        stack.enter_context(app.locked(self.home))
        self.gate, self.controller = stack.enter_context(app.embedded(self.home, ()))
        self.controller.start()
        self._controlled = True
        stack.callback(self.leave)
        stack.enter_context(_served(self.gate, self))
        self._stack = stack
        return time.monotonic() - began

    def leave(self) -> None:
        """The controller stops; the gate goes on without it."""
        controlled, self._controlled = self._controlled, False
        if controlled:
            self.controller.stop()

    def stop(self) -> None:
        stack, self._stack = self._stack, None
        if stack is not None:
            self.faults.clear()
            self.embedding.set()
            stack.close()

    def token(self, user: str, *groups: str, roles: tuple[str, ...] = (), agent: str | None = None, ttl: str = "10h") -> str:
        del ttl
        key = (user, *groups, *roles, agent or "")
        if key not in self._tokens:
            self._tokens[key] = mint_token(self.home, user, groups=groups, agent=agent, roles=[Role(role) for role in roles], ttl=36_000)
        return self._tokens[key]


@contextlib.contextmanager
def _served(gate: Any, installation: Inside) -> Iterator[None]:
    listener = bind("127.0.0.1", 0)
    installation.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    server = uvicorn.Server(uvicorn.Config(create_app(Surface(gate, upkeep=installation.controller)), log_config=None, access_log=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    began = time.monotonic()
    while not server.started:
        assert thread.is_alive()
        assert time.monotonic() - began < START_SECONDS
        time.sleep(0.005)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


@contextlib.contextmanager
def inside(folder: Path, patch: pytest.MonkeyPatch, *, prober: bool = True) -> Iterator[tuple[Stage, Inside]]:
    """A stage on an installation in this process."""
    installation = Inside(folder / "inside", patch)
    installation.start()
    try:
        stage = Stage("in", installation)
        with stage.prober if prober else contextlib.nullcontext():
            yield stage, installation
    finally:
        installation.stop()
