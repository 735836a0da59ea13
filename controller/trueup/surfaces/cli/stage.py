"""The demo's stage: a folder of its own, real documents, a server that never outlives it, and a narrator who counts."""

from __future__ import annotations

import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

from trueup.surfaces.cli import run
from trueup.surfaces.cli.screen import say

READY_SECONDS = 60.0
"""A first start makes keys and catalog and loads the model: two seconds on a quiet machine."""

STOP_SECONDS = 20.0
"""What draining may take before the process is killed."""

LONGEST = 8_000
"""Characters of a topic that is taken: longer ones repeat others word for word, and each text is to be in one document."""


class Phantom(Exception):
    """The demo saw what it promises that nobody sees."""


def must(holds: object, otherwise: str) -> None:
    """Stop the demo with `otherwise` unless something holds; a phantom makes it exit 1.

    Raises:
        Phantom: it does not hold.
    """
    if not holds:
        raise Phantom(otherwise)


def until(holds: Callable[[], object], seconds: float, otherwise: str) -> float:
    """Seconds until something holds.

    Raises:
        Phantom: it did not within `seconds`.
    """
    start = time.monotonic()
    while not holds():
        must(time.monotonic() - start < seconds, otherwise)
        time.sleep(0.01)
    return time.monotonic() - start


def fresh_folder(folder: Path) -> None:
    """Empty the demo's folder: each run begins at the beginning."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(mode=0o700)


def write_topics(folder: Path) -> int:
    """Write Python's own language reference, as it ships with every interpreter for `help()`; the number of documents."""
    from pydoc_data.topics import topics

    folder.mkdir()
    taken = {name: text for name, text in topics.items() if len(text) <= LONGEST}
    for name, text in sorted(taken.items()):
        (folder / f"{name}.rst").write_text(text, encoding="utf-8")
    return len(taken)


def chapter(title: str) -> None:
    """Begin a part of the story."""
    say(f"\n=== {title} ===\n")


def trueup(*arguments: str) -> None:
    """Run a command as people do, and show it.

    Raises:
        Phantom: it failed, which none in the story may.
    """
    say("$ trueup " + " ".join(f'"{a}"' if " " in a else a for a in arguments))
    code = run(arguments)
    must(code == 0, f"`trueup {arguments[0]}` ended with {code}.")


def git(folder: Path, *arguments: str) -> None:
    """Run git in `folder`, by none of the user's own settings, and show it."""
    say("$ git " + " ".join(f'"{a}"' if " " in a else a for a in arguments))
    own = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"}
    who = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in (("NAME", "Demo"), ("EMAIL", "demo@example.invalid"))}
    done = subprocess.run(["git", *arguments], cwd=folder, env={**os.environ, **own, **who}, capture_output=True, text=True, check=False)  # noqa: S603, S607
    must(done.returncode == 0, f"git {arguments[0]} failed: {done.stderr}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(folder: Path) -> Iterator[None]:
    """A server on free ports with its home in `folder`, and this process's environment pointing at it.

    However the body ends, by an error, an interrupt or SIGTERM, the server is stopped.

    Raises:
        Phantom: it did not become ready.
    """
    signal.signal(signal.SIGTERM, _leave)
    home, log = folder / "home", folder / "server.log"
    port, metrics = _free_port(), _free_port()
    say(f"$ trueup serve --home {folder.name}/home --port {port} --metrics-port {metrics}")
    command = [sys.executable, "-m", "trueup.surfaces.cli", "serve", "--home", str(home), "--port", str(port), "--metrics-port", str(metrics)]
    environment = {k: v for k, v in os.environ.items() if k not in {"TRUEUP_TOKEN", "TRUEUP_URL"}}
    with log.open("w") as errors, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment) as process:  # noqa: S603
        try:
            line = _first_line(process)
            must(line.startswith("ready "), f"The server did not become ready; its log is in {log}.")
            say(line)
            os.environ.pop("TRUEUP_TOKEN", None)
            os.environ.update(TRUEUP_HOME=str(home), TRUEUP_URL=line.split()[1])
            yield
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS)
            process.kill()


def _first_line(process: subprocess.Popen[str]) -> str:
    """What the server says first; empty if it ends or says nothing for too long."""
    lines: queue.Queue[str] = queue.Queue()
    output = process.stdout
    if output is None:
        return ""

    def listen() -> None:
        for line in output:
            lines.put(line)
        lines.put("")

    threading.Thread(target=listen, daemon=True).start()
    with suppress(queue.Empty):
        return lines.get(timeout=READY_SECONDS).strip()
    return ""


def _leave(number: int, _: object) -> NoReturn:
    sys.exit(128 + number)
