"""An installation whose server starts in no time, for tests that kill it over and over."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
import sys
import time
from pathlib import Path

from tests import leash
from tests.scenarios.harness.process import PLAIN, START_SECONDS, Installation

COUNTING = Path(__file__).with_name("counting.py")


class QuickInstallation(Installation):
    """The program is imported once; each start is a fork of that. Everything else is as in `Installation`."""

    def __init__(self, folder: Path, embed_seconds: float = 0.01) -> None:
        """`embed_seconds`: what each text takes to embed; MiniLM on two cores takes ten milliseconds."""
        super().__init__(folder)
        self.embedded = folder / "embedded"
        self._clock = folder / "clock"
        self.shift_clock(0.0)
        self.extra |= {"EMBEDDED": str(self.embedded), "EMBED_SECONDS": str(embed_seconds), "CLOCK": str(self._clock)}
        self._fifo = folder / "start"
        self._serving: int | None = None
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-I", "-S", str(PLAIN), str(self.work), sys.executable, str(COUNTING), str(self._fifo), "serve", "--port", str(port)]
        self._parent = leash.Child(command, self.log, env=self.environment)
        began = time.monotonic()
        while not self._fifo.exists():
            assert self._parent.exited() is None, self._parent.tail()
            assert time.monotonic() - began < START_SECONDS, self._parent.tail()
            time.sleep(0.02)

    @property
    def pid(self) -> int:
        assert self._serving is not None
        return self._serving

    @property
    def running(self) -> bool:
        return self._serving is not None

    def shift_clock(self, seconds: float) -> None:
        """From now on the server's wall clock is off by so much."""
        mode = "r+b" if self._clock.exists() else "w+b"
        with self._clock.open(mode) as file:
            file.write(struct.pack("d", seconds))

    def begin(self) -> None:
        """Fork, and do not wait until it answers."""
        assert not self.running
        self.starts += 1
        pid = self._fifo.with_suffix(".pid")
        pid.unlink(missing_ok=True)
        self._offset = self.log.stat().st_size
        with self._fifo.open("w") as fifo:
            fifo.write("start\n")
        began = time.monotonic()
        while not (pid.exists() and pid.read_text().endswith("\n")):
            assert time.monotonic() - began < START_SECONDS, self._parent.tail()
            time.sleep(0.005)
        self._serving = int(pid.read_text())

    def start(self, *options: str) -> float:
        """Fork, and wait until it answers."""
        assert not options
        began = time.monotonic()
        self.begin()
        while True:
            with self.log.open(errors="replace") as log:
                log.seek(self._offset)
                if any(line.startswith("ready ") and line.endswith("\n") for line in log):
                    return time.monotonic() - began
            assert time.monotonic() - began < START_SECONDS, f"trueup serve is not ready: {self._parent.tail()}"
            time.sleep(0.01)

    def stop(self) -> None:
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def close(self) -> None:
        """Stop for good."""
        self.stop()
        self._parent.end(grace=30.0)

    def _signal(self, which: signal.Signals) -> None:
        pid, self._serving = self._serving, None
        if pid is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, which)
        began = time.monotonic()
        while _alive(pid):
            assert time.monotonic() - began < START_SECONDS, "it does not end"
            time.sleep(0.005)


def _alive(pid: int) -> bool:
    """Whether it runs; a zombie that its parent has not buried yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
