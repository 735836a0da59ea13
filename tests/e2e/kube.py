"""kubectl on the cluster that is tried, and waiting for what it shows."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.controlplane import KubectlError, parts


class Failure(Exception):
    """Something is not as it should be; the message says what."""


class Kubectl:
    """Runs kubectl with one kubeconfig."""

    def __init__(self, kubeconfig: Path, program: str | Path | None = None) -> None:
        """`program`: default the one on PATH, else the one that the cluster tests build."""
        self._program = str(program or shutil.which("kubectl") or parts().kubectl)
        self._environment = dict(os.environ) | {"KUBECONFIG": str(kubeconfig), "KUBECTL_KUBERC": "false"}

    def __call__(self, *words: str, stdin: str | None = None, timeout: float = 300) -> str:
        """Its stdout.

        Raises:
            KubectlError: it ended with another code than 0.
        """
        done = subprocess.run([self._program, *words], input=stdin, env=self._environment, capture_output=True, text=True, timeout=timeout, check=False)
        if done.returncode != 0:
            raise KubectlError(words, done.stderr or done.stdout)
        return done.stdout

    def get(self, *words: str) -> dict[str, Any]:
        """`kubectl get … -o json`, parsed."""
        found: dict[str, Any] = json.loads(self("get", *words, "-o", "json"))
        return found

    def there(self, *words: str) -> list[str]:
        """Names of what `kubectl get …` finds; none for a kind that is not known."""
        try:
            return self("get", *words, "--ignore-not-found", "-o", "name").split()
        except KubectlError as error:
            if "the server doesn't have a resource type" in error.stderr:
                return []
            raise

    def apply(self, objects: list[dict[str, Any]], *flags: str) -> None:
        """Apply server-side."""
        self("apply", "--server-side", *flags, "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))

    def begin(self, *words: str) -> subprocess.Popen[str]:
        """One that goes on; whoever began it ends it."""
        return subprocess.Popen([self._program, *words], env=self._environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def until(what: str, holds: Callable[[], Any], seconds: float) -> Any:
    """What `holds()` returns once it is true.

    A connection that is refused, or a kubectl that fails, counts as not yet: pods come and go here.

    Raises:
        Failure: it did not become true in time.
    """
    end = time.monotonic() + seconds
    last = ""
    while True:
        try:
            found = holds()
            if found:
                return found
        except (OSError, KubectlError) as error:
            last = f" ({error})"
        if time.monotonic() > end:
            raise Failure(f"Not so within {seconds:g} s: {what}{last}.")
        time.sleep(0.2)
