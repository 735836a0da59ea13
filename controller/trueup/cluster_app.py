"""The wiring of the cluster: the operator, the gate, and both in one pod."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import signal
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import structlog

from trueup.app import SystemClock, checkpoints
from trueup.catalog import generations, migrate, placing
from trueup.catalog.generations import Planned
from trueup.catalog.opening import open_store
from trueup.catalog.store import URGENT, Store
from trueup.cluster.api import Api
from trueup.cluster_settings import ClusterSettings, Missettled
from trueup.gate.cluster.hooks import HookSecrets
from trueup.gate.cluster.identity import AnyIdentity
from trueup.gate.cluster.oidc import OidcIdentity
from trueup.gate.cluster.reviews import AccessReviews
from trueup.gate.cluster.tokens import ClusterIdentity
from trueup.gate.deps import Gate
from trueup.gate.keys import Keys
from trueup.gate.remote import RemoteController
from trueup.index.edge import EdgeIndex
from trueup.index.server import ServerIndex
from trueup.ingest.chunker import CHUNKER_VERSION
from trueup.ingest.embedders import EmbedderCache
from trueup.ingest.kinds import supported
from trueup.ingest.prepare import prepare
from trueup.ingest.sandbox import Sandbox
from trueup.logs import configure_logs
from trueup.model.resources import ContextSource
from trueup.model.text import IngestSettings, Prepared
from trueup.operator.host import Host
from trueup.operator.lease import Lease
from trueup.operator.secrets import Folder, WithSecret, secret_data
from trueup.operator.term import Setting
from trueup.ports import Clock, Controller, Index, Source
from trueup.reconcile.origin import Plant
from trueup.sources.opening import OpenContext
from trueup.sources.registry import open_source
from trueup.surfaces.http.app import create_app
from trueup.surfaces.http.metrics import Metrics
from trueup.surfaces.http.probes import Check, Probes, serve_probes
from trueup.surfaces.http.server import bind, run
from trueup.surfaces.http.surface import Surface

log = structlog.get_logger(__name__)


def operator(settings: ClusterSettings, *, with_gate: bool) -> None:
    """Reconcile the cluster's declarations, and answer beside that if `with_gate`, until SIGTERM.

    Raises:
        TrueupError: something this process cannot do without is broken; the message says what to do.
        OSError: an address cannot be had.
    """
    configure_logs()
    with contextlib.ExitStack() as stack:
        base = _base(stack, settings)
        host = _host(stack, base)
        metrics = _metrics(base, host)
        if with_gate:
            # What is inside its lease is served at once, before this process leads: a predecessor that was killed holds the Lease for a while.
            _open_embedded(base)
            gate = _gate(stack, base, host)
            stack.enter_context(checkpoints(base.store, base.keys, base.clock, settings.checkpoints))
            _probes(settings, metrics, live=(), ready=(host.ready,))
            stack.callback(host.stop)
            _answer(settings, gate, metrics, begin=host.start)
        else:
            stack.enter_context(checkpoints(base.store, base.keys, base.clock, settings.checkpoints))
            address, port = _probes(settings, metrics, live=(host.live,), ready=(host.ready,))
            stopped = threading.Event()
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: stopped.set())
            stack.callback(host.stop)
            host.start()
            print(f"ready http://{address}:{port}", flush=True)  # noqa: T201 - as `serve` says it
            stopped.wait()


def gate(settings: ClusterSettings) -> None:
    """Answer from a catalog that an operator keeps elsewhere, until SIGTERM.

    Raises:
        TrueupError: something this process cannot do without is broken; the message says what to do.
        OSError: an address cannot be had.
    """
    configure_logs()
    with contextlib.ExitStack() as stack:
        base = _base(stack, settings)
        _open_embedded(base)
        remote = RemoteController(base.store)
        stack.callback(remote.close)
        made = _gate(stack, base, remote)
        metrics = _metrics(base, None)
        _probes(settings, metrics, live=(), ready=())
        _answer(settings, made, metrics, begin=lambda: None)


def _open_embedded(base: _Base) -> None:
    """An embedded index is opened a collection at a time. A server's collections are the operator's to make."""
    if base.settings.index.startswith("edge:"):
        with base.store.read() as snapshot:
            active = generations.every(snapshot)
        for generation in active:
            base.index().ensure(generation.spec)


@dataclass(frozen=True, slots=True)
class _Base:
    """What operator and gate share in one process."""

    settings: ClusterSettings
    clock: Clock
    api: Api
    store: Store
    keys: Keys
    embedders: EmbedderCache
    index: Callable[[], Index]


def _base(stack: contextlib.ExitStack, settings: ClusterSettings) -> _Base:
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    api = Api.connect()
    stack.callback(api.close)
    store = open_store(settings.catalog, SystemClock())
    stack.callback(store.close)
    store.write(lambda tx: migrate.prepare(tx.connection))
    index = _Index(settings)
    stack.callback(index.close)
    return _Base(settings, store.clock, api, store, Keys.load(settings.keys), EmbedderCache(), index.open)


class _Index:
    """The index, opened when it is first needed: a standby must not hold the folder of an embedded one."""

    def __init__(self, settings: ClusterSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._opened: Index | None = None

    def open(self) -> Index:
        """The one index of this process."""
        with self._lock:
            if self._opened is None:
                url = self._settings.index
                # Absolute, as `ClusterSettings` has made it.
                self._opened = EdgeIndex(Path(urlsplit(url).path)) if url.startswith("edge:") else ServerIndex(url, self._settings.index_key)
            return self._opened

    def close(self) -> None:
        """Flush and release it, if it was opened."""
        if self._opened is not None:
            self._opened.close()


def _host(stack: contextlib.ExitStack, base: _Base) -> Host:
    sandbox = Sandbox()
    stack.callback(sandbox.close)
    # What a killed predecessor left of its sources' credentials.
    shutil.rmtree(base.settings.home / "credentials", ignore_errors=True)

    def prepared(data: bytes, uri: str, wanted: IngestSettings) -> Prepared:
        return prepare(data, uri, wanted, sandbox)

    def plant(store: Store) -> Plant:
        opener = _Opener(base.settings, base.api)
        return Plant(store, base.index(), base.embedders, base.clock, opener, prepared, supported, ingest_version=str(CHUNKER_VERSION))

    def plan(embedding: Mapping[str, Any]) -> Planned:
        made = base.embedders.plan(embedding)
        base.embedders.register(made)
        return Planned(made.fingerprint, made.dimensions, made.sparse, dict(embedding), made.degraded)

    instance = f"{base.settings.instance}_{secrets.token_hex(4)}"
    lease = Lease(base.api, base.clock, *base.settings.lease, identity=instance)
    return Host(Setting(base.api, base.store, plant, plan, base.settings.namespaces, instance), lease, base.clock)


class _Opener:
    """Opens sources as declared, with the credentials of their Secret."""

    def __init__(self, settings: ClusterSettings, api: Api) -> None:
        self._settings, self._api = settings, api
        self._shared: dict[str, object] = {}

    def __call__(self, resource: ContextSource) -> Source:
        """The connector for `resource`.

        Raises:
            SourceError: it cannot be opened as declared.
        """
        meta, spec, home = resource.metadata, resource.spec, self._settings.home
        uid = meta.uid or "none"
        folder = home / "credentials" / uid
        context = OpenContext(
            allowed_roots=self._settings.roots,
            forbidden=(home,),
            cache_dir=home / "cache" / uid,
            timeout=spec.timeout_seconds,
            in_cluster=True,
            credentials=folder if spec.secret_ref else None,
            namespace=meta.namespace,
            cluster=self._api,
            shared=self._shared,
        )
        if spec.secret_ref is None:
            return open_source(spec, context)
        name = spec.secret_ref.name
        return WithSecret(Folder(folder, lambda: secret_data(self._api, meta.namespace, name)), lambda: open_source(spec, context))


def _gate(stack: contextlib.ExitStack, base: _Base, controller: Controller) -> Gate:
    settings = base.settings
    try:
        issuer = None if settings.issuer is None else OidcIdentity(settings.issuer, settings.audience, base.clock, settings.issuer_authority)
    except (ValueError, OSError) as error:
        raise Missettled(name="TRUEUP_OIDC_ISSUER", why="it must be an https URL, and TRUEUP_OIDC_CA a file of certificates") from error
    reviews = AccessReviews(base.api, base.clock)
    stack.callback(reviews.close)
    made = Gate(
        store=base.store,
        index=base.index(),
        embedders=base.embedders,
        clock=base.clock,
        identity=AnyIdentity(ClusterIdentity(base.api, settings.audience, base.clock), issuer),
        keys=base.keys,
        controller=controller,
        distrust=lambda: base.store.write(placing.distrust, URGENT),
        reviews=reviews.allowed,
        hook_secret=HookSecrets(base.api, base.store).of,
    )
    stack.callback(made.close)
    return made


def _answer(settings: ClusterSettings, gate: Gate, metrics: Metrics, begin: Callable[[], None]) -> None:
    """Serve until SIGTERM; `begin()` once the address is ours."""
    listener = bind(settings.host, settings.port)
    closing = threading.Event()
    begin()
    host, port = listener.getsockname()[:2]
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    run(create_app(Surface(gate, metrics=metrics, closing=closing, resources=False)), listener, lambda: print(f"ready {url}", flush=True), closing)  # noqa: T201 - as `serve` says it


def _metrics(base: _Base, host: Host | None) -> Metrics:
    metrics = Metrics()
    metrics.watch(base.store, base.clock)
    if host is not None:
        metrics.gauge("trueup_operator_leads", "1 while this process holds the Lease and reconciles.", lambda: float(host.leads))
        metrics.gauge("trueup_operator_last_pass_age_seconds", "Seconds since a pass last ended.", lambda: host.last_pass_age)
        metrics.gauge("trueup_operator_due", "Sources that are due and not being looked at, and declarations not taken yet.", lambda: float(host.waiting))
        metrics.gauge("trueup_operator_status_writes", "Status patches sent in this term.", lambda: float(host.written))
    return metrics


def _probes(settings: ClusterSettings, metrics: Metrics, live: tuple[Check, ...], ready: tuple[Check, ...]) -> tuple[str, int]:
    return serve_probes(Probes(metrics, live, ready), settings.host, settings.metrics_port)
