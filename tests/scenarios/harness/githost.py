"""Git's own HTTP server in a process of its own: `python -m tests.scenarios.harness.githost FOLDER` prints its URL and serves for good."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

from tests import leash
from tests.contract.sources.githttp import GitServer

ROOT = Path(__file__).parents[3]


class GitHost:
    """That process."""

    def __init__(self, folder: Path, log: Path) -> None:
        self.root = folder
        folder.mkdir(parents=True)
        command = [
            sys.executable,
            "-c",
            f"import sys; sys.path.insert(0, {str(ROOT)!r}); from tests.scenarios.harness import githost; githost.main()",
            str(folder),
        ]
        self._child = leash.Child(command, log)
        began = time.monotonic()
        while not (said := log.read_text() if log.exists() else "").endswith("\n"):
            assert self._child.exited() is None, f"the Git server ended: {said}"
            assert time.monotonic() - began < 60, "the Git server did not start"
            time.sleep(0.02)
        self.port = int(said.split()[-1])

    def close(self) -> None:
        """End it."""
        self._child.end(grace=1.0)


def main() -> None:
    """Serve the repositories below the folder that the command line names."""
    with GitServer() as server:
        server.root = Path(sys.argv[1])
        print(server.port, flush=True)
        server.requests = _Forgetful()
        threading.Event().wait()


class _Forgetful(list[tuple[str, str, dict[str, str]]]):
    """Requests that nobody will ask for."""

    def append(self, _: object) -> None:
        """Forget it."""


if __name__ == "__main__":
    main()
