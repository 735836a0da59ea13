"""The operator and the gate as processes, each with the rights of its own service account, and what a person does with them."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.controlplane import ControlPlane
from tests.leash import Child

READY = 40.0
"""Seconds for a process to say that it answers: starting Python with everything takes 4 s where nothing else runs."""


class Part:
    """One `trueup operator` or `trueup gate`."""

    def __init__(self, plane: ControlPlane, home: Path, account: str, arguments: list[str], **settings: str) -> None:
        self.home = home
        self.log = home.with_suffix(f".{account}.{time.monotonic_ns()}.log")
        kubeconfig = plane.as_service_account("trueup-system", account)
        chosen = {
            "TRUEUP_HOME": str(home),
            "TRUEUP_HOST": "127.0.0.1",
            "TRUEUP_PORT": "0",
            "TRUEUP_METRICS_PORT": "0",
            "TRUEUP_INSTANCE": account,
            "PYTHONUNBUFFERED": "1",
        }
        environment = plane.environment(kubeconfig) | chosen | settings
        self.child = Child([sys.executable, "-m", "trueup.surfaces.cli", *arguments], self.log, env=environment)

    def url(self) -> str:
        """Where it answers, once it says so."""
        end = time.monotonic() + READY
        while time.monotonic() < end:
            for line in self.log.read_text(errors="replace").splitlines():
                if line.startswith("ready "):
                    return line.split()[1]
            if self.child.exited() is not None:
                break
            time.sleep(0.05)
        raise AssertionError(f"It did not come up:\n{self.child.tail(40)}")

    def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Stop it."""
        self.child.end(how=how, grace=20.0)


@contextlib.contextmanager
def running(plane: ControlPlane, home: Path, account: str, *arguments: str, **settings: str) -> Iterator[Part]:
    """A part, up and answering; ended afterwards."""
    part = Part(plane, home, account, list(arguments), **settings)
    try:
        part.url()
        yield part
    except BaseException as error:
        error.add_note(f"{account} said at last:\n{part.child.tail(25)}")
        raise
    finally:
        part.end()


def call(url: str, method: str = "GET", body: dict[str, Any] | None = None, token: str | None = None) -> tuple[int, dict[str, Any]]:
    """One HTTP request, past any proxy: status and JSON."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    request = urllib.request.Request(url, method=method, headers=headers, data=None if body is None else json.dumps(body).encode())
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=30) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as refusal:
        return refusal.code, json.loads(refusal.read())


def ask(url: str, token: str, query: str, **more: Any) -> dict[str, Any]:
    """`POST /v1/retrieve`, which must succeed."""
    status, answer = call(f"{url}/v1/retrieve", "POST", {"query": query, **more}, token)
    assert status == 200, answer
    return answer


def texts(answer: dict[str, Any]) -> str:
    """Every text of an answer."""
    return "\n".join(result["text"] for result in answer["results"])


def eventually(holds: Callable[[], Any], seconds: float = 20.0) -> Any:
    """What `holds()` returns once it is true.

    Raises:
        AssertionError: it did not become true in time.
    """
    end = time.monotonic() + seconds
    while True:
        found = holds()
        if found:
            return found
        assert time.monotonic() < end, f"not so within {seconds:g} s"
        time.sleep(0.1)


def source(namespace: str, name: str, path: Path, **spec: Any) -> dict[str, Any]:
    """A ContextSource over a folder, readable by every authenticated caller, looked at once a second."""
    declared = {"source": {"type": "Directory", "directory": {"path": str(path)}}, "interval": "1s", "access": {"readers": [{"kind": "Everyone"}]}}
    return {"apiVersion": "trueup.dev/v1alpha1", "kind": "ContextSource", "metadata": {"name": name, "namespace": namespace}, "spec": declared | spec}
