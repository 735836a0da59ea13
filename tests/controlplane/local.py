"""A whole installation without Docker: the control plane, what `overlays/kind` gives a cluster but the pod, and the pod's program as a process."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.controlplane.cluster import ControlPlane
from tests.leash import Child
from trueup.ingest import models

ROOT = Path(__file__).parents[2]
READY_SECONDS = 90.0
"""For the program to answer: 4 s on a quiet machine, and a first start makes keys, catalog and index."""

_LIFETIME = "48h"
"""Of the operator's token; a pod's is renewed by the kubelet, and there is none here. The certificates last as long."""


class InstallationError(Exception):
    """The installation did not come up; the message ends with the program's last lines."""


@dataclass(frozen=True, slots=True)
class Installation:
    """What runs: the control plane, and the gate's address."""

    plane: ControlPlane
    gate: str
    program: Child


@contextlib.contextmanager
def installation(home: Path, roots: tuple[Path, ...] = ()) -> Iterator[Installation]:
    """Everything up and answering, with its state in `home`; directories below `roots` may be sources.

    Raises:
        ControlPlaneError, KubectlError, InstallationError: it did not come up.
    """
    with ControlPlane(home / "control-plane") as plane:
        install(plane)
        program = operator(plane, home / "operator", roots)
        try:
            yield Installation(plane, _answers(program), program)
        except Exception as error:
            error.add_note(f"The operator said at last:\n{program.tail(30)}")
            raise
        finally:
            program.end(grace=30.0)


def install(plane: ControlPlane) -> None:
    """Apply what a cluster needs before the pod runs."""
    plane.kubectl("apply", "--server-side", "-k", str(ROOT / "crds"))
    plane.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=20s")
    plane.kubectl("apply", "--server-side", "-k", str(ROOT / "manifests" / "base"))
    plane.kubectl("apply", "--server-side", "-f", str(ROOT / "manifests" / "overlays" / "kind" / "binding.yaml"))


def operator(plane: ControlPlane, home: Path, roots: tuple[Path, ...] = ()) -> Child:
    """`trueup operator --with-gate` under its own account, with exactly the rights that the manifests give it."""
    kubeconfig = plane.as_service_account("trueup-system", "trueup-operator", lifetime=_LIFETIME)
    settings = operator_settings() | {"TRUEUP_HOME": str(home), "TRUEUP_ALLOW_ROOTS": ":".join(map(str, roots))}
    command = [sys.executable, "-m", "trueup.surfaces.cli", "operator", "--with-gate"]
    home.parent.mkdir(parents=True, exist_ok=True)
    return Child(command, home.with_suffix(".log"), env=plane.environment(kubeconfig) | settings)


def operator_settings() -> dict[str, str]:
    """What a process on this machine needs besides: free ports, and the models of its user, whose home it does not get."""
    loopback = {"TRUEUP_HOST": "127.0.0.1", "TRUEUP_PORT": "0", "TRUEUP_METRICS_PORT": "0"}
    return loopback | {"TRUEUP_MODELS": str(models.cache()), "PYTHONUNBUFFERED": "1"}


def _answers(program: Child) -> str:
    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end and program.exited() is None:
        for line in program.log.read_text(errors="replace").splitlines():
            if line.startswith("ready "):
                return line.split()[1]
        time.sleep(0.1)
    raise InstallationError(f"The operator did not come up within {READY_SECONDS:g} s:\n{program.tail(30)}")
