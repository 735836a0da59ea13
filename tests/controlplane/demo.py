"""`make demo-cluster`: the main job with kubectl, on a real API server. A phantom makes it exit 1."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.cluster.parts import call, texts
from tests.controlplane.build import BuildError
from tests.controlplane.cluster import ControlPlaneError, KubectlError
from tests.controlplane.local import Installation, InstallationError, installation

MANIFEST = Path(__file__).with_name("demo.yaml")
QUESTION = "within how many days is a refund granted?"
WORD = "vermilion-4417"
"""Of the document that is deleted; no other has it."""


class Phantom(Exception):
    """The demo saw what it promises that nobody sees, or did not see what it should."""


def must(holds: object, otherwise: str) -> None:
    """Stop with `otherwise` unless something holds."""
    if not holds:
        raise Phantom(otherwise)


class Demo:
    """One run, with what it shows."""

    def __init__(self, made: Installation) -> None:
        self.made = made
        self.token = ""

    def kubectl(self, *words: str) -> str:
        """Run and show a kubectl command in the demo's namespace."""
        print(f"\n$ kubectl {shlex.join(words)}")
        answer = self.made.plane.kubectl(*words, "--namespace=handbook")
        print(indented(answer))
        return answer

    def served(self) -> str:
        """All text that the agent gets now for the question."""
        status, answer = call(f"{self.made.gate}/v1/retrieve", "POST", {"query": QUESTION}, self.token)
        must(status == 200, f"The gate answered {status}.")
        return texts(answer)

    def ask(self) -> None:
        """Show what `trueup query` shows."""
        print(f'\n$ trueup query "{QUESTION}"')
        environment = self.made.plane.environment() | {"TRUEUP_URL": self.made.gate, "TRUEUP_TOKEN": self.token}
        command = [sys.executable, "-m", "trueup.surfaces.cli", "query", QUESTION, "-k", "2"]
        print(indented(subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False).stdout))

    def until(self, holds: Callable[[], object], otherwise: str, seconds: float = 30.0) -> float:
        """Seconds until it holds."""
        start = time.monotonic()
        while not holds():
            must(time.monotonic() - start < seconds, otherwise)
            time.sleep(0.02)
        return time.monotonic() - start

    def play(self) -> None:
        """The main job."""
        self.declare()
        self.query()
        self.delete_a_document()
        self.delete_the_source()

    def declare(self) -> None:
        """Apply, and watch the table until the source is Ready."""
        scene("A source is declared")
        self.kubectl("apply", f"--filename={MANIFEST}")
        print("\n$ kubectl get ctxsrc -w")
        command = [str(self.made.plane.parts.kubectl), "get", "ctxsrc", "-w", "--namespace=handbook", "--request-timeout=60s"]
        with subprocess.Popen(command, env=self.made.plane.environment(), stdout=subprocess.PIPE, text=True) as watch:
            try:
                assert watch.stdout is not None
                for row in watch.stdout:
                    print(indented(row))
                    if row.split()[2:5] == ["True", "True", "3"]:
                        break
            finally:
                watch.kill()
        self.kubectl("wait", "--for=condition=Ready", "ctxsrc/handbook", "--timeout=30s")

    def query(self) -> None:
        """An agent asks, with a token for this audience alone."""
        scene("An agent asks")
        print("\n$ export TRUEUP_TOKEN=$(kubectl create token agent --audience trueup)")
        self.token = self.made.plane.token("handbook", "agent", "trueup")
        self.ask()
        must(WORD in self.served(), "The document was not served.")
        status, _ = call(f"{self.made.gate}/v1/retrieve", "POST", {"query": QUESTION}, self.made.plane.token("handbook", "agent"))
        must(status == 401, f"A token for the API server was answered {status}, not 401.")
        print("\nThe same agent with a token for another audience: 401.")

    def delete_a_document(self) -> None:
        """What is deleted at the source is gone at the gate."""
        scene("A document is deleted")
        self.kubectl("patch", "configmap", "handbook", "--type=json", '--patch=[{"op": "remove", "path": "/data/refunds.md"}]')
        took = self.until(lambda: WORD not in self.served(), "The deleted document is still served.")
        print(f"Gone at the gate {took:.2f} s later.")
        must("warehouse" in self.served() or "Repairs" in self.served(), "The other documents are not served any more.")
        self.ask()
        self.until(lambda: self.table() == ["ConfigMap", "True", "True", "2", "1"], "The table does not tell of the deletion.")
        self.kubectl("get", "ctxsrc")
        must("Fetched" in self.kubectl("describe", "ctxsrc", "handbook"), "No event tells that content came.")

    def table(self) -> list[str]:
        """The row of the source: type, ready, fresh, documents, tombstones."""
        return self.made.plane.kubectl("get", "ctxsrc", "handbook", "--no-headers", "--namespace=handbook").split()[1:6]

    def delete_the_source(self) -> None:
        """When kubectl returns, nothing of it is served."""
        scene("The source is deleted")
        self.kubectl("delete", "ctxsrc", "handbook", "--timeout=30s")
        must(self.served() == "", "Text of a deleted source is served.")
        self.ask()


def scene(title: str) -> None:
    """Begin a part."""
    print(f"\n--- {title}")


def indented(text: str) -> str:
    """As it stands below its command."""
    return "\n".join(f"  {line}" for line in text.rstrip().splitlines())


def main() -> int:
    """Play it; returns the exit code."""
    print("Starting a control plane (the first time it is built, which takes minutes), operator and gate ...", flush=True)
    os.environ.setdefault("NO_COLOR", "1")
    try:
        with tempfile.TemporaryDirectory(prefix="trueup-demo-") as home, installation(Path(home)) as made:
            Demo(made).play()
    except (Phantom, BuildError, ControlPlaneError, KubectlError, InstallationError) as error:
        print("", error, *getattr(error, "__notes__", ()), sep="\n", file=sys.stderr)
        return 1
    print("\nNo phantom was seen.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
