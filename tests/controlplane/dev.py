"""`make dev-cluster`: a cluster API with Trueup in it, until Ctrl-C. Needs neither Docker nor a node."""

from __future__ import annotations

import shutil
import signal
import sys
import time
from pathlib import Path

from tests.controlplane.build import BuildError
from tests.controlplane.cluster import ControlPlaneError, KubectlError
from tests.controlplane.local import ROOT, Installation, InstallationError, installation

HOME = ROOT / ".trueup-cluster"

SAYS = """
  A Kubernetes API with Trueup's operator and gate is up. In another terminal:

    export KUBECONFIG={kubeconfig} PATH={programs}:$PATH
    kubectl apply -f {sample}
    kubectl create rolebinding trueup-source-reader --clusterrole=trueup-source-reader --serviceaccount=trueup-system:trueup-operator
    kubectl get ctxsrc -w
    kubectl describe ctxsrc runbook

  and as an agent:

    kubectl create serviceaccount agent
    export TRUEUP_URL={gate} TRUEUP_TOKEN=$(kubectl create token agent --audience trueup)
    {trueup} query "how do I restart the service?"

  Folders below {root} can be sources too. There is no node: pods do not run.
  Logs: {log}. Ctrl-C ends everything, and nothing is kept.
"""


def main() -> int:
    """Run until interrupted; returns the exit code."""
    shutil.rmtree(HOME, ignore_errors=True)
    # As Ctrl-C does it, so that what was started is ended in order.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        print("Starting the control plane (the first time it is built, which takes minutes) ...", file=sys.stderr)
        with installation(HOME, (ROOT,)) as made:
            print(said(made), flush=True)
            while made.program.exited() is None:
                time.sleep(0.5)
        print(f"The operator ended by itself:\n{made.program.tail(30)}", file=sys.stderr)
    except KeyboardInterrupt:
        shutil.rmtree(HOME, ignore_errors=True)
        print("\nEnded.", file=sys.stderr)
        return 0
    except (BuildError, ControlPlaneError, KubectlError, InstallationError) as error:
        print(error, file=sys.stderr)
    return 1


def said(made: Installation) -> str:
    """How to use it."""
    programs = HOME / "bin"
    programs.mkdir(exist_ok=True)
    (programs / "kubectl").symlink_to(made.plane.parts.kubectl)
    return SAYS.format(
        kubeconfig=made.plane.kubeconfig,
        programs=programs,
        sample=ROOT / "manifests" / "samples" / "configmap.yaml",
        gate=made.gate,
        trueup=Path(sys.executable).with_name("trueup"),
        root=ROOT,
        log=made.program.log,
    )


if __name__ == "__main__":
    sys.exit(main())
