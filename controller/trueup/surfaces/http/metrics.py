"""Metrics, on a port of their own: they tell of every source, which is nothing for callers of the gate."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, Counter, Gauge, make_wsgi_app, start_http_server
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from trueup.catalog import serving
from trueup.catalog.store import Store
from trueup.ports import Clock


class Metrics:
    """The counters of the gate. No label holds anything that a caller chose."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self._answers = Counter("trueup_answers", "Answers given.", registry=self.registry)
        self._results = Counter("trueup_results", "Results in them.", registry=self.registry)
        self._withheld = Counter("trueup_withheld", "Results withheld, by reason.", ["reason"], registry=self.registry)
        self._refusals = Counter("trueup_refusals", "Requests refused before they were looked at, by reason.", ["reason"], registry=self.registry)

    def answered(self, answer: Mapping[str, Any]) -> None:
        """One more answer."""
        self._answers.inc()
        self._results.inc(len(answer["results"]))
        for reason, count in answer["withheld"].items():
            self._withheld.labels(reason).inc(count)

    def refused(self, reason: str) -> None:
        """One more request that was not let in."""
        self._refusals.labels(reason).inc()

    def watch(self, store: Store, clock: Clock) -> None:
        """Also tell how fresh each source is, whenever somebody asks."""
        self.registry.register(_Freshness(store, clock))

    def gauge(self, name: str, told: str, read: Callable[[], float]) -> None:
        """Also tell a number that `read()` has at the moment."""
        Gauge(name, told, registry=self.registry).set_function(read)

    def wsgi(self) -> Callable[..., Any]:
        """What answers `/metrics`, for a server that answers more."""
        return make_wsgi_app(self.registry)

    def serve(self, host: str, port: int) -> tuple[WSGIServer, threading.Thread]:
        """Serve `/metrics` on `host` and `port`; shut the server down, then join the thread, to end it."""
        return start_http_server(port, host, self.registry)


class _Freshness(Collector):
    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock

    def collect(self) -> Iterable[Metric]:
        age = GaugeMetricFamily("trueup_source_age_seconds", "Seconds since a look last vouched for the source.", labels=["namespace", "name"])
        healthy = GaugeMetricFamily("trueup_source_healthy", "1 if the last look at the source was whole, else 0.", labels=["namespace", "name"])
        with self._store.read() as read:
            standings = serving.standings(read, [source.id for source in serving.sources(read)])
            ailing = serving.ailing(read)
        now = self._clock.now()
        for standing in standings.values():
            names = [standing.namespace, standing.name]
            healthy.add_metric(names, 0.0 if standing.id in ailing else 1.0)
            if standing.verified_at is not None:
                age.add_metric(names, now - standing.verified_at)
        return (age, healthy)

    def describe(self) -> Iterable[Metric]:
        """Nothing to look up when it is registered."""
        return ()
