"""The whole course, from an empty cluster to an empty cluster."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.controlplane import KubectlError
from tests.e2e.job import SPACE, Job, Runs, declared
from tests.e2e.kube import Failure, Kubectl
from tests.e2e.pods import NAMESPACE
from tests.e2e.removal import delete_installation, delete_sources, nothing_left

Say = Callable[[str], None]


def course(kubectl: Kubectl, runs: Runs, overlay: Path, say: Say, *, keep: bool = False) -> None:
    """Install, do the job, uninstall; `say` is told of each step.

    Raises:
        Failure, KubectlError: something is not as it should be. What is there is left there to be looked at.
    """
    if kubectl.there("namespace", NAMESPACE):
        raise Failure(f"The namespace {NAMESPACE} is there already: uninstall what is in it first, as docs/cluster.md says.")
    job = Job(kubectl, runs)
    try:
        for title, step in (
            ("install", lambda: install(kubectl, overlay)),
            ("pods start, with no more than they need", lambda: (runs.start(), runs.check())),
            ("declare, ask", job.declare),
            ("edit, delete", job.change),
            ("kill", job.survive),
            ("scale to zero: freshness runs out", job.starve),
            ("delete the source", job.remove),
            ("uninstall: the sources", lambda: delete_sources(kubectl)),
            *(() if keep else (("uninstall: the rest", lambda: uninstall(kubectl, runs, overlay)),)),
        ):
            began = time.monotonic()
            step()
            say(f"{title}: {time.monotonic() - began:.1f} s")
    finally:
        runs.close()


def install(kubectl: Kubectl, overlay: Path) -> None:
    """As docs/cluster.md says it."""
    kubectl("apply", "--server-side", "-k", str(overlay))
    kubectl("wait", "--for=condition=Established", "crd/contextsources.trueup.dev", "crd/contextindexes.trueup.dev", "--timeout=60s")


def uninstall(kubectl: Kubectl, runs: Runs, overlay: Path) -> None:
    """As docs/cluster.md says it, and find nothing."""
    kubectl("delete", "namespace", SPACE, "--timeout=120s")
    runs.close()
    delete_installation(kubectl, overlay)
    nothing_left(kubectl)


def rehearse(kubectl: Kubectl, overlay: Path, say: Say) -> None:
    """Have the API server say what it would do with everything that the course applies; nothing of it is kept.

    Raises:
        KubectlError: it would refuse something.
    """
    with namespaces(kubectl, NAMESPACE, SPACE):
        kubectl("apply", "--server-side", "--dry-run=server", "--validate=strict", "-k", str(overlay))
        say("the installation would be accepted")
        known = bool(kubectl.there("customresourcedefinitions", "contextsources.trueup.dev"))
        kubectl.apply([item for item in declared() if known or not item["apiVersion"].startswith("trueup.dev/")], "--dry-run=server", "--validate=strict")
        say("so would what the job applies" if known else "so would what the job applies, but for the source, whose kind is not installed")


@contextlib.contextmanager
def namespaces(kubectl: Kubectl, *names: str) -> Iterator[None]:
    """Namespaces for a dry run, which makes none: the objects in them would be refused. Those that were not there go again."""
    made = [name for name in names if not kubectl.there("namespace", name)]
    for name in made:
        kubectl("create", "namespace", name)
    try:
        yield
    finally:
        for name in made:
            with contextlib.suppress(KubectlError):
                kubectl("delete", "namespace", name, "--timeout=60s")
