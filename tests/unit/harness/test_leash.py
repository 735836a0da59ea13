"""Children on a leash end with their parent."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from tests.leash import Child, argv


def test_a_child_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    """No clean-up code of the parent runs on SIGKILL; the kernel ends the child all the same."""
    heart = tmp_path / "heart"
    beat = f"import time, pathlib\nwhile True:\n    pathlib.Path({str(heart)!r}).write_text(str(time.monotonic()))\n    time.sleep(0.02)"
    code = f"import subprocess, sys, time\nfrom tests.leash import argv\nsubprocess.Popen(argv([sys.executable, '-c', {beat!r}]))\ntime.sleep(60)"
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[3])
    try:
        end = time.monotonic() + 20
        while not heart.exists():
            assert time.monotonic() < end, "the child never began"
            time.sleep(0.02)
    finally:
        parent.kill()
        parent.wait()
    time.sleep(0.1)
    last = heart.read_text()
    time.sleep(0.3)
    assert heart.read_text() == last


def test_a_child_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    """`end` waits for the grace period, not for ever, and its log holds what the child said."""
    code = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('deaf', flush=True)\ntime.sleep(60)"
    child = Child([sys.executable, "-c", code], tmp_path / "log")
    end = time.monotonic() + 20
    while "deaf" not in child.tail():
        assert time.monotonic() < end, "the child never began"
        time.sleep(0.02)
    child.end(grace=0.2)
    assert child.exited() == -9


def test_the_command_is_the_child_itself() -> None:
    """There is no process in between: arguments, output and exit code are the command's."""
    result = subprocess.run(
        argv([sys.executable, "-c", "import sys; print(sys.argv[1:]); sys.exit(7)", "a b", ""]), capture_output=True, text=True, check=False
    )
    assert (result.stdout.strip(), result.returncode) == ("['a b', '']", 7)
