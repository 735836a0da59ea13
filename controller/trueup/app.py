"""The one place where the parts are wired together."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from trueup.catalog import audit, migrate, placing
from trueup.catalog.generations import Planned
from trueup.catalog.store import URGENT, SqliteStore, Store
from trueup.errors import HomeLocked, TrueupError
from trueup.gate.deps import Gate
from trueup.gate.identity import LocalIdentity
from trueup.gate.keys import Keys
from trueup.gate.sealing import CheckpointSeal
from trueup.index.edge import EdgeIndex
from trueup.ingest.embedders import EmbedderCache
from trueup.ingest.kinds import supported
from trueup.ingest.prepare import PREPARE_VERSION, prepare
from trueup.ingest.sandbox import Sandbox
from trueup.interpreter import tune
from trueup.logs import configure_logs
from trueup.model.resources import ContextSource
from trueup.model.text import IngestSettings, Prepared
from trueup.ports import Clock, Source
from trueup.reconcile.controller import Controller
from trueup.reconcile.embedded import Embedded, EmbeddedStatuses
from trueup.reconcile.origin import Plant
from trueup.sources.opening import OpenContext
from trueup.sources.registry import open_source
from trueup.surfaces.http.app import create_app
from trueup.surfaces.http.metrics import Metrics
from trueup.surfaces.http.server import bind, run
from trueup.surfaces.http.surface import Surface

log = structlog.get_logger(__name__)

CHECKPOINTS = 300.0
"""Seconds between signed checkpoints of the audit log, when there are rows."""


class SystemClock:
    """The machine's clocks."""

    def now(self) -> float:
        """Wall time, seconds since the epoch (UTC)."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()


@dataclass(frozen=True, slots=True)
class Settings:
    """How `trueup serve` was started.

    Attributes:
        home: where everything of this installation is kept.
        host, port: where the gate listens; port 0 takes a free one.
        metrics_port: where /metrics listens, on loopback; None: nowhere.
        roots: folders in which sources may lie, besides the working directory and the user's home.
    """

    home: Path
    host: str = "127.0.0.1"
    port: int = 8480
    metrics_port: int | None = None
    roots: tuple[Path, ...] = ()


def serve(settings: Settings) -> None:
    """Run controller and gate in this process until SIGTERM.

    Raises:
        HomeLocked: another process serves this home.
        TrueupError: something this process cannot do without is broken; the message says what to do.
        OSError: the address cannot be had.
    """
    configure_logs()
    tune()
    os.umask(0o077)
    home = settings.home.resolve()
    with locked(home):
        listener = bind(settings.host, settings.port)
        closing = threading.Event()
        with embedded(home, settings.roots) as (gate, controller):
            metrics = Metrics()
            metrics.watch(gate.store, gate.clock)
            if settings.metrics_port is not None:
                metrics.serve("127.0.0.1", settings.metrics_port)
            controller.start()
            host, port = listener.getsockname()[:2]
            url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
            with checkpoints(gate.store, gate.keys, gate.clock, home / "checkpoints"):
                surface = Surface(gate, metrics=metrics, upkeep=controller, closing=closing)
                run(create_app(surface), listener, lambda: _ready(url), closing)
            controller.stop()


def _ready(url: str) -> None:
    """The one line on stdout that the contract promises."""
    sys.stdout.write(f"ready {url}\n")
    sys.stdout.flush()


@contextlib.contextmanager
def locked(home: Path) -> Iterator[None]:
    """Hold the home for this process; a kill leaves no lock behind.

    Raises:
        HomeLocked: another process holds it.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    home.chmod(0o700)
    with (home / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise HomeLocked(home=home) from error
        yield


@contextlib.contextmanager
def embedded(home: Path, roots: tuple[Path, ...]) -> Iterator[tuple[Gate, Embedded]]:
    """The embedded profile's parts over `home`, not started yet; closed at the end."""
    clock = SystemClock()
    keys = Keys.load(home / "keys")
    with contextlib.ExitStack() as stack:
        store = SqliteStore(home / "catalog.db", clock)
        stack.callback(store.close)
        store.write(lambda tx: migrate.prepare(tx.connection))
        index = EdgeIndex(home / "index")
        stack.callback(index.close)
        embedders = EmbedderCache()
        sandbox = Sandbox()
        stack.callback(sandbox.close)

        shared: dict[str, object] = {}

        def opener(resource: ContextSource) -> Source:
            context = OpenContext(
                allowed_roots=(Path.cwd(), Path.home(), *(root.resolve() for root in roots)),
                forbidden=(home,),
                cache_dir=home / "cache" / (resource.metadata.uid or "none"),
                timeout=resource.spec.timeout_seconds,
                shared=shared,
            )
            return open_source(resource.spec, context)

        def prepared(data: bytes, uri: str, wanted: IngestSettings) -> Prepared:
            return prepare(data, uri, wanted, sandbox)

        def plan(embedding: Mapping[str, Any]) -> Planned:
            made = embedders.plan(embedding)
            embedders.register(made)
            return Planned(made.fingerprint, made.dimensions, made.sparse, dict(embedding), made.degraded)

        plant = Plant(store, index, embedders, clock, opener, prepared, supported, ingest_version=str(PREPARE_VERSION))
        controller = Embedded(Controller(plant, EmbeddedStatuses(store)), plan)
        gate = Gate(
            store=store,
            index=index,
            embedders=embedders,
            clock=clock,
            identity=LocalIdentity(keys.token, clock),
            keys=keys,
            controller=controller,
            distrust=lambda: store.write(placing.distrust, URGENT),
        )
        stack.callback(gate.close)
        yield gate, controller


@contextlib.contextmanager
def checkpoints(store: Store, keys: Keys, clock: Clock, folder: Path) -> Iterator[None]:
    """Sign the heads of the audit chains every five minutes, and at the end."""
    stopped = threading.Event()

    def sign() -> None:
        try:
            audit.checkpoint(store, folder, CheckpointSeal(keys.checkpoint), clock.now())
        except (TrueupError, OSError):
            log.exception("checkpoint.failed")

    def work() -> None:
        while not stopped.wait(CHECKPOINTS):
            sign()

    thread = threading.Thread(target=work, name="checkpoints", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()
        sign()
