"""What a row plays on: a namespace of its own on a running installation, its origins, its prober and its oracle."""

from __future__ import annotations

import datetime as dt
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from tests.scenarios.harness.client import Client, Unreachable
from tests.scenarios.harness.documents import COMMON, canaries, canary, prose
from tests.scenarios.harness.githost import GitHost
from tests.scenarios.harness.origins import Origin, Repo, Tree
from tests.scenarios.harness.prober import Prober
from tests.scenarios.harness.process import Installation
from tests.scenarios.harness.proxy import Proxy
from tests.scenarios.harness.truth import Truth

T = TypeVar("T")

SLACK = float(os.environ.get("TRUEUP_TEST_SLACK", "3"))
"""By how much a busy machine may be slower than what is promised. What was measured is reported without it."""
WATCHED = 1.0
"""g of a watched source, in seconds (contract, section 2)."""
EVERYONE = {"readers": [{"kind": "Everyone"}]}


def parsed(text: str) -> float:
    """An RFC 3339 time of the API."""
    return dt.datetime.fromisoformat(text).timestamp()


class Stage:
    """One row's."""

    def __init__(self, name: str, installation: Installation, host: GitHost | None = None) -> None:
        self.name = name
        self.installation = installation
        self.truth = Truth(settled=2.0 * SLACK)
        self.folder = installation.work / name
        self.folder.mkdir()
        self._host = host
        self.proxies: dict[str, Proxy] = {}
        self.origins: dict[str, Origin] = {}
        self.specs: dict[str, dict[str, Any]] = {}
        self._clients: dict[tuple[Any, ...], Client] = {}
        self.prober = Prober(self.truth, lambda: self.reader, lambda: list(self.origins))

    # --- callers ------------------------------------------------------------------------------------------------------

    def caller(self, user: str = "reader", *groups: str, **more: Any) -> Client:
        """A client with a token of this user."""
        key = (self.installation.url, user, groups, *sorted(more.items()))
        if key not in self._clients:
            self._clients[key] = self.installation.caller(user, *groups, **more)
        return self._clients[key]

    @property
    def reader(self) -> Client:
        """Somebody whom `Everyone` admits, and nothing else."""
        return self.caller("reader")

    @property
    def operator(self) -> Client:
        return self.caller("operator", roles=("operator", "auditor"))

    # --- origins and declarations -------------------------------------------------------------------------------------

    def key(self, name: str) -> str:
        return f"{self.name}/{name}"

    def tree(self, name: str = "dir") -> Tree:
        """A new folder."""
        return Tree(self.truth, self.key(name), self.folder / name)

    def repo(self, name: str = "git") -> Repo:
        """A new repository behind a proxy of its own."""
        assert self._host is not None
        proxy = self.proxies[self.key(name)] = Proxy(self._host.port)
        where = f"{self.name}-{name}.git"
        return Repo(self.truth, self.key(name), self.folder / name, self._host.root / where, f"{proxy.url}/{where}")

    def origin(self, kind: str) -> Any:
        """A folder or a repository."""
        return self.tree() if kind == "Directory" else self.repo()

    def fill(self, origin: Origin, count: int, folder: str = "docs", paragraphs: int = 1) -> list[str]:
        """Write `count` documents; their uris."""
        uris = [f"{folder}/{number:03}.md" for number in range(count)]
        with origin.change():
            for uri in uris:
                origin.write(uri, prose(canary(), paragraphs))
        return uris

    def mark(self, origin: Origin, uri: str) -> str:
        """The canary of what `uri` holds now."""
        return next(iter(canaries(origin.now[uri].decode())))

    def declare(
        self, origin: Origin, *, client: Client | None = None, annotations: dict[str, str] | None = None, probed: bool = True, **spec: Any
    ) -> dict[str, Any]:
        """Declare the origin's source, or change its declaration; members that were given before stay."""
        namespace, name = origin.key.split("/")
        kept = self.specs.setdefault(origin.key, {"interval": "2s" if origin.kind == "Git" else "5s", "access": EVERYONE})
        kept |= spec
        interval = seconds(kept["interval"])
        lease = seconds(kept.get("freshness", {}).get("maxStaleness", "1h"))
        # Watched: 1 s. Polled: the interval, its jitter, and the look; the slack is for what the machine does, not for waiting.
        g = WATCHED * SLACK if origin.kind == "Directory" else interval * 1.05 + WATCHED * SLACK
        self.truth.declare(origin.key, g, lease)
        body = {
            "apiVersion": "trueup.dev/v1alpha1",
            "kind": "ContextSource",
            "metadata": {"namespace": namespace, "name": name, "annotations": annotations or {}},
            "spec": {**kept, "source": origin.spec()},
        }
        stored: dict[str, Any] = (client or self.operator).ok("PUT", f"/v1/resources/contextsources/{origin.key}", body)
        if probed:
            self.origins[origin.key] = origin
        return stored

    def withdraw(self, origin: Origin) -> None:
        """Delete the resource: dead when this returns."""
        self.operator.ok("DELETE", f"/v1/resources/contextsources/{origin.key}")
        self.truth.retract(origin.key)

    def up(self, origin: Origin, **spec: Any) -> None:
        """Declare it and wait until it is ready."""
        self.declare(origin, **spec)
        self.ready(origin)

    # --- what Trueup says ---------------------------------------------------------------------------------------------

    def resource(self, origin: Origin) -> dict[str, Any]:
        found: dict[str, Any] = self.operator.get(f"/v1/resources/contextsources/{origin.key}")
        return found

    def status(self, origin: Origin) -> dict[str, Any]:
        found: dict[str, Any] = self.resource(origin)["status"]
        return found

    def condition(self, origin: Origin, kind: str) -> dict[str, Any]:
        """A condition; empty while it is not there."""
        return next((c for c in self.status(origin).get("conditions", ()) if c["type"] == kind), {})

    def events(self, origin: Origin) -> list[str]:
        return [event["reason"] for event in self.operator.items(f"/v1/sources/{origin.key}/events")]

    def tombstones(self, origin: Origin) -> list[dict[str, Any]]:
        return self.operator.items(f"/v1/sources/{origin.key}/tombstones?limit=1000")

    def tombstone(self, origin: Origin, uri: str, within: float = 20.0) -> dict[str, Any]:
        """The newest tombstone of `uri`."""
        return self.until(lambda: next((t for t in self.tombstones(origin) if t["uri"] == uri), None), within, f"a tombstone of {uri}")

    def ready(self, origin: Origin, within: float = 60.0) -> None:
        """Wait until it is Ready at its generation."""

        def is_ready() -> bool:
            found = self.resource(origin)
            return any(
                c["type"] == "Ready" and c["status"] == "True" and c["observedGeneration"] == found["metadata"]["generation"]
                for c in found["status"].get("conditions", ())
            )

        self.until(is_ready, within, lambda: f"{origin.key} ready: {self.status(origin)}")

    def reconcile(self, origin: Origin, within: float = 30.0) -> None:
        """Ask for a look now, and wait until it was had."""
        asked = str(time.time_ns())
        self.declare(origin, annotations={"trueup.dev/requestedAt": asked})
        self.until(lambda: self.status(origin).get("lastHandledReconcileAt") == asked, within, lambda: f"{origin.key} reconciled: {self.status(origin)}")

    # --- what the gate answers ----------------------------------------------------------------------------------------

    def answer(self, *origins: Origin, query: str = COMMON, client: Client | None = None, top_k: int = 100) -> dict[str, Any]:
        """A judged answer."""
        reply = (client or self.reader).retrieve(query, [origin.key for origin in origins] or None, top_k=top_k)
        self.truth.judge(reply, origins[0].key if len(origins) == 1 and query == COMMON else None)
        assert reply.status == 200, reply.body
        found: dict[str, Any] = reply.body
        return found

    def served(self, *origins: Origin, client: Client | None = None) -> set[str]:
        """The canaries of everything that is served of these origins."""
        return {mark for result in self.answer(*origins, client=client)["results"] for mark in canaries(result["text"])}

    def hits(self, mark: str, *origins: Origin, client: Client | None = None) -> list[dict[str, Any]]:
        """The results with this canary, asked for by it."""
        return [result for result in self.answer(*origins, query=mark, client=client)["results"] if mark in canaries(result["text"])]

    def serves_truth(self, origin: Origin, within: float = 20.0) -> None:
        """Wait until exactly what is live is served."""

        def differs() -> str:
            live = {(span.uri, span.digest) for span in self.truth.live(origin.key).values() if span.marks}
            here = {(place["uri"], place["digest"]) for result in self.answer(origin)["results"] for place in result["provenance"]}
            return f"missing {sorted(live - here)[:3]}, surplus {sorted(here - live)[:3]}" if live != here else ""

        self.until(lambda: not differs(), within, lambda: f"{origin.key} true: {differs()}; {self.status(origin)}")

    def gone(self, mark: str, origin: Origin, within: float | None = None, client: Client | None = None) -> float:
        """Seconds until `mark` is not served any more: within g if not said otherwise."""
        began = time.monotonic()
        limit = self.truth.terms(origin.key).g if within is None else within
        self.until(lambda: not self.hits(mark, origin, client=client), limit, f"{mark} gone", pause=0.02)
        return time.monotonic() - began

    def appears(self, mark: str, origin: Origin, within: float = 20.0, client: Client | None = None) -> None:
        """Wait until `mark` is served."""
        self.until(lambda: self.hits(mark, origin, client=client), within, lambda: f"{mark} served: {self.status(origin)}")

    def never(self, holds: Callable[[], object], seconds: float, what: str) -> None:
        """Watch for a while that something does not come to hold."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            assert not holds(), f"this must not happen: {what}"
            time.sleep(0.05)

    def until(self, check: Callable[[], T], within: float, what: str | Callable[[], str], pause: float = 0.05) -> T:
        """What `check` returns as soon as it is true."""
        ends = time.monotonic() + within
        while not (found := check()):
            assert time.monotonic() < ends, f"not within {within:.1f} s: {what if isinstance(what, str) else what()}"
            time.sleep(pause)
        return found

    # --- the end ------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Settle the books: tombstones are compared with what died; the network is well again."""
        for origin in self.origins.values():
            self.truth.bury(origin.key, self.tombstones(origin), parsed)
        for proxy in self.proxies.values():
            proxy.close()

    def clean(self) -> None:
        """Withdraw what is still declared, so that it costs the other rows nothing."""
        for origin in self.origins.values():
            try:
                self.operator.send("DELETE", f"/v1/resources/contextsources/{origin.key}")
            except Unreachable:
                return

    def folder_of(self, name: str) -> Path:
        """A path for something else of this row."""
        return self.folder / name


def seconds(text: str) -> float:
    """A duration with one unit, as the rows write them."""
    unit = text.lstrip("0123456789.")
    return float(text.removesuffix(unit)) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600}[unit]
