"""`make kind`: the image, a cluster of one node in Docker, and the course on it."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.e2e import __main__ as e2e
from tests.e2e.overlay import ROOT

CLUSTER = "trueup"
NEEDED = {"docker": "Docker", "kind": "kind, which makes a cluster in Docker", "kubectl": "kubectl"}


def missing() -> str:
    """Why it cannot be done here, in a sentence; empty if it can."""
    for program, name in NEEDED.items():
        if shutil.which(program) is None:
            return f"There is no {program} on PATH: install {name}, or try make demo-cluster, which needs none of them."
    answer = subprocess.run(["docker", "info"], capture_output=True, timeout=60, check=False)
    if answer.returncode != 0:
        return "Docker does not answer: start it, or try make demo-cluster, which does without it."
    return ""


def commands(image: str, kubeconfig: Path) -> list[list[str]]:
    """What is run before the course, in order."""
    return [
        ["docker", "build", "--tag", image, str(ROOT)],
        ["kind", "create", "cluster", f"--config={ROOT / 'kind-config.yaml'}", f"--name={CLUSTER}", f"--kubeconfig={kubeconfig}", "--wait=180s"],
        ["kind", "load", "docker-image", image, f"--name={CLUSTER}"],
    ]


def main(arguments: list[str] | None = None) -> int:
    """Do it all; returns the exit code."""
    parser = argparse.ArgumentParser(prog="make kind")
    parser.add_argument("--image", default="trueup:0.1.0")
    parser.add_argument("--keep", action="store_true", help="keep the cluster, with Trueup installed in it")
    asked = parser.parse_args(arguments)
    why = missing()
    if why:
        print(why, file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="trueup-kind-") as folder:
        kubeconfig = Path(folder) / "kubeconfig"
        try:
            for command in commands(asked.image, kubeconfig):
                print(f"$ {' '.join(command)}", flush=True)
                subprocess.run(command, check=True)
            code = e2e.main(["--kubeconfig", str(kubeconfig), "--image", asked.image, *(["--keep"] if asked.keep else [])])
        except subprocess.CalledProcessError as error:
            print(f"`{' '.join(error.cmd)}` ended with code {error.returncode}; its words are above.", file=sys.stderr)
            code = 1
        finally:
            if not asked.keep:
                subprocess.run(["kind", "delete", "cluster", f"--name={CLUSTER}"], check=False)
    if asked.keep:
        print(f"The cluster is kept: kind export kubeconfig --name {CLUSTER}; kind delete cluster --name {CLUSTER}")
    return code


if __name__ == "__main__":
    sys.exit(main())
