"""A real `trueup serve`, as a user starts it, on a folder of the corpus."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

MANIFEST = """\
apiVersion: trueup.dev/v1alpha1
kind: ContextIndex
metadata: {{name: default}}
spec: {{mode: Sparse}}
---
apiVersion: trueup.dev/v1alpha1
kind: ContextSource
metadata: {{name: bench}}
spec:
  source: {{type: Directory, directory: {{path: {folder}}}}}
  interval: 1h
  freshness: {{maxStaleness: 24h}}
  access: {{readers: [{{kind: Everyone}}], classification: Internal}}
  screening: {{injection: "Off", secrets: "Off"}}
"""
"""By words alone: what is measured is not the embedding model, and a canary is a word."""


class Served:
    """A server that can be stopped, killed and started again on its home."""

    def __init__(self, work: Path, folder: Path) -> None:
        self.folder = folder
        self.home = work / "home"
        self.log = work / "serve.log"
        self.manifest = work / "bench.yaml"
        self.manifest.write_text(MANIFEST.format(folder=json.dumps(str(folder))), "utf-8")
        self.environment = {**os.environ, "TRUEUP_HOME": str(self.home)}
        self.process: subprocess.Popen[str] | None = None
        self.token = ""
        self.connection: http.client.HTTPConnection | None = None

    def start(self) -> None:
        """Return when it answers."""
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [*_trueup("serve"), "--port", "0", "--allow-root", str(self.folder)], stdout=subprocess.PIPE, stderr=log, text=True, env=self.environment
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line.startswith("ready "):
            raise RuntimeError(f"trueup serve did not start: {self.log.read_text('utf-8')[-500:]}")
        url = line.split()[1]
        self.environment["TRUEUP_URL"] = url
        self.connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
        self.token = self.token or self.command("token", "--user", "bench", "--ttl", "24h").strip()

    def command(self, *words: str) -> str:
        """What a command prints."""
        return subprocess.run([*_trueup(*words)], env=self.environment, capture_output=True, text=True, check=True).stdout

    def load(self, timeout: int) -> float:
        """Declare the folder; returns the seconds until it is Ready."""
        began = time.perf_counter()
        self.command("apply", "-f", str(self.manifest))
        self.command("wait", "source", "bench", "--for=condition=Ready", "--timeout", f"{timeout}s")
        return time.perf_counter() - began

    def asks(self, word: str) -> bool:
        """Whether the gate delivers a text with `word` in it now."""
        answer = self.retrieve(word)
        return any(word in result["text"] for result in answer["results"])

    def retrieve(self, query: str, top_k: int = 3) -> dict[str, Any]:
        """One answer."""
        assert self.connection is not None
        body = json.dumps({"query": query, "top_k": top_k})
        self.connection.request("POST", "/v1/retrieve", body, {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"})
        response = self.connection.getresponse()
        answer = json.loads(response.read())
        if response.status != 200:
            raise RuntimeError(f"{response.status}: {answer}")
        return answer  # type: ignore[no-any-return]

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it."""
        if self.connection is not None:
            self.connection.close()
        if self.process is not None:
            self.process.send_signal(how)
            self.process.communicate(timeout=60)
            self.process = None


def _trueup(*words: str) -> list[str]:
    return [str(Path(sys.executable).with_name("trueup")), *words]


def percentile(values: list[float], part: float) -> float:
    """The value that `part` (0 to 1) of `values` do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]
