"""What operator and gate survive: kills, restarts, two at once, an API server that is away, finalizers stripped by hand."""

from __future__ import annotations

import json
import os
import signal
import time
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.parts import Part, ask, call, eventually, running, source, texts
from tests.controlplane import ControlPlane

OPERATOR, GATE = "trueup-operator", "trueup-gate"


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """A folder with one document."""
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "a.md").write_text("# Alpha\n\nThe word is kumquat-7781.\n")
    return folder


@pytest.fixture
def agent(joined: ControlPlane, namespace: str) -> str:
    """A token of the service account `agent` in the test's namespace."""
    joined.as_service_account(namespace, "agent")
    return joined.token(namespace, "agent", "trueup")


@pytest.fixture
def swept(joined: ControlPlane, namespace: str) -> Iterator[None]:
    """Afterwards no object waits for an operator that is not there any more."""
    yield
    for found in joined.get("ctxsrc", f"--namespace={namespace}")["items"]:
        strip(joined, namespace, found["metadata"]["name"])


def strip(plane: ControlPlane, namespace: str, name: str) -> None:
    plane.kubectl("patch", "ctxsrc", name, f"--namespace={namespace}", "--type=merge", "-p", '{"metadata":{"finalizers":null}}')


def ready(plane: ControlPlane, namespace: str, name: str = "docs") -> None:
    plane.kubectl("wait", "--for=condition=Ready", f"ctxsrc/{name}", f"--namespace={namespace}", "--timeout=40s")


def status(plane: ControlPlane, namespace: str, name: str = "docs") -> dict[str, Any]:
    found: dict[str, Any] = plane.get("ctxsrc", name, f"--namespace={namespace}")["status"]
    return found


def pod(plane: ControlPlane, home: Path, docs: Path, **settings: str) -> Any:
    return running(plane, home, OPERATOR, "operator", "--with-gate", TRUEUP_ALLOW_ROOTS=str(docs), **settings)


def test_freshness_runs_out_without_an_operator(joined: ControlPlane, tmp_path: Path, docs: Path, namespace: str, agent: str, swept: None) -> None:
    """P40, P27: with the operator gone the gate serves until the lease ends, then withholds; a restarted one still withholds."""
    home = tmp_path / "home"
    with pod(joined, home, docs):
        joined.apply(source(namespace, "docs", docs, freshness={"maxStaleness": "20s"}))
        ready(joined, namespace)
    with running(joined, home, GATE, "gate") as gate:
        assert "kumquat-7781" in texts(ask(gate.url(), agent, "kumquat-7781"))
        answer = eventually(lambda: (a := ask(gate.url(), agent, "kumquat-7781"))["results"] == [] and a, 25)
        assert answer["withheld"]["stale"] == 1
    with running(joined, home, GATE, "gate") as gate:
        assert ask(gate.url(), agent, "kumquat-7781")["withheld"]["stale"] == 1
    with pod(joined, home, docs) as part:
        eventually(lambda: "kumquat-7781" in texts(ask(part.url(), agent, "kumquat-7781")))


def test_killed_in_a_pass(joined: ControlPlane, tmp_path: Path, docs: Path, namespace: str, agent: str, swept: None) -> None:
    """P30: killed with SIGKILL while it loads, edits and deletes, it converges after a restart and serves no mix of old and new."""
    home, numbers = tmp_path / "home", range(60)
    for number in numbers:
        (docs / f"{number}.md").write_text(f"Page {number} says old-{number}-zebra.\n")
    with pod(joined, home, docs) as part:
        joined.apply(source(namespace, "docs", docs))
        ready(joined, namespace)
        for number in numbers:
            (docs / f"{number}.md").write_text(f"Page {number} says new-{number}-zebra.\n")
        for number in range(20):
            (docs / f"{number}.md").unlink()
        eventually(lambda: served(part.url(), agent, "new", (30,)))
        part.end(signal.SIGKILL)
    with pod(joined, home, docs) as part:
        eventually(lambda: status(joined, namespace)["documents"]["live"] == 41 and not loading(joined, namespace), 40)
        assert served(part.url(), agent, "new", range(20, 60, 9)) == len(range(20, 60, 9))
        assert served(part.url(), agent, "old", range(0, 60, 9)) == 0
        assert served(part.url(), agent, "new", range(0, 20, 7)) == 0


def loading(plane: ControlPlane, namespace: str) -> bool:
    return any(c["type"] == "Reconciling" for c in status(plane, namespace)["conditions"])


def served(url: str, token: str, state: str, numbers: Any) -> int:
    """How many of the pages are served in that state."""
    return sum(f"{state}-{number}-zebra" in texts(ask(url, token, f"{state}-{number}-zebra")) for number in numbers)


