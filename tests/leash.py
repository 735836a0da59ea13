"""Children that cannot outlive the test run, not even when it is killed with SIGKILL.

`argv()` wraps a command: the child first asks the kernel to be killed when its parent dies, then becomes the command
(no process in between, the same pid). Only Linux offers this; elsewhere `Child` still ends it at a normal exit.

The kernel's "parent" is the *thread* that started the child, so start one from a thread that lives as long as it should.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1
"""From <linux/prctl.h>."""


def argv(command: Sequence[str | os.PathLike[str]], *, uid: int | None = None) -> list[str]:
    """The command on a leash held by this process; `uid` is the user to become first (root only)."""
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), "" if uid is None else str(uid), *map(os.fspath, command)]


class Child:
    """One long-running process with its output in a file, ended with this process at the latest."""

    def __init__(self, command: Sequence[str | os.PathLike[str]], log: Path, *, env: Mapping[str, str] | None = None, uid: int | None = None) -> None:
        self.log = log
        self.name = Path(os.fspath(command[0])).name
        with log.open("ab") as out:
            # A session of its own: Ctrl-C reaches pytest alone, which then ends its children in the right order.
            self._process = subprocess.Popen(
                argv(command, uid=uid), stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=None if env is None else dict(env), start_new_session=True
            )
        atexit.register(self.end, grace=0.0)

    @property
    def pid(self) -> int:
        """The process id, and its group's."""
        return self._process.pid

    def exited(self) -> int | None:
        """The exit code, or None while it runs."""
        return self._process.poll()

    def end(self, *, grace: float = 5.0, how: signal.Signals = signal.SIGTERM) -> None:
        """Ask it to stop with `how`, wait `grace` seconds, then kill what is left of its group. Harmless when it has ended."""
        atexit.unregister(self.end)
        if self._process.poll() is None and grace > 0:
            self._process.send_signal(how)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(grace)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def tail(self, lines: int = 15) -> str:
        """The last lines of its log, for the message of a failure."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def _become(parent: int, uid: int | None, command: Sequence[str]) -> None:
    if uid is not None:
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
    if sys.platform == "linux":
        # After setuid, which clears it. It survives the exec below.
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        # The parent died before the leash was on.
        sys.exit(1)
    os.execv(command[0], command)


if __name__ == "__main__":
    _become(int(sys.argv[1]), int(sys.argv[2]) if sys.argv[2] else None, sys.argv[3:])
