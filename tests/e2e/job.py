"""The main job: declared with kubectl, asked by an agent, changed, killed, starved, uninstalled."""

from __future__ import annotations

import json
import time
from typing import Any, Protocol

from tests.cluster.parts import ask, call, texts
from tests.e2e.kube import Failure, Kubectl, until

SPACE = "trueup-e2e-job"
STALENESS = 20
"""Seconds of `maxStaleness`: long enough for a pod to come back within it, short enough to wait for its end."""
SOURCE = ("contextsource/documents", f"--namespace={SPACE}")
FIRST, SECOND, THIRD = "kumquat-7781", "papaya-3310", "medlar-9917"
LATER = "lychee-5522"


class Runs(Protocol):
    """What runs the operator with its gate: pods of a cluster."""

    def start(self) -> None:
        """Wait until it is up."""

    def check(self) -> None:
        """Fail if it is more than the manifests say."""

    def url(self) -> str:
        """Where the gate answers now."""

    def kill(self) -> None:
        """End it without a warning, and wait until it is up again."""

    def scale(self, replicas: int) -> None:
        """Have one or none of it, and wait until it is so."""

    def close(self) -> None:
        """Let go of it."""


class Job:
    """One course of events; each step ends with what must hold."""

    def __init__(self, kubectl: Kubectl, runs: Runs) -> None:
        self._kubectl, self._runs = kubectl, runs
        self._token = ""

    def declare(self) -> None:
        """kubectl apply, wait; an agent with a token for the gate gets the text, one for the API server gets nothing."""
        self._kubectl.apply(declared())
        self._kubectl("wait", "--for=condition=Ready", *SOURCE, "--timeout=120s")
        self._token = self._agent("--audience=trueup")
        for word in (FIRST, SECOND, THIRD):
            self._until_served(word)
        status, _ = call(f"{self._runs.url()}/v1/retrieve", "POST", {"query": FIRST}, self._agent())
        must(status == 401, f"A token for the API server was answered {status}.")

    def change(self) -> None:
        """What is edited is what is served, what is deleted is gone, and the table tells."""
        self._patch("replace", "second.md", f"# Second\n\nThe word is {LATER} now.\n")
        self._until_served(LATER)
        must(SECOND not in self._asked(SECOND), "Text that was replaced is served.")
        self._patch("remove", "third.md")
        self._until_gone(THIRD)
        must(FIRST in self._asked(FIRST), "With one document deleted another is not served.")
        until("the table tells of two documents", lambda: self._status()["documents"]["live"] == 2, 60)

    def survive(self) -> None:
        """Killed, and what was true before is true after; what changed meanwhile is seen."""
        self._runs.kill()
        must(THIRD not in self._asked(THIRD), "What was deleted is back after a kill.")
        self._until_served(FIRST)
        self._patch("remove", "second.md")
        self._until_gone(LATER)
        # The new process first waits for the killed one's Lease, which may take longer than the freshness lease.
        self._until_served(FIRST)
        must(LATER not in self._asked(LATER), "What was removed after a kill is back.")

    def starve(self) -> None:
        """Nobody vouches for the source: scaled to zero past the freshness lease, nothing is served until it is read again."""
        self._runs.scale(0)
        # From here on a new operator cannot read the source either.
        self._kubectl("delete", "rolebinding", "trueup-source-reader", f"--namespace={SPACE}")
        time.sleep(STALENESS + 2)
        self._runs.scale(1)
        until("the gate answers", lambda: call(f"{self._runs.url()}/livez")[0] == 200, 60)
        answer = ask(self._runs.url(), self._token, FIRST)
        must(answer["results"] == [], "Text is served for which nobody has vouched within its lease.")
        must(answer["withheld"]["stale"] > 0, "Nothing tells that text was withheld as stale.")
        until("the resource tells that it is stale", lambda: self._condition("Fresh") == "False", 60)
        self._kubectl.apply([reader()])
        self._kubectl("annotate", *SOURCE, "--overwrite", "trueup.dev/requestedAt=after")
        self._until_served(FIRST)

    def remove(self) -> None:
        """The source is deleted: nothing of it is served, though its object is gone."""
        self._kubectl("delete", *SOURCE, "--timeout=60s")
        must(self._asked(FIRST) == "", "Text of a deleted source is served.")
        # Another, for the uninstallation to find.
        self._kubectl.apply([source()])
        self._kubectl("wait", "--for=condition=Ready", *SOURCE, "--timeout=120s")

    def _asked(self, word: str) -> str:
        return texts(ask(self._runs.url(), self._token, word))

    def _until_served(self, word: str) -> None:
        until(f"{word} is served", lambda: word in self._asked(word), 90)

    def _until_gone(self, word: str) -> None:
        until(f"{word} is not served", lambda: word not in self._asked(word), 90)

    def _agent(self, *flags: str) -> str:
        return self._kubectl("create", "token", "agent", f"--namespace={SPACE}", *flags).strip()

    def _patch(self, verb: str, key: str, value: str | None = None) -> None:
        change = {"op": verb, "path": f"/data/{key}"} | ({} if value is None else {"value": value})
        self._kubectl("patch", "configmap", "documents", f"--namespace={SPACE}", "--type=json", f"--patch={json.dumps([change])}")

    def _status(self) -> dict[str, Any]:
        found: dict[str, Any] = self._kubectl.get(*SOURCE)["status"]
        return found

    def _condition(self, kind: str) -> str | None:
        return next((found["status"] for found in self._status()["conditions"] if found["type"] == kind), None)


def must(holds: bool, otherwise: str) -> None:
    """Raise `Failure` unless it holds."""
    if not holds:
        raise Failure(otherwise)


def declared() -> list[dict[str, Any]]:
    """A tenant's namespace: documents, an agent, what the operator may read, and the source."""
    metadata = {"name": "documents", "namespace": SPACE}
    texts_ = {f"{name}.md": f"# {name.capitalize()}\n\nThe word is {word}.\n" for name, word in (("first", FIRST), ("second", SECOND), ("third", THIRD))}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": texts_},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "agent", "namespace": SPACE}},
        reader(),
        source(),
    ]


def reader() -> dict[str, Any]:
    """The tenant lets the operator read ConfigMaps here."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "trueup-source-reader", "namespace": SPACE},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "trueup-source-reader"},
        "subjects": [{"kind": "ServiceAccount", "name": "trueup-operator", "namespace": "trueup-system"}],
    }


def source() -> dict[str, Any]:
    """A ConfigMap, for one service account."""
    return {
        "apiVersion": "trueup.dev/v1alpha1",
        "kind": "ContextSource",
        "metadata": {"name": "documents", "namespace": SPACE},
        "spec": {
            "source": {"type": "ConfigMap", "configMap": {"name": "documents"}},
            "interval": "2s",
            "freshness": {"maxStaleness": f"{STALENESS}s"},
            "deletion": {"guard": {"minDocuments": 10}},
            "access": {"readers": [{"kind": "ServiceAccount", "namespace": SPACE, "name": "agent"}]},
        },
    }