def test_what_went_while_it_was_down(joined: ControlPlane, tmp_path: Path, docs: Path, namespace: str, agent: str, swept: None) -> None:
    """A finalizer stripped and an object deleted while no operator ran: nothing of either is served by the next one, nor is anything stuck."""
    home = tmp_path / "home"
    with pod(joined, home, docs):
        joined.apply(source(namespace, "stripped", docs), source(namespace, "deleted", docs))
        ready(joined, namespace, "stripped")
        ready(joined, namespace, "deleted")
    joined.kubectl("delete", "ctxsrc", "--all", f"--namespace={namespace}", "--wait=false")
    strip(joined, namespace, "stripped")
    with pod(joined, home, docs) as part:
        joined.kubectl("wait", "--for=delete", "ctxsrc/deleted", f"--namespace={namespace}", "--timeout=20s")
        assert ask(part.url(), agent, "kumquat-7781")["results"] == []


def test_two_operators(joined: ControlPlane, postgres_url: str, tmp_path: Path, docs: Path, namespace: str, agent: str, swept: None) -> None:
    """P32: the second takes over from one that was stopped, and that one writes nothing when it goes on, nor thinks it may."""
    settings = {"TRUEUP_CATALOG": postgres_url, "TRUEUP_ALLOW_ROOTS": str(docs)}
    with running(joined, tmp_path / "one", OPERATOR, "operator", **settings) as one:
        eventually(lambda: metric(one, "trueup_operator_leads") == 1)
        joined.apply(source(namespace, "docs", docs))
        ready(joined, namespace)
        with running(joined, tmp_path / "two", OPERATOR, "operator", **settings) as two:
            assert metric(two, "trueup_operator_leads") == 0
            assert call(f"{two.url()}/readyz")[0] == 200
            os.kill(one.child.pid, signal.SIGSTOP)
            eventually(lambda: metric(two, "trueup_operator_leads") == 1, 40)
            (docs / "b.md").write_text("The word is medlar-9917.\n")
            (docs / "a.md").unlink()
            eventually(lambda: (s := status(joined, namespace))["documents"]["live"] == 1 and s["tombstones"] == 1)
            found = joined.get("ctxsrc", "docs", f"--namespace={namespace}")
            os.kill(one.child.pid, signal.SIGCONT)
            time.sleep(3)
            assert metric(one, "trueup_operator_leads") == 0
            assert joined.get("ctxsrc", "docs", f"--namespace={namespace}")["metadata"]["resourceVersion"] == found["metadata"]["resourceVersion"]
            assert call(f"{one.url()}/readyz")[0] == 503


def metric(part: Part, name: str) -> float:
    """A gauge of an operator without a gate."""
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"{part.url()}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))


def test_the_api_server_goes_away_and_comes_back(joined: ControlPlane, tmp_path: Path, docs: Path, namespace: str, agent: str, swept: None) -> None:
    """A38: while nobody can vouch for a token nobody gets anything; afterwards all goes on, with nothing left to do by hand."""
    with pod(joined, tmp_path / "home", docs) as part:
        joined.apply(source(namespace, "docs", docs))
        ready(joined, namespace)
        assert "kumquat-7781" in texts(ask(part.url(), agent, "kumquat-7781"))
        joined.stop()
        eventually(lambda: call(f"{part.url()}/v1/retrieve", "POST", {"query": "kumquat-7781"}, agent)[0] == 503, 10)
        (docs / "a.md").write_text("# Alpha\n\nThe word is papaya-3310.\n")
        joined.start()
        eventually(lambda: call(f"{part.url()}/v1/retrieve", "POST", {"query": "x"}, agent)[0] == 200, 30)
        eventually(lambda: "papaya-3310" in texts(ask(part.url(), agent, "papaya-3310")), 30)
        (docs / "b.md").write_text("The word is medlar-9917.\n")
        eventually(lambda: status(joined, namespace)["documents"]["live"] == 2, 40)
        joined.kubectl("annotate", "ctxsrc", "docs", f"--namespace={namespace}", f"trueup.dev/requestedAt={uuid.uuid4()}")
        eventually(lambda: status(joined, namespace).get("lastHandledReconcileAt"), 40)


def test_uninstalling_leaves_nothing(joined: ControlPlane, tmp_path: Path, docs: Path, namespace: str) -> None:
    """In the documented order, sources first, no object and no namespace is stuck."""
    with pod(joined, tmp_path / "home", docs):
        joined.apply(source(namespace, "docs", docs))
        ready(joined, namespace)
        joined.kubectl("delete", "ctxsrc", "--all", "--all-namespaces", "--timeout=30s")
    joined.kubectl("delete", "namespace", namespace, "--timeout=40s")
    assert json.loads(joined.kubectl("get", "ctxsrc", "--all-namespaces", "-o", "json"))["items"] == []
