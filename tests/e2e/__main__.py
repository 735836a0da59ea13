"""`make e2e`: the course on a cluster of yours."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.controlplane import KubectlError
from tests.e2e.course import course, rehearse
from tests.e2e.kube import Failure, Kubectl
from tests.e2e.overlay import overlay
from tests.e2e.pods import NAMESPACE, Pods
from tests.e2e.storage import storage


def main(arguments: list[str] | None = None) -> int:
    """Run it; returns the exit code."""
    parser = argparse.ArgumentParser(prog="make e2e", description="The main job with pods as they ship, on a cluster with at least one node.")
    parser.add_argument("--kubeconfig", default="", help="of somebody who may do everything there")
    parser.add_argument("--image", default="", help="Trueup's image, which the nodes have or can pull")
    parser.add_argument("--dry-run", action="store_true", help="ask the API server what it would accept, and change nothing")
    parser.add_argument("--keep", action="store_true", help="leave the installation there at the end")
    asked = parser.parse_args(arguments)
    if not asked.image or not Path(asked.kubeconfig or "/nowhere").is_file():
        print("Name a cluster and an image: make e2e KUBECONFIG=/path/to/kubeconfig IMAGE=trueup:0.1.0", file=sys.stderr)
        return 2
    try:
        run(Kubectl(Path(asked.kubeconfig)), asked.image, dry_run=asked.dry_run, keep=asked.keep)
    except (Failure, KubectlError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def run(kubectl: Kubectl, image: str, *, dry_run: bool, keep: bool) -> None:
    """Rehearse, and unless that was all, do it."""
    with overlay(image) as folder:
        if dry_run:
            rehearse(kubectl, folder, print)
            return
        if not kubectl.there("nodes"):
            raise Failure("This cluster has no node, so no pod can run: try make demo-cluster, or make e2e E2E=--dry-run.")
        with storage(kubectl, image):
            try:
                course(kubectl, Pods(kubectl), folder, lambda line: print(line, flush=True), keep=keep)
            except (Failure, KubectlError):
                show(kubectl)
                raise
    print("Everything held, and nothing is left." if not keep else "Everything held.")


def show(kubectl: Kubectl) -> None:
    """What helps to find out why."""
    for words in (
        ("get", "pods,pvc,deployments", f"--namespace={NAMESPACE}", "-o", "wide"),
        ("describe", "pods", f"--namespace={NAMESPACE}"),
        ("logs", "deployment/trueup-operator", f"--namespace={NAMESPACE}", "--tail=50"),
        ("get", "contextsources.trueup.dev", "--all-namespaces", "-o", "yaml"),
    ):
        try:
            print(f"$ kubectl {' '.join(words)}\n{kubectl(*words)}", file=sys.stderr)
        except KubectlError as error:
            print(error, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
