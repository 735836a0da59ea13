"""An installation: a home, a working directory, and a `trueup serve` that is started, stopped, frozen and killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import yaml

from tests import leash
from tests.scenarios.harness.client import Client

START_SECONDS = 60.0
"""Generous: the machines that run this are busy with it."""
PLAIN = Path(__file__).with_name("plain.py")


class Installation:
    """One home and what runs on it."""

    def __init__(self, folder: Path) -> None:
        """`folder` is new; sources may lie in its `work`, which is the working directory of every process."""
        self.folder = folder
        self.home = folder / "home"
        self.work = folder / "work"
        self.work.mkdir(parents=True)
        (folder / "user").mkdir()
        self.log = folder / "serve.log"
        self.url = ""
        self.starts = 0
        self.extra: dict[str, str] = {}
        """Further variables of every process."""
        self._child: leash.Child | None = None
        self._tokens: dict[tuple[str, ...], str] = {}
        self._minting = threading.Lock()

    @property
    def environment(self) -> dict[str, str]:
        """Nothing of the user's: no token, no model, no git settings."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder / "user"),
            "TRUEUP_HOME": str(self.home),
            "TRUEUP_MODELS": str(self.folder / "models"),
            "TRUEUP_URL": self.url or "http://127.0.0.1:1",
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path.endswith("controller")),
            "GIT_CONFIG_NOSYSTEM": "1",
            **self.extra,
        }

    # --- the process --------------------------------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        assert self._child is not None
        return self._child.pid

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.exited() is None

    def start(self, *options: str) -> float:
        """Serve, and return how many seconds it took until it said that it answers."""
        assert not self.running
        self.starts += 1
        began = time.monotonic()
        offset = self.log.stat().st_size if self.log.exists() else 0
        port = ["--port", self.url.rpartition(":")[2] if self.url else "0"]
        command = [sys.executable, "-I", "-S", str(PLAIN), str(self.work), sys.executable, "-m", "trueup.surfaces.cli", "serve", *port, *options]
        self._child = leash.Child(command, self.log, env=self.environment)
        while True:
            with self.log.open(errors="replace") as log:
                log.seek(offset)
                ready = next((line.split()[1] for line in log if line.startswith("ready ") and line.endswith("\n")), None)
            if ready is not None:
                self.url = ready
                return time.monotonic() - began
            assert self.running, f"trueup serve ended: {self._child.tail()}"
            assert time.monotonic() - began < START_SECONDS, f"trueup serve is not ready: {self._child.tail()}"
            time.sleep(0.02)

    def stop(self) -> None:
        """SIGTERM, and wait until it has drained."""
        if self._child is not None:
            self._child.end(grace=30.0)

    def kill(self) -> None:
        """SIGKILL, at this very moment."""
        if self._child is not None:
            self._child.end(grace=0.0)

    def close(self) -> None:
        """Stop for good."""
        self.stop()

    def freeze(self) -> None:
        """SIGSTOP."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    # --- its command line and its API ---------------------------------------------------------------------------------

    def cli(self, *arguments: str, stdin: str | None = None, code: int | None = 0, token: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run one command to its end; `code` is what it must end with, None for any."""
        environment = self.environment | ({"TRUEUP_TOKEN": token} if token else {})
        done = subprocess.run(
            [sys.executable, "-m", "trueup.surfaces.cli", *arguments],
            cwd=self.work,
            env=environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert code is None or done.returncode == code, f"trueup {arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def token(self, user: str, *groups: str, roles: tuple[str, ...] = (), agent: str | None = None, ttl: str = "10h") -> str:
        """A token by `trueup token`; the same question gets the same token."""
        options = [*(part for group in groups for part in ("--group", group)), *(part for role in roles for part in ("--role", role)), "--ttl", ttl]
        if agent is not None:
            options += ["--agent", agent]
        key = (user, *options)
        with self._minting:
            if key not in self._tokens:
                self._tokens[key] = self.cli("token", "--user", user, *options).stdout.strip()
            return self._tokens[key]

    def caller(self, user: str = "reader", *groups: str, **more: Any) -> Client:
        """A client with a token of this user."""
        return Client(self.url, self.token(user, *groups, **more))

    def operator(self) -> Client:
        """A client that declares resources; like every caller it reads only what its readers admit."""
        return self.caller("operator", roles=("operator", "auditor"))

    def apply(self, manifest: dict[str, Any]) -> None:
        """`trueup apply -f -`."""
        self.cli("apply", "-f", "-", stdin=yaml.safe_dump(manifest))
